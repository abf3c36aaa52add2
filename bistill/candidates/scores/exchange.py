"""Files of teacher scores for other tools: sentence-transformers, FlagEmbedding, and plain pairs.

Scores are logits unless asked otherwise. ``DistillKLDivLoss`` and FlagEmbedding both put the scores of a list through a
softmax as they are, and ``MarginMSELoss`` takes differences of them: probabilities, all within 0..1, would make every
softmax nearly flat. ``pairs`` are exported as probabilities: what a re-ranker or a person fills in beside them is one.

Files end in ``.parquet`` or ``.jsonl``. FlagEmbedding itself reads ``.jsonl`` and passes over every other file without
a word (``AbsDataset.py``), so its form is best written as ``.jsonl``.
"""

from __future__ import annotations

import json
import math
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bistill import artifacts
from bistill.candidates.lists import CandidateList
from bistill.candidates.scores.exchange_reading import SCALE_NOTE, Scale, read_pairs, read_scores
from bistill.console import counted, say
from bistill.data.store.collection import Collection
from bistill.errors import DataError, OptionError, Told
from bistill.evaluation.measures import margins

__all__ = ["DEFAULT_SCALE", "Form", "Scale", "export", "most_kept", "read_pairs", "read_scores", "write_pairs"]

Form = Literal["sentence-transformers", "flagembedding", "pairs"]
DEFAULT_SCALE: Final[dict[Form, Scale]] = {
    "sentence-transformers": "logit",
    "flagembedding": "logit",
    "pairs": "probability",
}
ROW_GROUP: Final = 1024
LISTS: Final = pa.schema(
    [
        *(("query", pa.string()), ("pos", pa.list_(pa.string())), ("neg", pa.list_(pa.string()))),
        *(("pos_scores", pa.list_(pa.float32())), ("neg_scores", pa.list_(pa.float32()))),
    ]
)
PAIRS: Final = pa.schema(
    [("query", pa.string()), ("document", pa.string()), ("score", pa.float32()), ("label", pa.int8())]
)


def export(
    path: Path,
    form: Form,
    lists: Iterable[CandidateList],
    collection: Collection,
    *,
    scale: Scale | None = None,
    negatives: int | None = None,
) -> int:
    """Write scored lists as another tool reads them, atomically and a row group at a time.

    - ``sentence-transformers``: one row for each positive; columns query, positive, negative_1 to negative_N, label:
      N + 1 scores, the positive's first. The trainer takes every other column for a text and a list column for no
      negatives, so N is the same in all rows. Unless given, it is the N that keeps the most scored negatives: N times
      the rows that have as many. Rows with fewer are left out: a negative repeated as padding would count twice in the
      teacher's softmax. Of rows with more, the first N are kept.
    - ``flagembedding``: query, pos, neg, pos_scores, neg_scores; a row for each query.
    - ``pairs``: query, document, score (null where unknown), label (1 of positives, 0 of negatives).

    The first two have no place for an unknown score: such documents, and rows left without a positive or a negative,
    are left out. What is left out is counted on standard error.

    Args:
        path: the file, ending in .parquet or .jsonl.
        form: as above.
        lists: what to write, with the teacher's logits, nan where one is not known; read once.
        collection: their texts.
        scale: of the scores in the file; None: ``DEFAULT_SCALE``.
        negatives: N of ``sentence-transformers``.

    Returns:
        Rows written.

    Raises:
        DataError: no row is left to write; an older file stays.
        OptionError: the file's ending is none of those.
    """
    scale = scale or DEFAULT_SCALE[form]
    _check_ending(path)
    left_out: Counter[str] = Counter()
    path.parent.mkdir(parents=True, exist_ok=True)
    with artifacts.atomic_path(path) as temporary:
        texts = (_texts(item, collection) for item in lists)
        if form == "sentence-transformers":
            count = _write_columns(path, temporary, texts, scale, negatives, left_out)
        else:
            rows = _pairs(texts, scale) if form == "pairs" else _known(texts, scale, left_out)
            count = _write(path, temporary, PAIRS if form == "pairs" else LISTS, rows, scale)
        if count == 0:
            raise DataError(
                "nothing to export: no list has what this form needs",
                where=str(path),
                found=Told(", ".join(_said(left_out))) if left_out else None,
                todo="score the lists first" if left_out else "",
            )
    for what in _said(left_out):
        say(f"{path}: left out {what}")
    return count


