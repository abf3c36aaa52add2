"""Labelled text in: strict readers, records, memory-mapped storage, sampling and preparation of the three splits."""
