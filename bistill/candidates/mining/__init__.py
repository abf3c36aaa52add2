"""The ways of finding candidates for a query in a pool of documents."""
