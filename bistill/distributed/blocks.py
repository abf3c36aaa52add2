"""Blocks of work that any machine can do: what a crew is given, and what it gives back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple


class Work(NamedTuple):
    """What is done with every block, in functions that a worker finds by their modules.

    Attributes:
        do: ``do(tool, *block.content)`` gives the result of a block: a function of the content alone.
        make: ``make(*shared)`` makes the tool, such as a model, once in each worker; what fails there says that this
            worker cannot do the work. None: the tool is None.
        unit: what the rows of a block are, in the plural.
        shared: what all blocks need. It travels once to each machine, whose workers share the memory of its arrays,
            which are read-only there.
    """

    do: Callable[..., Any]
    make: Callable[..., Any] | None = None
    unit: str = "texts"
    shared: tuple[Any, ...] = ()


class Block(NamedTuple):
    """A part of the work.

    Attributes:
        name: which rows it has, for messages.
        size: their number.
        content: what the worker gets of it.
    """

    name: str
    size: int
    content: tuple[Any, ...]


class Done(NamedTuple):
    """What became of a block.

    Attributes:
        place: of the block among all that were given, from 0.
        block: as given, without its content.
        result: what ``do`` gave, arrays in it read-only; None where it was set aside.
        why: it was set aside: what happened at its last try; else "".
    """

    place: int
    block: Block
    result: Any
    why: str = ""


def rows(first: int, count: int) -> str:
    """The name of a block of rows, counted from 0: "0 to 4095"."""
    return f"{first} to {first + count - 1}"
