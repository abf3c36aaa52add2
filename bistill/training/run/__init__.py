"""A run in its folder: checkpoints, signals, records."""
