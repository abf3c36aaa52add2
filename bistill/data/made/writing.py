"""A file of queries made from the documents of another: streamed, whole or not there, never that of other inputs."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from bistill import artifacts, cache_folder
from bistill.arrays import Flags, Keys
from bistill.console import counted, say, table
from bistill.data.made import korean
from bistill.data.made.choice import Candidates
from bistill.data.made.found import Source
from bistill.data.made.making import WRITTEN, Made, made_from, order_of
from bistill.data.made.written import FAILED, Writer
from bistill.data.prepare.writing import write_csv
from bistill.data.queries.same_text import text_key
from bistill.data.read.files import ending_of, open_file
from bistill.data.settings import Columns, Making, RowReading
from bistill.data.store.opening import load_documents, load_queries
from bistill.data.store.texts import Texts
from bistill.errors import DataError, OptionError, RowError
from bistill.progress import progress
from bistill.settings import differences

# Changes whenever the same inputs give other queries than before.
MADE_VERSION: Final = 2


@dataclass(frozen=True)
class MadeQueries:
    """What ``make`` wrote, or found written.

    Attributes:
        path: the file: columns query, source, kind, typed, taken_out.
        report: counts by what they count.
        reused: whether it was there already, from the same inputs.
    """

    path: Path
    report: Mapping[str, int]
    reused: bool


def make(
    documents: str | Path,
    output: str | Path | None = None,
    making: Making = Making(),
    *,
    apart_from: Sequence[str | Path] = (),
    overwrite: bool = False,
    writer: Writer | None = None,
) -> MadeQueries:
    """Make queries from the documents of a file and write them to a CSV file, with a record of their inputs beside it.

    Its columns are those of ``Made``. The same inputs give the same bytes; what is there of the same inputs is kept.

    Args:
        documents: a file with a document column, and a title column where it has titles; or labelled rows.
        output: the file; None: one in ``made_queries/`` that is named by its inputs.
        making: which queries, and how many.
        apart_from: files that this function wrote: none of their queries comes again, and none of their documents
            gives one.
        overwrite: whether a file of other inputs may be replaced.
        writer: a language model that writes the queries in place of ``making.kinds``, for as many documents as
            ``making.number`` needs; None: none.

    Raises:
        RowError: the first bad row.
        DataError: a file cannot be read, or no document gives a query.
        OptionError: the output holds something else.
        ArtifactError: the output cannot be written.
    """
    source = Path(documents)
    texts = load_documents(source)
    inputs = _inputs(source, making, apart_from) | ({} if writer is None else {"writer": writer.inputs})
    name = f"{artifacts.fingerprint(inputs)[:16]}.csv"
    path = Path(output) if output is not None else Path(artifacts.MADE_FOLDER) / name
    record = _record(path)
    if _is_whole(path, record, inputs) and not (overwrite and record["report"].get(FAILED)):
        say(f"{path}: the queries of these inputs are there already; nothing to do")
        return MadeQueries(path, record["report"], reused=True)
    _refuse_others(path, record, inputs, overwrite)
    with artifacts.probe(path.parent), cache_folder.scratch(path.parent) as scratch:
        sources, count = _sources(source, texts), len(texts)
        apart = _keys_of(apart_from)
        if writer is not None:
            sources, count = _first_of(sources, texts, making, apart[1])
        found = writer.made(sources) if writer is not None else (list(made_from(one, making)) for one in sources)
        candidates, without = _collect(found, count, making, scratch / artifacts.MADE_QUERIES)
        chosen = candidates.choose(making.number, apart)
        if not chosen.kept.any():
            raise _nothing(source, making, writer)
        artifacts.write_json(_record_file(path), {"complete": False, "inputs": inputs})
        counts: Counter[str] = Counter()
        rows = _counted(_kept(scratch / artifacts.MADE_QUERIES, chosen.kept), counts)
        write_csv(path, Made._fields, rows)
    report = _report(counts, chosen.left_out, without) | ({} if writer is None else dict(writer.counts))
    sha256 = artifacts.sha256_of_file(path)
    artifacts.write_json(_record_file(path), {"complete": True, "inputs": inputs, "sha256": sha256, "report": report})
    _show(path, report, making)
    if writer is not None and writer.failures:
        why = ", ".join(f"{counted(count, 'time')} {failure}" for failure, count in writer.failures.most_common(3))
        say(f"{path}: documents without an answer: {why}; `overwrite` asks for these again, and for no other")
    return MadeQueries(path, report, reused=False)


def _inputs(documents: Path, making: Making, apart_from: Sequence[str | Path]) -> dict[str, Any]:
    """Everything that decides the queries, as JSON gives it back. Files count by their content, wherever they lie."""
    inputs = {
        "version": MADE_VERSION,
        "documents": artifacts.sha256_of_file(documents),
        "ending": ending_of(documents),
        "apart_from": sorted(artifacts.sha256_of_file(Path(file)) for file in apart_from),
        "korean": korean.version(),
        **asdict(making),
    }
    return dict(json.loads(json.dumps(inputs)))


def _nothing(documents: Path, making: Making, writer: Writer | None) -> DataError:
    """What is said where there is no query."""
    if writer is not None and writer.failures:
        return DataError(
            "no answer of the endpoint can be used",
            where=writer.endpoint.url,
            found=dict(writer.failures.most_common(3)),
            todo="see whether the server is up, and whether its model writes its answer as the text of the message",
        )
    return DataError(
        "no document gives a query of the kinds that are asked for",
        where=str(documents),
        found=making.kinds,
        todo="ask for more kinds, or give documents of several sentences",
    )


def _first_of(sources: Iterator[Source], texts: Texts, making: Making, apart: Keys) -> tuple[Iterator[Source], int]:
    """The documents whose queries are taken first, as many as give ``making.number`` of them, and their number; none
    whose key is in ``apart``, since its queries would be left out."""
    free = np.flatnonzero(~np.isin(texts.keys, apart))
    wanted = len(free) if making.number is None else min(-(-making.number // making.each), len(free))
    orders = np.array([order_of(texts[int(place)], 0, making.seed) for place in free], dtype=np.uint64)
    asked = np.sort(orders)[:wanted]

    def is_asked(source: Source) -> bool:
        order = order_of(source.text, 0, making.seed)
        place = int(np.searchsorted(asked, np.uint64(order)))
        return place < wanted and int(asked[place]) == order

    return filter(is_asked, sources), wanted


def _collect(found: Iterable[list[Made]], count: int, making: Making, file: Path) -> tuple[Candidates, int]:
    """Write the queries of all documents to a file, one a line; returns them as numbers, and how many documents gave
    none."""
    candidates, without = Candidates(), 0
    with progress("making queries", count, "documents") as advance, file.open("w", encoding="utf-8") as out:
        for own in found:
            for place, made in enumerate(own):
                out.write(json.dumps(made) + "\n")
                order = order_of(made.source, place, making.seed)
                candidates.add(order, text_key(made.query), text_key(made.source))
            without += not own
            advance(1, counted(len(candidates), "query"))
    return candidates, without


def _sources(documents: Path, texts: Texts) -> Iterator[Source]:
    """Every document of a file with its title, where it first stands.

    Args:
        documents: the file.
        texts: its documents: of each, 9 bytes are held.

    Raises:
        RowError: the first bad row.
    """
    keys = np.unique(texts.keys)
    seen = np.zeros(len(keys), dtype=bool)
    for row in open_file(documents, RowReading(), only="document").rows():
        if isinstance(row, RowError):
            raise row
        for judged in row.judgements:
            place = np.searchsorted(keys, np.frombuffer(text_key(judged.document), dtype=np.uint64))
            if not seen[place].item():
                seen[place] = True
                yield Source(judged.document, judged.title)


def _keys_of(files: Sequence[str | Path]) -> tuple[Keys, Keys]:
    """The ``text_key`` of all queries and of all documents of files that ``make`` wrote."""
    by_source = RowReading(columns=Columns(query=Made._fields[1]))
    queries = [load_queries(file).keys for file in files]
    sources = [load_queries(file, reading=by_source).keys for file in files]
    nothing = np.empty(0, dtype=np.uint64)
    return np.concatenate([nothing, *queries]), np.concatenate([nothing, *sources])


def _kept(file: Path, kept: Flags) -> Iterator[Made]:
    with file.open(encoding="utf-8") as lines:
        for line, wanted in zip(lines, kept, strict=True):
            if wanted:
                yield Made(*json.loads(line))


def _counted(rows: Iterator[Made], counts: Counter[str]) -> Iterator[Made]:
    """The rows as they are, counted on their way."""
    for made in rows:
        counts[made.kind] += 1
        counts["typed as people type"] += bool(made.typed)
        counts["taken out of their document"] += bool(made.taken_out)
        yield made


def _report(counts: Mapping[str, int], left_out: Mapping[str, int], without: int) -> dict[str, int]:
    return {
        **dict(sorted(counts.items())),
        **{f"left out: {reason}": count for reason, count in left_out.items()},
        "documents without a query": without,
    }


def _show(path: Path, report: Mapping[str, int], making: Making) -> None:
    made = sum(report.get(kind, 0) for kind in (*making.kinds, WRITTEN))
    table(("made queries", "count"), [[name, f"{count:,}"] for name, count in report.items()], title=str(path))
    if making.number is not None and made < making.number:
        more = "more come of the same documents with a higher `Making.each`"
        if WRITTEN in report:
            more = f"a higher `Making.number` asks for more documents and, where all were asked for, {more}"
        say(f"{path}: {counted(made, 'query')}, where `Making.number` is {making.number:,}; {more}")


def _record_file(path: Path) -> Path:
    return path.with_name(path.name + artifacts.RECORD_SUFFIX)


def _record(path: Path) -> dict[str, Any]:
    """What a file was made from; nothing where there is no record."""
    file = _record_file(path)
    return artifacts.read_json(file) if file.exists() else {}


def _is_whole(path: Path, record: Mapping[str, Any], inputs: Mapping[str, Any]) -> bool:
    same = record.get("complete") is True and record.get("inputs") == inputs
    return same and path.exists() and artifacts.sha256_of_file(path) == record.get("sha256")


def _refuse_others(path: Path, record: Mapping[str, Any], inputs: Mapping[str, Any], overwrite: bool) -> None:
    """Raise unless the file may be written: it is not there, a process that was making it from the same inputs was
    killed, or it may be replaced."""
    killed = record.get("complete") is False and record.get("inputs") == inputs
    if overwrite or killed or not path.exists():
        return
    what = "the file was not written by `bistill queries`"
    if record:
        changed = differences(record.get("inputs", {}), inputs)
        what = (
            f"the queries were made of other inputs: {changed}" if changed else "the file was changed since it was made"
        )
    raise OptionError(what, where="`output`", found=str(path), todo="give `overwrite` to replace it, or another name")
