"""Stage 3: evaluate the student."""

from bistill.app.cli import run_command

if __name__ == "__main__":
    run_command("evaluate")
