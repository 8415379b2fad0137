"""Probes (a command and a pure parser each) become a NodeState."""
