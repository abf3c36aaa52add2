"""Stage 2: a Bi-Encoder."""
