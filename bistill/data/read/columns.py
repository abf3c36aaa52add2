"""Which column of a file is what: by recognised names, or by given ones, never by positions."""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from bistill.data.read.column_names import NUMBERED_NEGATIVE, RECOGNISED, normalised_name, role_of, visible_name
from bistill.data.read.ids import JOIN
from bistill.data.settings import Columns
from bistill.errors import DataError

Form = Literal["triplets", "pairs", "texts", "identified", "log"]

# A column "id" beside the texts is nothing that is missing.
ID_NAME: Final = re.compile(r"(.*_ids?|(.*_)?([qpd]|doc|query|passage|corpus|document)ids?)")
PARAMETERS: Final = "`Columns.query`, `Columns.positive`, `Columns.negatives`, `Columns.passage`, `Columns.label`"


@dataclass(frozen=True)
class ColumnMap:
    """The columns that are read, by the names they have in the file.

    Attributes:
        form: "triplets" (positive, negatives), "pairs" (passage, label), "texts" (passage alone, of either kind),
            "identified" (passage, its id as query) or "log" (query, its source as passage, its count as label, what was
            taken out of the source).
        title: of "texts" and "identified", the column of titles; they may be missing.
        ignored: columns of the file that are not read.
    """

    form: Form
    query: str = ""
    positive: str = ""
    negatives: tuple[str, ...] = ()
    passage: str = ""
    label: str = ""
    title: str = ""
    taken_out: str = ""
    ignored: tuple[str, ...] = ()

    @property
    def used(self) -> tuple[str, ...]:
        """All columns whose cells must be there, query first."""
        named = (self.query, self.positive, *self.negatives, self.passage, self.label)
        named = {"identified": (self.passage,), "log": (self.query,)}.get(self.form, named)
        return tuple(name for name in named if name)

    @property
    def optional(self) -> tuple[str, ...]:
        """Columns whose cells are read where a row has them."""
        further = {"identified": (self.query,), "log": (self.passage, self.label, self.taken_out)}.get(self.form, ())
        return tuple(name for name in (self.title, *further) if name)

    @property
    def documents(self) -> tuple[str, ...]:
        """Columns whose cells may be lists of documents: of positives and negatives."""
        return tuple(name for name in (self.positive, *self.negatives) if name)

    @property
    def others(self) -> tuple[str, ...]:
        """Columns with one text in each cell."""
        return tuple(name for name in (self.query, self.passage) if name)


def resolve_columns(header: Sequence[str], file: str | Path, overrides: Columns) -> ColumnMap:
    """Find query, positive and negatives, or query, passage and label, in a header.

    Raises:
        DataError: a name occurs twice, an override names no column, a role is missing, or a choice is not unique.
    """
    refuse_repeated(header, file)
    named = overridden(header, file, overrides)
    found = recognised(header, named)
    form = _form(header, file, overrides, {**found, **{role: names for role, names in named.items() if names}})
    roles = ("query", "positive", "negative") if form == "triplets" else ("query", "passage", "label")
    chosen = {role: named.get(role) or found.get(role, ()) for role in roles}
    for role in roles:
        if role != "negative":
            require_one(role, chosen[role], header, file)
    negatives = tuple(chosen.get("negative", ()))
    if not named.get("negative"):
        negatives = _ordered_negatives(negatives, header, file)
    used = {name for names in chosen.values() for name in names}
    return ColumnMap(
        form=form,
        query=chosen["query"][0],
        positive=chosen["positive"][0] if form == "triplets" else "",
        negatives=negatives,
        passage=chosen["passage"][0] if form == "pairs" else "",
        label=chosen["label"][0] if form == "pairs" else "",
        ignored=tuple(name for name in header if name not in used),
    )


def refuse_repeated(header: Sequence[str], file: str | Path) -> None:
    """Raise DataError where a header names a column twice."""
    repeated = [name for name, count in Counter(map(visible_name, header)).items() if count > 1]
    if repeated:
        raise DataError(
            f"the header names column {repeated[0]!r} more than once",
            where=str(file),
            found=list(header),
            todo="give every column its own name",
        )


def overridden(header: Sequence[str], file: str | Path, overrides: Columns) -> dict[str, tuple[str, ...]]:
    """The columns of a header that are named for each role, () where none is; DataError where one is not there."""
    single = {"query": overrides.query, "positive": overrides.positive}
    single |= {"passage": overrides.passage, "label": overrides.label}
    wanted: dict[str, tuple[str, ...]] = {role: (name,) if name is not None else () for role, name in single.items()}
    wanted["negative"] = overrides.negatives
    by_name = {visible_name(name): name for name in header}
    for role, names in wanted.items():
        for name in names:
            if visible_name(name) not in by_name:
                parameter = "`Columns.negatives`" if role == "negative" else f"`Columns.{role}`"
                raise DataError(
                    f"missing column {name!r}, which {parameter} names",
                    where=str(file),
                    found=list(header),
                    todo=f"give {parameter} a name of this header",
                )
    return {role: tuple(by_name[visible_name(name)] for name in names) for role, names in wanted.items()}


