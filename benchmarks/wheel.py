"""Builds the wheel and installs it into an empty environment, as a user of the package would.

python benchmarks/wheel.py [--full] [--constraints FILE] [--offline]

Without `--full` the wheel is installed with the small packages that the overview of the commands needs: what it
holds, what its metadata says, and that commands and package are found. With `--full` all dependencies are installed
(some gigabytes where torch is built for GPUs; `--constraints constraints.txt` takes the tested versions), and
`bistill.load` and the help of a command are tried, too. `--offline` builds with the setuptools of this environment
instead of a fetched one.
"""

from __future__ import annotations

import argparse
import email
import os
import shutil
import subprocess
import sys
import tempfile
import venv
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
EXTRAS: Final = {"excel", "korean", "monitor", "dev"}
# What is imported before a command is known.
LIGHT: Final = ("typing-extensions", "tyro")


def tracked(root: Path) -> list[str]:
    """Files of the checkout that git knows or would add, so that nothing of an earlier build gets in."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    out = subprocess.run(command, cwd=root, capture_output=True, check=True).stdout
    return [name for name in os.fsdecode(out).split("\0") if name and (root / name).is_file()]


def build(root: Path, folder: Path, *, offline: bool) -> Path:
    """The wheel of a checkout, built from a copy of its files."""
    for name in tracked(root):
        (folder / "source" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(root / name, folder / "source" / name)
    options = ["--no-build-isolation"] if offline else []
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", "--quiet", "--no-deps", *options]
    subprocess.run([*pip, "--wheel-dir", str(folder), str(folder / "source")], check=True)
    return next(folder.glob("*.whl"))


def faults(wheel: Path, files: Iterable[str]) -> list[str]:
    """What is wrong with a wheel.

    Args:
        wheel: the file.
        files: of the checkout; each of the package must be in the wheel, and nothing else.
    """
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if not name.endswith("/")}
        place = next(name for name in names if name.endswith(".dist-info/METADATA"))
        metadata = email.message_from_bytes(archive.read(place))
    wanted = {name for name in files if name.startswith("bistill/")}
    held = {name for name in names if not name.startswith(place.partition("/")[0])}
    found = [f"{name} is missing" for name in sorted(wanted - held)]
    found += [f"{name} is not of the package" for name in sorted(held - wanted)]
    if metadata["Name"] != "bistill" or metadata["Requires-Python"] is None or not metadata.get_all("Requires-Dist"):
        found.append("the metadata lacks name, Python or requirements")
    if (extras := set(metadata.get_all("Provides-Extra", []))) != EXTRAS:
        found.append(f"the extras are {sorted(extras)}, not {sorted(EXTRAS)}")
    if not any(name.endswith(".dist-info/licenses/LICENSE") for name in names):
        found.append("the licence is missing")
    return found


def try_installed(wheel: Path, folder: Path, *, full: bool, constraints: str | None) -> list[str]:
    """Install the wheel into an empty environment and use it there; what each use printed first."""
    venv.create(folder / "env", with_pip=True)
    binaries = folder / "env" / ("Scripts" if os.name == "nt" else "bin")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}

    def run(*command: str) -> str:
        done = subprocess.run(
            [str(binaries / command[0]), *command[1:]],
            cwd=folder,  # not the checkout, whose package would be found first
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise SystemExit(f"{' '.join(command)}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout

    pip = ("python", "-m", "pip", "--disable-pip-version-check")
    limits = ["-c", str(Path(constraints).resolve())] if constraints else []
    for wanted in ([str(wheel)],) if full else (LIGHT, ["--no-deps", str(wheel)]):
        run(*pip, "install", "--quiet", *limits, *wanted)
    uses = [
        ("bistill", "--version"),
        ("bistill", "--help"),
        ("python", "-m", "bistill", "--version"),
        ("python", "-c", "import bistill; print(bistill.__file__, bistill.__version__)"),
    ]
    if full:
        uses += [("bistill", "search", "--help"), ("python", "-c", "import bistill; print(bistill.load)")]
        uses += [(*pip, "check")]
    return [f"{' '.join(use)}: {run(*use).splitlines()[0]}" for use in uses]


def main() -> None:
    """Build, look, install, use; exit code 1 and the reasons where something is wrong."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--full", action="store_true", help="with all dependencies")
    parser.add_argument("--constraints", metavar="FILE", help="versions that pip may take")
    parser.add_argument("--offline", action="store_true", help="build with the setuptools that is here")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        wheel = build(ROOT, Path(made), offline=given.offline)
        print(f"{wheel.name}: {wheel.stat().st_size >> 10} KiB")
        if found := faults(wheel, tracked(ROOT)):
            sys.exit("\n".join(found))
        print(*try_installed(wheel, Path(made), full=given.full, constraints=given.constraints), sep="\n")


if __name__ == "__main__":
    main()
