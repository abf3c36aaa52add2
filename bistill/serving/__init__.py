"""Using a student: an exact cosine index over documents, kept in the cache, and search on the command line."""
