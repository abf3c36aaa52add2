"""Parquet files: read in batches, only the columns that are needed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from bistill.data.read.jsonl import ObjectRows
from bistill.data.read.reader import FileReader
from bistill.data.read.structured import example_of
from bistill.data.records import Row
from bistill.errors import DataError, RowError

BATCH_ROWS: Final = 1024


class ParquetReader(FileReader):
    """Rows of a Parquet file. The first row is row 1."""

    def rows(self) -> Iterator[Row | RowError]:
        """Every row, or what is wrong with it.

        Raises:
            DataError: the file is missing, empty, no Parquet, or its columns are not recognised.
        """
        self.notes.clear()
        number = 0
        try:
            with pq.ParquetFile(self.file, memory_map=True) as source:
                example = [(field.name, example_of(field.type)) for field in source.schema_arrow]
                rows = ObjectRows(self.file, self.reading, self.notes, example=example, only=self.only)
                for batch in source.iter_batches(batch_size=BATCH_ROWS, columns=rows.read):
                    for cells in batch.to_pylist():
                        number += 1
                        yield rows.row(number, cells)
                rows.note_empty()
        except (OSError, pa.ArrowException) as error:
            raise DataError(f"the file cannot be read as Parquet ({error})", where=str(self.file)) from None
        except UnicodeDecodeError as error:
            raise DataError(
                f"bytes that are not UTF-8 after row {number}", where=str(self.file), found=error.object[:40]
            ) from None
