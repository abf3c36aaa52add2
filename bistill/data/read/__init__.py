"""Labelled text in any form, as a stream of rows."""
