"""Kubernetes on the machines: k3s as the fleet file wants it, as it is, and the steps between the two.

Its steps are gated, not undone: each waits until what it changed says that it is ready, and is safe to take
again. Calico, Cilium, upgrades and etcd snapshots will have their place here.
"""
