"""What was seen of a fleet as metrics for Prometheus: a snapshot, its text, who hands it out."""
