"""``encode``: the vectors of all documents or queries of a file, in a folder that other programs read."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from bistill import artifacts, distributed
from bistill.app.config import EncodeOptions
from bistill.models.settings import EncoderStart
from bistill.serving.encode import encode as write_vectors


def encode(options: EncodeOptions) -> dict[str, Any]:
    """Write the vectors of the options' files, unless they are there, and print the names of what was written; shards
    are named by the record alone.

    Returns:
        The record of the folder.

    Raises:
        OptionError: the folder holds vectors of other inputs.
        ProcessError: the crew of ``--ray`` cannot encode all of them.
        BistillError: texts, model or folder cannot be used.
    """
    folder = Path(options.output_dir)
    encoded = write_vectors(
        EncoderStart(
            options.model_path,
            max_len=options.max_len,
            query_prompt=options.query_prompt,
            document_prompt=options.document_prompt,
            pooling=options.pooling,
            precision=options.precision,
            trust_remote_code=options.trust_remote_code,
        ),
        options.documents,
        folder,
        kind=options.kind,
        batch_size=options.batch_size,
        overwrite=options.overwrite,
        hire=partial(distributed.hired, options.ray, options.ray_threads),
    )
    if encoded.made:
        for name in (*encoded.record["sha256"], artifacts.VECTORS_RECORD):
            print(folder / name)
    return encoded.record
