"""JSON, picture, page and text of an evaluation."""
