"""Show the state of the training runs, live."""

from bistill.app.cli import run_command

if __name__ == "__main__":
    run_command("monitor")
