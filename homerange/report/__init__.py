"""What a world knows about a place, drawn for people, with the numbers behind it."""
