"""The map: name a place in a browser and take its model home."""
