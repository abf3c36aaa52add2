"""``bistill queries``: queries made from the documents of a corpus."""

from __future__ import annotations

from bistill.app.config import QueriesOptions
from bistill.app.following import say_next
from bistill.data.made.writing import MadeQueries, make
from bistill.data.made.written import Writer
from bistill.data.settings import Endpoint, Making
from bistill.errors import OptionError


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
    writer = None
    if options.llm_url is not None and options.llm_model is not None:
        endpoint = Endpoint(
            options.llm_url, options.llm_model, at_once=options.llm_at_once, per_minute=options.llm_per_minute
        )
        writer = Writer(endpoint, making, options.llm_examples)
    elif options.llm_url is not None or options.llm_model is not None:
        raise OptionError(
            "a server and its model are named together",
            where="--llm_url, --llm_model",
            found=(options.llm_url, options.llm_model),
            todo="give both",
        )
    made = make(
        options.documents,
        options.output,
        making,
        apart_from=options.apart_from,
        overwrite=options.overwrite,
        writer=writer,
    )
    say_next("prepare", documents=options.documents, queries=str(made.path), data_version=made.path.stem)
    return made
