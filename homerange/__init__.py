"""homerange: name a place, get a small species-recognition model for it."""

__version__ = "0.1.0"
