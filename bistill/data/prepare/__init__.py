"""From a source to a data version."""
