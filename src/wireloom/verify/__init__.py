"""Claims are tested on the machines and become evidence and a verdict."""
