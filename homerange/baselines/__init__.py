"""The other systems of the paper's table 2, small, on the same photos, loop and metrics."""
