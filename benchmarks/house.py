"""The house in figures: how much of it a reader, a change and a test run have to walk through.

python benchmarks/house.py [CHECKOUT ...] [--tests]

Prints a Markdown table with a column for each checkout (this one by default); for another state of the code give a git
worktree of its commit. Everything is counted in the checkout's own `bistill/`. `--tests` also runs its fast tests
(`-m "not slow"`; all where none is marked), which takes minutes. Needs what `make test` installs.
"""

from __future__ import annotations

import argparse
import ast
import io
import json
import os
import re
import resource
import subprocess
import sys
import time
import tokenize
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).parent / "shared"))
from tables import markdown

HERE: Final = Path(__file__).parent
LONG_FILE, LONG_FUNCTION = 300, 40
NO_CODE: Final = frozenset(("COMMENT", "NL", "NEWLINE", "INDENT", "DEDENT", "ENCODING", "ENDMARKER"))
TEXTS: Final = frozenset(("NAME", "STRING", "FSTRING_MIDDLE"))
OPTION_MODULES: Final = re.compile(r"bistill\.(app\.)?(config|options)(\.|$)")
# One of each kind that can be added, by the words that name it in code. The files with such a word are the places that
# one had to be written into.
EXTENSIONS: Final = {
    "loss (InfoNCE)": r"info_?nce",
    "miner (dense)": r"dense_?miner|\bdense\b(?! (?:search|index|queries|cells))",
    "format (spreadsheet)": r"spreadsheet",
    "metric (MRR)": r"mrr",
    "kind of teacher (causal re-ranker)": r"causal_?reranker",
}
# Classes that hold a candidate document between its row of a CSV file and the loss, as FILE.CLASS in their order. The
# first list of which all are there is that of the checkout.
SHAPES: Final = {
    "first house": """
        csv_records.Record records.Judgement records.Row building.Judged dataset.Dataset records.Record miners.Mined
        building.Draft scoring._Asked pools.QueryPool pools.ScoredPools pools.TrainingList batch.Batch
    """,
    "second house": """
        csv_records.TableRow records.Judgement records.Row building.StoredJudgement dataset.Dataset records.Record
        miners.Mined building.Draft scoring._Asked pools.QueryPool pools.ScoredPools lists.CandidateList batch.Batch
    """,
    "third house": """
        csv_records.TableRow records.Judgement records.Row building.StoredJudgement dataset.Dataset records.Record
        miners.Mined lists.CandidateList scoring._Asked pools.ScoredPools gradients.Batch
    """,
}
# Fields that hold documents: a class that has one is in SHAPES, or stands here because its documents go elsewhere.
DOCUMENT_FIELDS: Final = frozenset({"document", "documents", "positives", "negatives", "candidates", "judgements"})
ELSEWHERE: Final = {
    "counts or tables beside the documents": "building.Built building._Keys building._Making building.Making "
    "lexical._Counts lexical._Statistics bm25.Summary bm25.Counts pools.Counts",
    "names of columns, sources of `prepare`": "columns.ColumnMap columns.ColumnOverrides settings.Columns "
    "docstrings.Described merging.Judged merging.JudgedQuery sources.Source sources.OpenedSource "
    "in_memory.NamedColumns",
    "validation, calibration, inspection, exchange": "lists.CandidateList validation.Pool validation.ValidationLists "
    "calibrated.LabelledPairs inspection.Removed inspection.Promoted exchange.ScoredList",
    "scores of a batch by place, without its documents": "scores.ListScores",
    "settings of the stage `candidates`": "settings.StudentTraining",
    "several data versions read as one": "joining._Judgement",
    "made queries, sheets to judge, and options that name files": "making.Made prompt.Example questions.Pairs "
    "questions.Questions unlabelled.Origin loading.FurtherFiles data.PrepareOptions judging.JudgeOptions",
}


