"""Queries made from the documents of a corpus alone, without labels and without a language model."""
