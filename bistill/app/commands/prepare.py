"""``bistill prepare``: labelled data of any form become a data version."""

from __future__ import annotations

from pathlib import Path

from bistill.app.config import PrepareOptions
from bistill.data.prepare import preparing
from bistill.data.prepare.preparing import PreparedData
from bistill.data.settings import Columns, RowReading, Splitting
from bistill.data.store.version import Version


def prepare(options: PrepareOptions) -> PreparedData:
    """Write ``<data_root>/<data_version>/``, see ``preparing.prepare``.

    Raises:
        BistillError: the source, an option or what lies there cannot be used.
    """
    return preparing.prepare(
        options.source,
        Version(Path(options.data_root), options.data_version),
        reading=_reading(options),
        splitting=Splitting(options.valid_share, options.test_share, options.near_duplicates, options.seed),
        on_bad_rows=options.on_bad_rows,
        numbers_are_texts=options.numbers_are_texts,
        max_pairs=options.max_pairs,
        overwrite=options.overwrite,
    )


def _reading(options: PrepareOptions) -> RowReading:
    columns = Columns(
        query=options.query_column,
        positive=options.positive_column,
        negatives=options.negative_columns,
        passage=options.passage_column,
        label=options.label_column,
    )
    return RowReading(columns, options.label_maximum, options.positive_from)
