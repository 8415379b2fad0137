"""The claims about a cluster: what it says of itself, what its machines say, and what probes in it try."""
