"""Measuring a student beside its base model and its teacher: figures as JSON, a table and a picture."""
