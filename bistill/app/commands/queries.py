"""``bistill queries``: queries made from the documents of a corpus."""

from __future__ import annotations

from bistill.app.config import QueriesOptions
from bistill.data.made.writing import MadeQueries, make
from bistill.data.settings import Making


def queries(options: QueriesOptions) -> MadeQueries:
    """Write the file of made queries, see ``writing.make``.

    Raises:
        BistillError: documents, an option or what lies there cannot be used.
    """
    making = Making(
        options.kinds,
        options.shares,
        options.number,
        options.each,
        options.typed,
        options.taken_out,
        options.seed,
    )
    return make(options.documents, options.output, making, apart_from=options.apart_from, overwrite=options.overwrite)
