"""A sheet of (query, document) pairs for a person to judge, drawn from what several models rank first."""
