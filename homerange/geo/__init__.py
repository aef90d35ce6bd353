"""Places on the Earth: distances, S2 cells, and what a user means by a place."""
