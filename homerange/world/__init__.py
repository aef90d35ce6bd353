"""The world: what the trainer publishes, and the package that a place gets from it."""
