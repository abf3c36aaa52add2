"""What a run was given, by name: its journal, its checkpoints and the record beside its model hold it."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from bistill.errors import OptionError
from bistill.own_classes import UNKNOWN
from bistill.settings import differences


@dataclass(frozen=True)
class Given:
    """Names and values, as who started the run gave them.

    Attributes:
        values: all of them.
        decisive: names of those that decide what a run results in: one that goes on must have been given the same.
        defaults: what a name acted as in a record that is older than the name.
    """

    values: Mapping[str, Any]
    decisive: Collection[str]
    defaults: Mapping[str, Any] = field(default_factory=dict)

    def deciding(self) -> dict[str, Any]:
        """The decisive ones, as JSON gives them back: tuples are lists."""
        return as_json({name: self.values[name] for name in self.values if name in self.decisive})


def as_json(values: Mapping[str, Any]) -> dict[str, Any]:
    """As they will be read back: tuples are lists, and what JSON does not know is text."""
    result: dict[str, Any] = json.loads(json.dumps(values, default=str))
    return result


def without_source(values: Mapping[str, Any]) -> list[str]:
    """What holds an object of a class without a source, in words: nobody can tell whether it is the same."""
    names = (name for name, value in values.items() if UNKNOWN in json.dumps(value))
    return [f"`{name}` holds an object whose source is not known" for name in names]


def refuse_changes(then: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Raise unless a run and its checkpoint agree in all that decides the result.

    Args:
        then: by part, of the checkpoint: ``options``, ``data``, ``models`` and others; ``versions`` may differ.
        now: likewise, of the run.

    Raises:
        OptionError: with every difference by name.
    """
    found = without_source(now.get("options", {}))
    if then.get("options") != now.get("options"):
        found.append(differences(then.get("options", {}), now.get("options", {}), parameters=True))
    for part in sorted((then.keys() | now.keys()) - {"options", "versions"}):
        if then.get(part) != now.get(part):
            found.append(f"{part} ({differences(_mapping(then.get(part)), _mapping(now.get(part)))})")
    if found:
        raise OptionError(
            f"an interrupted run in this folder was started otherwise: {'; '.join(found)}",
            where="`output_dir`",
            todo="give what it was started with, `restart` to begin anew, or another `output_dir`",
        )


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {"value": value}
