"""Profile: a checkpoint is run over validation and test photos and published as a world."""
