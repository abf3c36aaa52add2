"""The state of runs, read from their journals alone; never loads torch."""
