"""Records and texts, parsed once and memory-mapped."""
