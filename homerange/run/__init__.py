"""The device runner: a place package over photos, with the base install alone."""
