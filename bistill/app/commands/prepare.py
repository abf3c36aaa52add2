"""``bistill prepare``: labelled data of any form become a data version."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from bistill import console
from bistill.app.config import PrepareOptions
from bistill.data.prepare import preparing
from bistill.data.prepare.loading import FurtherFiles
from bistill.data.prepare.preparing import PreparedData
from bistill.data.settings import Columns, RowReading, Splitting
from bistill.data.store.version import Version
from bistill.evaluation.measures.bootstrap import FEWEST

# Test queries below which a difference of 0.05 in nDCG@10 is mostly not told apart from 0: that of two models differs
# between queries by 0.2 or more, and 1.96 * 0.2 / sqrt(50) = 0.055.
FEW_TEST: Final = 50


def prepare(options: PrepareOptions) -> PreparedData:
    """Write ``<data_root>/<data_version>/``, see ``preparing.prepare``, and say where its queries are few.

    Raises:
        BistillError: the source, an option or what lies there cannot be used.
    """
    made = preparing.prepare(
        options.source,
        Version(Path(options.data_root), options.data_version),
        reading=_reading(options),
        splitting=Splitting(options.valid_share, options.test_share, options.near_duplicates, options.seed),
        on_bad_rows=options.on_bad_rows,
        numbers_are_texts=options.numbers_are_texts,
        max_pairs=options.max_pairs,
        overwrite=options.overwrite,
        further=FurtherFiles(options.documents, options.queries),
    )
    if said := few_queries(made.queries):
        console.say(said)
    return made


def few_queries(queries: Mapping[str, int]) -> str:
    """One line about splits whose queries are too few to tell anything by, and what to do; "" where none is, and for
    data that nothing is trained on.

    Args:
        queries: their number by split.
    """
    valid, test = queries.get("valid", 0), queries.get("test", 0)
    found = []
    if 0 < valid < FEWEST:
        found.append(f"valid has {valid} (below {FEWEST} whether teacher and student rank better is chance)")
    if 0 < test < FEWEST:
        found.append(f"test has {test} (below {FEWEST} no difference can be told)")
    elif 0 < test < FEW_TEST:
        found.append(f"test has {test} (below {FEW_TEST} a difference of 0.05 in nDCG@10 mostly cannot be told)")
    if not found or "train" not in queries:
        return ""
    return f"few queries: {', '.join(found)}; give more rows, or a higher --valid_share and --test_share"


def _reading(options: PrepareOptions) -> RowReading:
    columns = Columns(
        query=options.query_column,
        positive=options.positive_column,
        negatives=options.negative_columns,
        passage=options.passage_column,
        label=options.label_column,
    )
    return RowReading(columns, options.label_maximum, options.positive_from)
