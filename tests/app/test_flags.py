"""Parameters of the library, said as flags."""

from __future__ import annotations

import dataclasses

from bistill import console
from bistill.app import config, flags
from bistill.candidates import settings as candidates
from bistill.data import settings as data
from bistill.data.store.version import Version
from bistill.evaluation import settings as evaluation
from bistill.models import settings as models
from bistill.monitor import settings as monitor
from bistill.training import settings as training


def test_a_parameter_in_backticks_becomes_its_flag() -> None:
    text = "`Lora.rank`: give `overwrite`, `Loop.batch_size` or `Lists.size` 4; `bistill prepare` and `nobody` stay"
    assert flags.spoken(text) == (
        "--lora_r: give --overwrite, --batch_size or --K 4; `bistill prepare` and `nobody` stay"
    )


def test_every_parameter_that_is_renamed_exists_and_so_does_its_flag() -> None:
    parts = (candidates, data, evaluation, models, monitor, training)
    kinds = {kind.__name__: kind for part in parts for kind in vars(part).values() if dataclasses.is_dataclass(kind)}
    kinds["Version"] = Version
    options = {field.name for name in config.__all__ if dataclasses.is_dataclass(kind := getattr(config, name))
               for field in dataclasses.fields(kind)}  # fmt: skip
    for parameter, flag in flags.RENAMED.items():
        kind, _, name = parameter.rpartition(".")
        assert not kind or name in {field.name for field in dataclasses.fields(kinds[kind])}, parameter
        assert options.issuperset(flag.split()), flag


def test_messages_of_a_command_say_flags(capsys) -> None:
    with console.wording(flags.spoken):
        console.say("give `overwrite`")
    console.say("give `overwrite`")
    assert capsys.readouterr().err == "give --overwrite\ngive `overwrite`\n"
