"""Using a student: search over an exact cosine index of documents, and the vectors of a whole corpus on the disk."""
