"""Command lines: each command's options become flags, errors become messages and exit codes.

Exit codes: 0 done; 1 a fault of ours (with a traceback), or a process of the run was lost; 2 wrong options, data or
models (with what to do); 130 stopped by SIGINT and 143 by SIGTERM, a training run with its state saved; 141 the reader
of the output has gone.
Nothing heavy is imported until a command runs, so that ``--help`` answers at once.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import difflib
import io
import os
import shutil
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, Final, NamedTuple

from bistill import __version__, console, distributed
from bistill.app import flags, given, help, recipes
from bistill.app.config import (
    BenchOptions,
    CandidatesOptions,
    DistillationOptions,
    EncodeOptions,
    EvaluationOptions,
    JudgeOptions,
    MonitorOptions,
    PipelineOptions,
    PrepareOptions,
    QueriesOptions,
    ScoresOptions,
    SearchOptions,
    TeacherOptions,
)
from bistill.app.options import from_mapping
from bistill.errors import BistillError, OptionError, ProcessError
from bistill.training.run.signals import Stopped

EXIT_FAULT: Final = 1
EXIT_USER_ERROR: Final = 2
EXIT_INTERRUPTED: Final = 130


class Command(NamedTuple):
    """A command: its options, the function that takes them (``module:function``), and a line for the overview."""

    options: type
    function: str
    summary: str


COMMANDS: Final[dict[str, Command]] = {
    "prepare": Command(
        PrepareOptions, "bistill.app.commands.prepare:prepare", "labelled data of any form -> three CSV files"
    ),
    "queries": Command(
        QueriesOptions, "bistill.app.commands.queries:queries", "make queries from a corpus without labels"
    ),
    "teacher": Command(TeacherOptions, "bistill.app.commands.teacher:run", "train a Cross-Encoder teacher"),
    "candidates": Command(
        CandidatesOptions,
        "bistill.app.commands.candidates:candidates",
        "mine, score, filter and inspect candidate lists",
    ),
    "scores": Command(ScoresOptions, "bistill.app.commands.scores:scores", "show, export and import teacher scores"),
    "distill": Command(DistillationOptions, "bistill.app.commands.distill:run", "distil it into a Bi-Encoder student"),
    "evaluate": Command(
        EvaluationOptions, "bistill.app.commands.evaluate:evaluate", "measure the student, JSON and PNG"
    ),
    "judge": Command(JudgeOptions, "bistill.app.commands.judge:judge", "a sheet to judge by hand -> a test file"),
    "pipeline": Command(PipelineOptions, "bistill.app.pipeline:run", "teacher, distill and evaluate in one go"),
    "encode": Command(EncodeOptions, "bistill.app.commands.encode:encode", "vectors of a whole corpus on the disk"),
    "search": Command(SearchOptions, "bistill.app.commands.search:search", "answer queries with a student"),
    "bench": Command(
        BenchOptions, "bistill.app.commands.bench:bench", "measure speed and memory, and what limits them"
    ),
    "monitor": Command(MonitorOptions, "bistill.app.commands.monitor:monitor", "show the state of runs, live"),
}


def main() -> None:
    """Entry point of the installed command ``bistill``."""
    arguments = sys.argv[1:]
    if arguments and arguments[0] in COMMANDS:
        run_command(arguments[0], arguments[1:], program=f"bistill {arguments[0]}")
        return
    with console.usable():
        if not arguments or arguments[0] in ("-h", "--help"):
            print(overview())
        elif arguments[0] in ("-V", "--version"):
            print(f"bistill {__version__}")
        else:
            near = difflib.get_close_matches(arguments[0], COMMANDS, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            print(f"bistill: unknown command {arguments[0]!r}{hint}\n\n{overview()}", file=sys.stderr)
            sys.exit(EXIT_USER_ERROR)


def overview() -> str:
    """The text of ``bistill --help``."""
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {command.summary}" for name, command in COMMANDS.items()]
    return "\n".join(
        [
            "usage: bistill COMMAND [OPTIONS]",
            "",
            *lines,
            "",
            "bistill COMMAND --help shows the common options of a command, --help-all every one.",
        ]
    )


def run_command(name: str, arguments: Sequence[str] | None = None, *, program: str | None = None) -> None:
    """Parse options, run the command, and end the process with its exit code.

    Args:
        name: key of ``COMMANDS``.
        arguments: command line without the program; None: this process's own.
        program: name shown in the help; None: the script's.
    """
    with console.usable(), console.wording(flags.spoken), _explained(), distributed.session(), _explained():
        _run(name, sys.argv[1:] if arguments is None else arguments, program or Path(sys.argv[0]).name)


def _run(name: str, arguments: Sequence[str], program: str) -> None:
    own, *command = split_command(name, arguments)
    options = parse(name, own, program)
    set_up_process()
    module, function = COMMANDS[name].function.split(":")
    getattr(import_module(module), function)(options, *command)


@contextmanager
def _explained() -> Iterator[None]:
    """Turn errors into messages and exit codes."""
    try:
        yield
    except BistillError as error:
        print(f"error: {flags.spoken(str(error))}", file=sys.stderr)
        sys.exit(EXIT_FAULT if isinstance(error, ProcessError) else EXIT_USER_ERROR)
    except UnicodeEncodeError as error:
        # Of the names that the system knows files by, when its locale is not that of the names.
        if error.encoding.replace("-", "_") != sys.getfilesystemencoding().replace("-", "_"):
            raise
        print(f"error: {_unnameable(error)}", file=sys.stderr)
        sys.exit(EXIT_USER_ERROR)
    except Stopped as stopped:
        print(f"stopped: {stopped}; the same command goes on", file=sys.stderr)
        sys.exit(stopped.exit_code)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(EXIT_INTERRUPTED)


def _unnameable(error: UnicodeEncodeError) -> OptionError:
    return OptionError(
        f"names of files are written in {error.encoding} here, which lacks a character of this one",
        where=repr(error.object),
        found=error.object[error.start : error.end],
        todo="set PYTHONUTF8=1, or a locale such as LC_ALL=C.UTF-8",
    )


def split_command(name: str, arguments: Sequence[str]) -> list[Sequence[str]]:
    """Arguments of the command itself; of the monitor also the command behind ``--`` that it starts.

    Raises:
        OptionError: nothing stands behind it.
    """
    if name != "monitor" or "--" not in arguments:
        return [arguments]
    place = list(arguments).index("--")
    if not arguments[place + 1 :]:
        raise OptionError("no command stands behind it", where="--", todo="give python train_teacher_model.py ...")
    return [arguments[:place], arguments[place + 1 :]]


def parse(name: str, arguments: Sequence[str], program: str) -> Any:
    """Options object of a command line; ``--config FILE.yaml`` gives defaults to the pipeline's flags.

    Raises:
        OptionError: a flag is unknown or missing, a value is of another kind or out of its range, or the YAML file
            cannot be read.
        SystemExit: help (0), or what the command-line parser says itself, as of words that belong to no flag (2).
    """
    kind = COMMANDS[name].options
    if asked := help.wanted(arguments):
        width = shutil.get_terminal_size().columns
        print(help.text(kind, program, width=width, everything=asked == "all"))
        sys.exit(0)
    arguments = given.renamed(arguments)
    # With a YAML file a switch may already be on, so the pipeline has a flag to turn it off, too.
    pairs = kind is PipelineOptions
    given.refuse(kind, arguments, program, pairs=pairs)
    names = given.names_given(arguments)
    if pairs:
        default, in_file, arguments = _pipeline_default(list(arguments))
        return recipes.of_pipeline(_parsed(kind, arguments, program, pairs=True, default=default), names | in_file)
    options = _parsed(kind, arguments, program, pairs=False)
    return recipes.applied(options, names) if isinstance(options, DistillationOptions) else options


def _parsed(kind: type, arguments: Sequence[str], program: str, *, pairs: bool, **settings: Any) -> Any:
    """What the command-line parser makes of the arguments; errors of our own pass it unchanged, where it would put the
    names of classes in front of them."""
    import tyro

    said = io.StringIO()
    config = () if pairs else (tyro.conf.FlagCreatePairsOff,)
    try:
        with contextlib.redirect_stderr(said):
            return tyro.cli(kind, args=arguments, prog=program, use_underscores=True, config=config, **settings)
    except SystemExit as end:
        if (own := _own(end)) is not None:
            raise own from None
        print(said.getvalue(), end="", file=sys.stderr)
        raise


def _own(error: BaseException) -> BistillError | None:
    """The error of ours while whose handling another one was raised."""
    cause = error.__context__
    while cause is not None and not isinstance(cause, BistillError):
        cause = cause.__context__
    return cause


def set_up_process() -> None:
    """Quiet the libraries below us: their notices are about their own future, not about this run."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    for library in ("transformers", "torch", "peft", "accelerate", "huggingface_hub"):
        warnings.filterwarnings("ignore", module=library, category=FutureWarning)
        warnings.filterwarnings("ignore", module=library, category=UserWarning)


def _pipeline_default(arguments: list[str]) -> tuple[PipelineOptions, set[str], list[str]]:
    """Defaults from ``--config FILE``, the names that it gives (``teacher.epochs``), the command line without it."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--config")
    known, others = parser.parse_known_args(arguments)
    if known.config is None:
        return PipelineOptions(), set(), others
    read = _read_yaml(known.config)
    default = from_mapping(PipelineOptions(), read, where=known.config)
    sections = {section: inside for section, inside in read.items() if isinstance(inside, dict)}
    names = {f"{section}.{name}" for section, inside in sections.items() for name in inside}
    return dataclasses.replace(default, config=known.config), names, others


def _read_yaml(path: str) -> dict[str, Any]:
    import yaml

    try:
        value = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise OptionError(f"the file cannot be read ({error.strerror})", where=path, todo="check the path") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise OptionError(f"the file is not YAML ({error})", where=path) from None
    if not isinstance(value, dict):
        raise OptionError("a mapping of option names to values is expected", where=path, found=value)
    return value
