"""Stage 1: a Cross-Encoder."""
