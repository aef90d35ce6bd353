"""Training: photos with labels or a teacher become a checkpoint; a checkpoint becomes metrics."""
