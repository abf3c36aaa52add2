"""The engine: updates, done again until they are whole."""
