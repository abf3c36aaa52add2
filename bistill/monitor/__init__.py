"""The state of runs, read from their journals, and their recovery; never loads torch."""
