"""The commands: each a function that turns its options into settings and calls the library."""