@dataclass(frozen=True)
class File:
    """One module of a checkout.

    Attributes:
        path: below the checkout.
        text: its content.
    """

    path: Path
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        """The parsed module."""
        return ast.parse(self.text)

    @cached_property
    def lines(self) -> int:
        """As ``wc -l`` counts."""
        return self.text.count("\n")

    @cached_property
    def docstring_lines(self) -> frozenset[int]:
        """Numbers of the lines of all docstrings, blank ones inside them among these."""
        kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
        owners = (node for node in ast.walk(self.tree) if isinstance(node, kinds))
        docstrings = (node.body[0] for node in owners if ast.get_docstring(node, clean=False) is not None)
        return frozenset(line for node in docstrings for line in range(node.lineno, _end(node) + 1))

    @cached_property
    def code(self) -> list[tokenize.TokenInfo]:
        """Tokens that are neither comment nor docstring nor space."""
        tokens = tokenize.generate_tokens(io.StringIO(self.text).readline)
        return [
            t for t in tokens if tokenize.tok_name[t.type] not in NO_CODE and t.start[0] not in self.docstring_lines
        ]

    @property
    def code_lines(self) -> int:
        """Lines with such a token."""
        return len({line for token in self.code for line in range(token.start[0], token.end[0] + 1)})

    def long_functions(self, docstrings: bool) -> int:
        """Functions of more than 40 lines from ``def`` to their end, with their docstrings or without."""
        left_out = frozenset[int]() if docstrings else self.docstring_lines
        functions = (node for node in ast.walk(self.tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
        return sum(len({*range(node.lineno, _end(node) + 1)} - left_out) > LONG_FUNCTION for node in functions)

    def names(self, words: re.Pattern[str]) -> bool:
        """Whether a name or a text in the code has one of the words."""
        return any(tokenize.tok_name[token.type] in TEXTS and words.search(token.string) for token in self.code)

    def classes(self) -> Iterator[ast.ClassDef]:
        """Classes at the top of the module."""
        return (node for node in self.tree.body if isinstance(node, ast.ClassDef))


def read(checkout: Path) -> list[File]:
    """All modules of a checkout's package, by path.

    Raises:
        SystemExit: there is no package.
    """
    paths = sorted((checkout / "bistill").rglob("*.py"))
    if not paths:
        raise SystemExit(f"{checkout}: no bistill/*.py: give the root of a checkout")
    return [File(path.relative_to(checkout), path.read_text(encoding="utf-8")) for path in paths]


def option_imports(files: Sequence[File]) -> list[Path]:
    """Files that import a class of the modules of options, or such a module whole; these modules not counted."""
    inside = [file for file in files if OPTION_MODULES.match(_module(file.path))]
    wanted = {node.name for file in inside for node in file.classes()} | {file.path.stem for file in inside}
    return [file.path for file in files if file not in inside and any(_taken_options(file, wanted))]


def shapes(files: Sequence[File]) -> tuple[list[str], list[str]]:
    """Classes that hold a candidate on its way, and those with a field of documents that no list names.

    Raises:
        LookupError: no list of ``SHAPES`` is that of the checkout; says what each lacks.
    """
    there = {f"{file.path.stem}.{node.name}": node for file in files for node in file.classes()}
    lacking = {house: [name for name in names.split() if name not in there] for house, names in SHAPES.items()}
    house = next((house for house, missing in lacking.items() if not missing), None)
    if house is None:
        raise LookupError("; ".join(f"{house}: no {', '.join(missing)}" for house, missing in lacking.items()))
    known = {*SHAPES[house].split(), *" ".join(ELSEWHERE.values()).split()}
    path = ("data", "candidates", "training")
    on_path = {file.path.stem for file in files if file.path.parts[1] in path}
    holding = [
        name for name, node in there.items() if name.split(".")[0] in on_path and _fields(node) & DOCUMENT_FIELDS
    ]
    return SHAPES[house].split(), sorted(set(holding) - known)


def places(files: Sequence[File]) -> dict[str, list[Path]]:
    """Of each extension, the files whose code names it."""
    found = {kind: re.compile(words, re.IGNORECASE) for kind, words in EXTENSIONS.items()}
    return {kind: [file.path for file in files if file.names(words)] for kind, words in found.items()}


def update(checkout: Path) -> dict[str, dict[str, list[int]]]:
    """Executed lines of an update by stretch and file, see ``house_trace.py``.

    Raises:
        SystemExit: the traced run failed; its last lines are shown.
    """
    command = [sys.executable, str(HERE / "house_trace.py"), str(checkout)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
    found: dict[str, dict[str, list[int]]] = json.loads(done.stdout)
    return found


def tests(checkout: Path) -> str:
    """Seconds of the fast tests: of the clock, and of all processors together.

    Raises:
        SystemExit: a test failed.
    """
    started, before = time.perf_counter(), _processor_seconds()
    command = [sys.executable, "-m", "pytest", "-q", "-m", "not slow", "-p", "no:cacheprovider"]
    environment = {**os.environ, "PYTHONPATH": str(checkout)}
    done = subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{checkout}: {' '.join(command)} failed:\n{done.stdout[-2000:]}")
    return f"{time.perf_counter() - started:.0f} (processors {_processor_seconds() - before:.0f})"


def column(checkout: Path, with_tests: bool) -> tuple[list[tuple[str, str]], list[str]]:
    """Rows (what, figure) of a checkout, and what the figures consist of."""
    files = read(checkout)
    rows, notes = _update_rows(files, update(checkout))
    imports = option_imports(files)
    outside = [path for path in imports if path.parts[1] != "app"]
    rows += [("files that import option classes (outside `app/`)", f"{len(imports)} ({len(outside)})")]
    try:
        held, unplaced = shapes(files)
        rows.append(("shapes of a candidate from its CSV row to its loss", str(len(held))))
        notes.append(f"shapes: {', '.join(held)}")
        notes += [f"**with documents, and in no list of the script: {', '.join(unplaced)}**"] if unplaced else []
    except LookupError as error:
        rows.append(("shapes of a candidate from its CSV row to its loss", "unknown"))
        notes.append(f"**shapes: {error}: write the list of this house into SHAPES**")
    rows += _size_rows(files)
    for kind, found in places(files).items():
        rows.append((f"files that name a {kind}", str(len(found))))
        notes.append(f"{kind}: {', '.join(str(path.relative_to('bistill')) for path in found)}")
    if with_tests:
        rows.append(("seconds of the fast tests", tests(checkout)))
    return rows, notes


def main() -> None:
    """Print the table of the checkouts, then their notes."""
    parser = argparse.ArgumentParser(description="Figures of the house, as a Markdown table.")
    parser.add_argument("checkouts", nargs="*", type=Path, default=[HERE.parent])
    parser.add_argument("--tests", action="store_true", help="also run the fast tests")
    given = parser.parse_args()
    checkouts = [path.resolve() for path in given.checkouts]
    found = [column(path, given.tests) for path in checkouts]
    heads = [_commit(path) for path in checkouts]
    table = [["", *heads]]
    for number, (what, _) in enumerate(found[0][0]):
        table.append([what, *(rows[number][1] for rows, _ in found)])
    print("\n".join(markdown(table)))
    for head, (_, notes) in zip(heads, found, strict=True):
        print("\n".join(["", f"{head}:", "", *(f"- {note}" for note in notes)]))


def _update_rows(
    files: Sequence[File], found: dict[str, dict[str, list[int]]]
) -> tuple[list[tuple[str, str]], list[str]]:
    lengths = {str(file.path): file.lines for file in files}

    def figures(*stretches: str) -> str:
        executed = {(file, line) for name in stretches for file, lines in found[name].items() for line in lines}
        seen = {file for file, _ in executed}
        return f"{len(seen)} / {sum(lengths[file] for file in seen):,} / {len(executed):,}"

    rows = [
        ("an update, its main thread: files / their lines / lines executed", figures("update", "hooks")),
        ("what makes its batch, in the thread before", figures("batch")),
        ("both", figures("update", "hooks", "batch")),
        ("both, without hooks (progress, journal, leaps)", figures("update", "batch")),
    ]
    whole = sorted({file for files in found.values() for file in files})
    return rows, [f"update: {', '.join(file.removeprefix('bistill/') for file in whole)}"]


def _size_rows(files: Sequence[File]) -> list[tuple[str, str]]:
    largest = max(files, key=lambda file: file.lines)
    with_docstrings, without = (sum(file.long_functions(count) for file in files) for count in (True, False))
    return [
        ("lines of code, without docstrings, comments, blanks", f"{sum(file.code_lines for file in files):,}"),
        ("lines of docstrings", f"{sum(len(file.docstring_lines) for file in files):,}"),
        ("files", str(len(files))),
        (f"files over {LONG_FILE} lines", str(sum(file.lines > LONG_FILE for file in files))),
        ("largest file, lines", f"{largest.path.relative_to('bistill')}, {largest.lines}"),
        (f"functions over {LONG_FUNCTION} lines (docstrings not counted)", f"{with_docstrings} ({without})"),
    ]


def _taken_options(file: File, wanted: set[str]) -> Iterator[bool]:
    """Whether each import statement takes a module of options, or out of one a class or module that is wanted."""
    for node in ast.walk(file.tree):
        if isinstance(node, ast.Import):
            yield any(OPTION_MODULES.match(alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            of_options = OPTION_MODULES.match(node.module)
            names = (alias.name for alias in node.names)
            yield any(OPTION_MODULES.match(f"{node.module}.{n}") and (not of_options or n in wanted) for n in names)


def _module(path: Path) -> str:
    return ".".join(path.with_suffix("").parts).removesuffix(".__init__")


def _fields(node: ast.ClassDef) -> set[str]:
    return {s.target.id for s in node.body if isinstance(s, ast.AnnAssign) and isinstance(s.target, ast.Name)}


def _end(node: Any) -> int:
    return int(node.end_lineno)


def _processor_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _commit(checkout: Path) -> str:
    command = ["git", "-C", str(checkout), "rev-parse", "--short", "HEAD"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() or checkout.name


if __name__ == "__main__":
    main()
