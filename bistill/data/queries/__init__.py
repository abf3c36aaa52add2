"""Which queries are used, and when two texts are the same."""
