"""Parameters of the library, said as flags."""

from __future__ import annotations

import ast
import dataclasses
import re
from functools import cache
from pathlib import Path

import bistill
from bistill import console, losses
from bistill.app import config, flags
from bistill.candidates import settings as candidates
from bistill.data import settings as data
from bistill.data.store.version import Version
from bistill.evaluation import settings as evaluation
from bistill.models import settings as models
from bistill.monitor import settings as monitor
from bistill.training import settings as training
from bistill.training.student import settings as student

# Commands that a text of the library has a user run: these say their flags.
TOLD = ("bistill scores rebuild --cache", "bistill scores import --name NAME --file FILE")
FLAG = re.compile(r"(?<![\w-])--([A-Za-z][\w-]*)")


@cache
def option_names() -> frozenset[str]:
    kinds = (getattr(config, name) for name in config.__all__)
    return frozenset(
        field.name for kind in kinds if dataclasses.is_dataclass(kind) for field in dataclasses.fields(kind)
    )


def flags_in(source: str) -> set[str]:
    """Names of options that stand as flags in the texts and docstrings of a module."""
    nodes = ast.walk(ast.parse(source)) if FLAG.search(source) else ()
    texts = (node.value for node in nodes if isinstance(node, ast.Constant))
    said = [re.sub("|".join(TOLD), "", text) for text in texts if isinstance(text, str)]
    return {name.replace("-", "_") for text in said for name in FLAG.findall(text)} & option_names()


def test_a_parameter_in_backticks_becomes_its_flag() -> None:
    text = "`Lora.rank`: give `overwrite`, `Loop.batch_size` or `Lists.size` 4; `bistill prepare` and `nobody` stay"
    assert flags.spoken(text) == (
        "--lora_r: give --overwrite, --batch_size or --K 4; `bistill prepare` and `nobody` stay"
    )


def test_every_parameter_that_is_renamed_exists_and_so_does_its_flag() -> None:
    parts = (candidates, data, evaluation, models, monitor, training, student, losses)
    kinds = {kind.__name__: kind for part in parts for kind in vars(part).values() if dataclasses.is_dataclass(kind)}
    kinds["Version"] = Version
    options = option_names()
    for parameter, flag in flags.renamed().items():
        kind, _, name = parameter.rpartition(".")
        assert not kind or name in {field.name for field in dataclasses.fields(kinds[kind])}, parameter
        assert options.issuperset(flag.split()), flag


def test_messages_of_a_command_say_flags(capsys) -> None:
    with console.wording(flags.spoken):
        console.say("give `overwrite`")
    console.say("give `overwrite`")
    assert capsys.readouterr().err == "give --overwrite\ngive `overwrite`\n"


def test_the_library_says_no_flags() -> None:
    assert flags_in('def f(x):\n    """As --K."""\n    say(f"{x}: give --output-dir", "pip --help")') == {
        "K",
        "output_dir",
    }
    assert flags_in('todo = f"bistill scores rebuild --cache {folder}; or --restart"') == {"restart"}
    package = Path(bistill.__file__).parent
    found = {str(path.relative_to(package)): flags_in(path.read_text(encoding="utf-8"))
             for path in package.rglob("*.py") if path.relative_to(package).parts[0] != "app"}  # fmt: skip
    # The monitor starts commands, and says how one that failed may be started again.
    assert found.pop("monitor/commands.py") == {"model_path", "test_data", "output_dir", "trust_remote_code"}
    assert found.pop("monitor/failures.py") == {"micro_batch_tokens", "max_len", "resume_lr_factor"}
    assert {path: names for path, names in found.items() if names} == {}
