"""How a command runs on a machine."""
