"""The verb ``adapt``: a package learns its user's corrections, without torch."""
