"""Unit vectors by the workers of a crew: what these are given, and that their model is the one of the driver.

A block has whole windows of texts, the last block but for its end. Batches are cut by the texts of a window, so that
the vectors do not depend on the blocks, nor on which worker does one: on equal machines they have the bits of one
process with as many threads as a worker. Another number of threads may add up small products in another order.
"""

from __future__ import annotations

import platform
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np

from bistill import console
from bistill.arrays import Floats
from bistill.data.settings import TextKind
from bistill.data.store.texts import windows
from bistill.distributed import Block, Crew, Work
from bistill.distributed.blocks import rows
from bistill.errors import ModelError, ProcessError
from bistill.models.compute import products, tokenizing
from bistill.models.compute.encoding import WINDOW_BATCHES, vectors_of_window
from bistill.models.compute.sharing import Made
from bistill.models.files import loading
from bistill.models.unloaded import AnyEncoder
from bistill.progress import progress


def work(encoder: AnyEncoder, fingerprint: str) -> Work:
    """Encoding by workers that make the encoder themselves, and refuse to where theirs is another model.

    Args:
        encoder: with ``made``; its weights are not needed.
        fingerprint: of its files, as they are recorded: they may have changed since.
    """
    assert encoder.made is not None
    make = partial(made_alike, encoder.made, decisive(encoder, fingerprint))
    return Work(encoded, products.as_here(make))


def block(encoder: AnyEncoder, texts: Sequence[str], first: int, count: int, kind: TextKind, batch_size: int) -> Block:
    """So many texts from one of them on, as ``encoded`` takes them; ``count`` is one of whole windows, or the rest."""
    prompt = encoder.prompts.query if kind == "query" else encoder.prompts.document
    return Block(rows(first, count), count, (list(texts[first : first + count]), prompt, batch_size))


def encoded(encoder: Any, texts: Sequence[str], prompt: str, batch_size: int) -> tuple[Floats, int]:
    """What a worker makes of a block: unit vectors, float32 of shape (n, dim); and how many texts were cut.

    Raises:
        ModelError: a vector holds NaN or infinite values.
    """
    found, cut = [], 0
    for window in windows((prompt + text for text in texts), WINDOW_BATCHES * batch_size):
        vectors, longer = vectors_of_window(encoder, window, batch_size)
        found.append(vectors)
        cut += longer
    return np.concatenate(found), cut


def windows_of_crew(
    crew: Crew, encoder: AnyEncoder, texts: Sequence[str], first: int, kind: TextKind, batch_size: int, description: str
) -> Iterator[Floats]:
    """Vectors of the texts from ``first`` on, window by window in their order: float32 of shape (m, dim).

    Raises:
        ProcessError: no worker can encode, or a window failed on several: what follows it is not given.
    """
    size, cut = WINDOW_BATCHES * batch_size, 0
    starts = range(first, len(texts), size)
    task = work(encoder, loading.model_fingerprint(encoder.source))
    blocks = (block(encoder, texts, start, min(size, len(texts) - start), kind, batch_size) for start in starts)
    with progress(description, len(texts), "texts", done=first) as advance:
        for done in crew.each(task, blocks, in_order=True):
            if done.why:
                raise ProcessError(
                    f"these texts cannot be encoded: {done.why.splitlines()[0]}",
                    where=f"{description} {done.block.name}",
                    todo="see what is told of them above; the same command goes on with them",
                )
            vectors, longer = done.result
            cut += longer
            advance(done.block.size)
            yield vectors
    say_cut(encoder, description, cut, len(texts) - first)


def say_cut(encoder: AnyEncoder, description: str, cut: int, total: int) -> None:
    """Say how many texts were cut, where some were."""
    if description and cut:
        console.say_once(tokenizing.cut_texts(description, cut, total, encoder.max_len))


def decisive(encoder: AnyEncoder, fingerprint: str) -> dict[str, Any]:
    """What decides a text's vector, its prompt apart; the model counts by the fingerprint of its files."""
    return {
        "files": fingerprint,
        "pooling": encoder.mode,
        "max_len": encoder.max_len,
        "precision": encoder.precision,
        "layers": encoder.start_layers,
    }


def made_alike(made: Made, expected: dict[str, Any]) -> Any:
    """The encoder of a worker.

    Args:
        made: how it is made.
        expected: what is ``decisive`` of the driver's.

    Raises:
        ModelError: it cannot be loaded here, or is another one than that of the driver.
    """
    encoder: Any = made.again()
    own = decisive(encoder, loading.model_fingerprint(encoder.source))
    if other := [name for name, value in own.items() if value != expected[name]]:
        raise ModelError(
            f"not the model of the driver: other {', '.join(other)}",
            where=f"{encoder.source} on {platform.node()}",
            todo="have the same files there as on the driver's machine",
        )
    return encoder