def recognised(header: Sequence[str], named: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """The columns of a header by the role that their names say, without those that are named for one."""
    taken = {name for names in named.values() for name in names}
    found: dict[str, tuple[str, ...]] = {}
    for name in header:
        role = role_of(name)
        if role is not None and name not in taken:
            found[role] = (*found.get(role, ()), name)
    return found


def _form(header: Sequence[str], file: str | Path, overrides: Columns, found: dict[str, tuple[str, ...]]) -> Form:
    asked_triplets = overrides.positive is not None or bool(overrides.negatives)
    asked_pairs = overrides.passage is not None or overrides.label is not None
    triplets = asked_triplets or (not asked_pairs and ("positive" in found or "negative" in found))
    pairs = asked_pairs or (not asked_triplets and ("passage" in found or "label" in found))
    if triplets and pairs:
        raise DataError(
            "the columns can be read as query, positive, negative and as query, passage, label",
            where=str(file),
            found=list(header),
            todo="choose with `Columns.positive` (and `Columns.negatives`), or with `Columns.passage` and "
            "`Columns.label`; or rename the columns that are not meant",
        )
    if not triplets and not pairs:
        if header and all(name.strip().isdecimal() for name in header):
            raise DataError(
                "the first row holds numbers, where the names of the columns are expected",
                where=str(file),
                found=list(header),
                todo=f"write the names of the columns in the first row; if the numbers are ids, {JOIN}",
            )
        raise DataError(
            "missing columns: neither positive and negative nor passage and label are in the header",
            where=str(file),
            found=list(header),
            todo="name the columns so in the first row (separated by commas in a .csv file; in JSON as keys of every "
            f"object, one object on each line or in an array), or by {PARAMETERS}{_advice_on_ids(header)}",
        )
    return "triplets" if triplets else "pairs"


def require_one(role: str, names: Sequence[str], header: Sequence[str], file: str | Path) -> None:
    """Raise DataError unless there is one column of a role."""
    if len(names) == 1:
        return
    if names:
        listed = ", ".join(repr(name) for name in names)
        raise DataError(
            f"more than one column can be the {role}: {listed}",
            where=str(file),
            found=list(header),
            todo=f"choose one with `Columns.{role}`",
        )
    raise DataError(
        f"missing column: {role}{_meant(role, header)}",
        where=str(file),
        found=list(header),
        todo=f"name a column {role!r} in the first row ({_other_names(role)} are known, too), or choose one with "
        f"`Columns.{role}`{_advice_on_ids(header)}",
    )


def _meant(role: str, header: Sequence[str]) -> str:
    """The column that is probably a misspelt name of a role; "" where none is like one."""
    others = [name for name in header if role_of(name) is None]
    for name in others:
        if near := difflib.get_close_matches(normalised_name(name), RECOGNISED[role], n=1, cutoff=0.8):
            return f"; is {name!r} meant to be {near[0]!r}?"
    return ""


def _other_names(role: str) -> str:
    """Some names by which a column is recognised: the first two English ones beside its own, and two Korean ones."""
    english = [name for name in RECOGNISED[role] if name.isascii() and name != role]
    korean = [name for name in RECOGNISED[role] if not name.isascii()]
    return ", ".join((*english[:2], *korean[:2]))


def _advice_on_ids(header: Sequence[str]) -> str:
    names = [name for name in header if ID_NAME.fullmatch(normalised_name(name))]
    return f"; where ids stand for texts ({', '.join(map(repr, names))}), {JOIN}" if names else ""


def _ordered_negatives(names: Sequence[str], header: Sequence[str], file: str | Path) -> tuple[str, ...]:
    """Numbered negatives in the order of their numbers, an unnumbered one first; hard ones stand beside the others."""
    places: dict[tuple[int, bool], str] = {}
    for name in names:
        key = normalised_name(name)
        numbered = NUMBERED_NEGATIVE.match(key)
        place = (int(numbered["number"]) if numbered else -1, key.startswith("hard"))
        if place in places:
            raise DataError(
                f"more than one column can be the same negative: {places[place]!r}, {name!r}",
                where=str(file),
                found=list(header),
                todo="choose with `Columns.negatives`",
            )
        places[place] = name
    return tuple(places[place] for place in sorted(places))
