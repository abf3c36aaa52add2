"""One training engine, and the two stages that run on it."""
