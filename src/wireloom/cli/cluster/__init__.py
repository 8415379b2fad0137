"""The verbs of ``wireloom k3s``, one module each, thin."""
