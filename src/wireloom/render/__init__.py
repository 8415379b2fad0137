"""A Network becomes, for one node, the files and the interface that it should have."""
