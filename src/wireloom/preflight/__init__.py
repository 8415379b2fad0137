"""Rules about machines as they were seen, before anything is done to them, become findings."""
