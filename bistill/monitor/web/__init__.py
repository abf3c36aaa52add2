"""The monitor's web page: a server in a thread of the monitor, read-only, and what a browser shows."""
