"""Data versions for teaching without labels, made from labelled ones.

python benchmarks/quality/versions.py --data NAME [NAME ...] [--data_root preprocessed] [--each 3] [--number N]

Of each data version three others are made beside it, all with its documents and its test queries:

- ``NAME-log``: the texts of its training queries without their labels, as a log of queries is;
- ``NAME-made``: queries that ``bistill queries`` makes from its documents alone;
- ``NAME-more``: its labelled training and validation queries, and those of ``NAME-made`` beside them.

``bistill prepare`` drops made queries and those of the log that come again among the test queries, and holds a share of
them out for validation. What stands there already, made of the same, stays.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path

from bistill import artifacts
from bistill.app import cli
from bistill.app.commands.prepare import prepare
from bistill.app.commands.queries import queries
from bistill.data.store.opening import load_split
from bistill.data.store.version import Version

LOG, MADE, MORE = "log", "made", "more"


def main() -> None:
    """Make what is wanted of each data version."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", required=True, help="labelled data versions")
    parser.add_argument("--data_root", default="preprocessed")
    parser.add_argument("--kinds", nargs="+", help="of made queries; unset: all")
    parser.add_argument("--each", type=int, default=1, help="made queries of one document at most")
    parser.add_argument("--number", type=int, help="made queries of all documents together; unset: all")
    parser.add_argument("--wanted", nargs="+", choices=(LOG, MADE, MORE), default=[LOG, MADE, MORE])
    given = parser.parse_args()
    for name in given.data:
        with tempfile.TemporaryDirectory() as folder:
            derive(Version(Path(given.data_root), name), Path(folder), given)


def derive(version: Version, folder: Path, given: argparse.Namespace) -> None:
    """The data versions made of one.

    Args:
        version: the labelled one.
        folder: an empty folder for what is read and not kept.
        given: of the command line.
    """
    documents, tested, labelled = folder / "documents.jsonl", folder / "tested", folder / "labelled"
    artifacts.write_text(documents, json_lines("text", version.documents()))
    for part, splits in ((tested, ("test",)), (labelled, artifacts.SPLITS)):
        part.mkdir()
        for split in splits:
            shutil.copy(version.path(split), part)
    if LOG in given.wanted:
        log = folder / "log.jsonl"
        artifacts.write_text(log, json_lines("query", load_split(version.path("train")).queries))
        prepared(version, LOG, tested, documents, log)
    if {MADE, MORE} & {*given.wanted}:
        made = folder / "made.csv"
        options = [f"--each={given.each}", *([f"--number={given.number}"] if given.number else [])]
        options += ["--kinds", *given.kinds] if given.kinds else []
        queries(cli.parse("queries", ["--documents", str(documents), "--output", str(made), *options], "queries"))
        for name, source in ((MADE, tested), (MORE, labelled)):
            if name in given.wanted:
                prepared(version, name, source, documents, made)


def json_lines(name: str, texts: Iterable[str]) -> str:
    """A file with one text a line under a name."""
    return "".join(json.dumps({name: text}, ensure_ascii=False) + "\n" for text in texts)


def prepared(version: Version, name: str, source: Path, documents: Path, log: Path) -> None:
    """Prepare one of them beside the labelled one."""
    own = ["--data_root", str(version.root), "--data_version", f"{version.name}-{name}", "--overwrite"]
    files = [str(source), "--documents", str(documents), "--queries", str(log)]
    prepare(cli.parse("prepare", [*files, *own], "prepare"))


if __name__ == "__main__":
    main()
