"""``fleet.lock``: the addresses given out, the public keys and the SSH host keys seen."""
