"""A Plan is carried out on the machines: enrolled, staged, committed, proven, confirmed."""
