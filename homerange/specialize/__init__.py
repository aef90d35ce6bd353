"""Specialize: from a world and a place to the species list and the package of that place."""
