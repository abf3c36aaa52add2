"""Stage 2: distil the teacher into a Bi-Encoder student."""

from bistill.app.cli import run_command

if __name__ == "__main__":
    run_command("distill")
