"""Measuring a student beside its untouched base model and its teacher: figures as JSON, a table and a picture."""
