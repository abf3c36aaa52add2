"""Stage 1: train a Cross-Encoder teacher."""

from bistill.app.cli import run_command

if __name__ == "__main__":
    run_command("teacher")
