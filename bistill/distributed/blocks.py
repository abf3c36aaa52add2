"""Blocks of work that any machine can do: what a crew is given, and what it gives back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from bistill.errors import BistillError, ProcessError, Told


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


class Answer(NamedTuple):
    """What is given back: a result, or what failed."""

    result: Any
    failed: str = ""


def answered(function: Callable[..., Any], *arguments: Any) -> Answer:
    """What a function gives. Errors travel as texts: what they hold need not be known elsewhere."""
    try:
        return Answer(function(*arguments))
    except BistillError as error:
        return Answer(None, str(error))
    except Exception as error:
        return Answer(None, f"{type(error).__name__}: {error}")


def unfinished(work: Work, block: Block, why: str) -> ProcessError:
    """What is raised for a block that cannot be done, where all are needed."""
    return ProcessError(
        f"some {work.unit} cannot be worked on, and without them there is no result",
        where=f"{work.unit} {block.name}",
        found=Told(why),
        todo="mend what is found and start the command again",
    )


def rows(first: int, count: int) -> str:
    """The name of a block of rows, counted from 0: "0 to 4095"."""
    return f"{first} to {first + count - 1}"