def write_pairs(path: Path, pairs: Iterable[tuple[str, str, float]], *, scale: Scale) -> int:
    """Write (query, document, logit) as columns query, document, score (null where the logit is nan), atomically and a
    row group at a time; gives the number of rows.

    Args:
        path: the file, ending in .parquet or .jsonl.
        pairs: read once.
        scale: of the scores in the file.

    Raises:
        OptionError: the file's ending is none of those.
    """
    _check_ending(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with artifacts.atomic_path(path) as temporary:
        rows = (
            {"query": query, "document": document, "score": _score(logit, scale)} for query, document, logit in pairs
        )
        return _write(path, temporary, PAIRS.remove(PAIRS.get_field_index("label")), rows, scale)


def _check_ending(path: Path) -> None:
    if path.suffix.lower() not in (".parquet", ".jsonl"):
        raise OptionError(
            "the format is not recognised by the end of the file's name",
            where=str(path),
            found=path.suffix,
            todo="name the file with .parquet or .jsonl",
        )


def _said(left_out: Counter[str]) -> list[str]:
    """What is left out, with its number: a noun that is counted, and what is said of it."""
    parts = ((number, *what.partition(" ")) for what, number in sorted(left_out.items()))
    return [f"{counted(number, noun)}{space}{rest}" for number, noun, space, rest in parts]


# A query, its positives and its negatives, each with the teacher's logit.
_Row = tuple[str, list[tuple[str, float]], list[tuple[str, float]]]


def _texts(item: CandidateList, collection: Collection) -> _Row:
    documents = list(zip(collection.documents.take(item.documents), item.logits.tolist(), strict=True))
    return collection.dataset.queries[item.query_id], documents[: item.positives], documents[item.positives :]


def _pairs(lists: Iterable[_Row], scale: Scale) -> Iterator[dict[str, Any]]:
    for query, positives, negatives in lists:
        for label, documents in ((1, positives), (0, negatives)):
            for document, logit in documents:
                yield {"query": query, "document": document, "score": _score(logit, scale), "label": label}


def _known(lists: Iterable[_Row], scale: Scale, left_out: Counter[str]) -> Iterator[dict[str, Any]]:
    """Rows of ``LISTS`` with a score for every document, and with a positive and a negative at least."""
    for query, positives, negatives in lists:
        row: dict[str, Any] = {"query": query}
        for name, documents in (("pos", positives), ("neg", negatives)):
            scored = [(text, score) for text, logit in documents if (score := _score(logit, scale)) is not None]
            left_out["document without a score"] += len(documents) - len(scored)
            row |= {name: [text for text, _ in scored], f"{name}_scores": [score for _, score in scored]}
        if row["pos"] and row["neg"]:
            yield row
        else:
            left_out["query without a scored positive or a scored negative"] += 1
    for what in [what for what, number in left_out.items() if number == 0]:
        del left_out[what]


def _score(logit: float, scale: Scale) -> float | None:
    if math.isnan(logit):
        return None
    value = margins.sigmoid(np.asarray(logit)) if scale == "probability" else logit
    return float(np.float32(value))


def _write_columns(
    path: Path, target: Path, lists: Iterable[_Row], scale: Scale, wanted: int | None, left_out: Counter[str]
) -> int:
    """One row for each positive. N shows only at the end, so the rows go through a file of lists first."""
    counts: Counter[int] = Counter()

    def watched(rows: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        for row in rows:
            counts[len(row["neg"])] += len(row["pos"])
            yield row

    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as folder:
        through = Path(folder) / "lists.parquet"
        _write(through, through, LISTS, watched(_known(lists, scale, left_out)), scale)
        if not counts:
            return 0
        size = wanted or most_kept(counts)
        left_out.update(
            {
                f"row with fewer than {size} negatives": sum(number for has, number in counts.items() if has < size),
                f"negative of rows with more than {size}": sum(
                    (has - size) * number for has, number in counts.items() if has > size
                ),
            }
        )
        names = [f"negative_{number}" for number in range(1, size + 1)]
        schema = pa.schema(
            [(name, pa.string()) for name in ("query", "positive", *names)] + [("label", pa.list_(pa.float32()))]
        )
        count = _write(path, target, schema, _columns(_lists_of(through), names), scale)
    for what in [what for what, number in left_out.items() if number == 0]:
        del left_out[what]
    return count


def most_kept(counts: Counter[int]) -> int:
    """The number of negatives per row that keeps the most of them, the smaller one of equals.

    Args:
        counts: how many rows have how many negatives.
    """
    return max(sorted(counts), key=lambda size: size * sum(rows for has, rows in counts.items() if has >= size))


def _columns(rows: Iterator[dict[str, Any]], names: list[str]) -> Iterator[dict[str, Any]]:
    for row in rows:
        if len(row["neg"]) < len(names):
            continue
        negatives = dict(zip(names, row["neg"], strict=False))
        scores = row["neg_scores"][: len(names)]
        for positive, score in zip(row["pos"], row["pos_scores"], strict=True):
            yield {"query": row["query"], "positive": positive, **negatives, "label": [score, *scores]}


def _lists_of(file: Path) -> Iterator[dict[str, Any]]:
    with pq.ParquetFile(file) as source:
        for batch in source.iter_batches(batch_size=ROW_GROUP):
            yield from batch.to_pylist()


def _write(path: Path, target: Path, schema: pa.Schema, rows: Iterator[dict[str, Any]], scale: Scale) -> int:
    """Write rows to ``target`` in the format that the name of ``path`` tells; gives their number."""
    with _ParquetRows(target, schema, scale) if path.suffix.lower() == ".parquet" else _JsonRows(target) as out:
        group: list[dict[str, Any]] = []
        count = 0
        for row in rows:
            group.append(row)
            count += 1
            if len(group) == ROW_GROUP:
                out.write(group)
                group = []
        out.write(group)
    return count


class _ParquetRows:
    def __init__(self, file: Path, schema: pa.Schema, scale: Scale) -> None:
        self._schema = schema.with_metadata({SCALE_NOTE: scale.encode()})
        self._writer = pq.ParquetWriter(file, self._schema, compression="zstd")

    def write(self, rows: list[dict[str, Any]]) -> None:
        if rows:
            self._writer.write_table(pa.Table.from_pylist(rows, schema=self._schema))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.close()


class _JsonRows:
    def __init__(self, file: Path) -> None:
        self._file = file.open("w", encoding="utf-8")

    def write(self, rows: list[dict[str, Any]]) -> None:
        self._file.writelines(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n" for row in rows)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
