"""Model folders and hub models."""
