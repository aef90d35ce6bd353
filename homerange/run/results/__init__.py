"""Formats of results: one format, one file."""
