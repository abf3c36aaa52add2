"""The file of scored candidates: one row a query, ids and scores as lists, read back for export."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet

from bistill import artifacts
from bistill.candidates.lists import CandidateList
from bistill.candidates.pools import ScoredPools
from bistill.data.store.dataset import Dataset
from bistill.errors import ArtifactError

ROWS: Final = 4096
SCHEMA: Final = pa.schema(
    [
        ("query_id", pa.int64()),
        ("query", pa.large_string()),
        ("positives", pa.list_(pa.int64())),
        ("positive_logits", pa.list_(pa.float32())),
        ("documents", pa.list_(pa.int64())),
        ("logits", pa.list_(pa.float32())),
        ("sources", pa.list_(pa.uint8())),
        ("verdicts", pa.list_(pa.uint8())),
    ]
)


def write_pools(path: Path, pools: ScoredPools, dataset: Dataset) -> None:
    """Write the candidates of all queries as Parquet; document ids are those of the corpus, ``sources`` the sum of the
    miners' bits (``registry.NAMES``, then a user's own), ``verdicts`` values of ``filtering.Verdict``."""
    with artifacts.atomic_path(path) as temporary, pyarrow.parquet.ParquetWriter(temporary, SCHEMA) as writer:
        for start in range(0, len(pools), ROWS):
            own = [pools[row] for row in range(start, min(start + ROWS, len(pools)))]
            writer.write_table(pa.table(_columns(own, dataset), schema=SCHEMA))


def read_pools(path: Path) -> Iterator[CandidateList]:
    """The candidates of each query, as ``write_pools`` wrote them.

    Raises:
        ArtifactError: the file is missing or torn.
    """
    try:
        file = pyarrow.parquet.ParquetFile(path)
        for batch in file.iter_batches(ROWS):
            for row in batch.drop_columns(["query"]).to_pylist():
                kinds = {field.name: field.type for field in SCHEMA}
                values = {
                    name: np.asarray(value, dtype=kinds[name].value_type.to_pandas_dtype())
                    for name, value in row.items()
                    if name != "query_id"
                }
                yield CandidateList.scored(row["query_id"], candidates=values.pop("documents"), **values)
    except (OSError, pa.ArrowException) as error:
        raise ArtifactError(
            f"the file of candidates cannot be read ({error})", where=str(path), todo="run bistill candidates first"
        ) from None


def _columns(lists: Sequence[CandidateList], dataset: Dataset) -> dict[str, list[Any]]:
    relevant, others = [item.relevant for item in lists], [item.candidates for item in lists]
    return {
        "query_id": [item.query_id for item in lists],
        "query": [dataset.queries[item.query_id] for item in lists],
        "positives": [item.documents for item in relevant],
        "positive_logits": [item.logits for item in relevant],
        **{name: [getattr(item, name) for item in others] for name in ("documents", "logits", "sources", "verdicts")},
    }
