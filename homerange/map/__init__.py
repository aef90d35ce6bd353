"""The map: a page on which a place is picked and its model taken home."""
