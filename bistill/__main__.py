"""``python -m bistill`` is the command ``bistill``."""

from bistill.app.cli import main

if __name__ == "__main__":
    main()
