"""wireloom encrypts a Kubernetes cluster's network with WireGuard: one file, plan, apply, prove."""

__version__ = "0.1.0"
