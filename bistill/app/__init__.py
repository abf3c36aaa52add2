"""The application: command lines, pipeline, profile."""
