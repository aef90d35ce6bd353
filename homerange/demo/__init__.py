"""Every country gets its model while you watch: what ``homerange demo`` shows."""
