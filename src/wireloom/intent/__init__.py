"""``fleet.yaml`` becomes a validated Fleet, or every mistake in it at once."""
