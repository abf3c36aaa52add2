"""Which miners there are. A new one is a file with its settings and its miner, and a line in ``MINERS``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from bistill import artifacts
from bistill.candidates.mining.miner import Miner
from bistill.candidates.settings import CrossEncoderRanked, Dense, Labelled, Lexical, MinerSettings, Random
from bistill.errors import OptionError
from bistill.own_classes import described, source_digest

# A miner's place is its bit in the file of lists: which miners gave a document is a sum of these. New ones go to the
# end.
MINERS: Final[tuple[type[MinerSettings], ...]] = (Labelled, Random, Lexical, Dense, CrossEncoderRanked)
NAMES: Final = tuple(kind.name for kind in MINERS)
LABELLED_BIT: Final = 1 << NAMES.index(Labelled.name)
RANDOM_BIT: Final = 1 << NAMES.index(Random.name)
LEXICAL_BIT: Final = 1 << NAMES.index(Lexical.name)
# Of a byte.
BITS: Final = 8


def names_of(miners: Sequence[MinerSettings | Miner]) -> tuple[str, ...]:
    """Names by bit: all registered miners, then a user's own among ``miners`` in their order.

    Raises:
        OptionError: no miner, two of one name, one of a registered name, or more of a user's own than there are bits.
    """
    given = [miner.name for miner in miners]
    if not given:
        raise OptionError("at least one miner is needed", where="`miners`", todo="give labelled lexical random")
    if repeated := [name for name in given if given.count(name) > 1]:
        raise OptionError("two miners have one name", where="`miners`", found=repeated[0], todo="name each once")
    own = [miner.name for miner in miners if type(miner) not in MINERS]
    if taken := [name for name in own if name in NAMES]:
        raise OptionError("the name of a miner of bistill", where="`miners`", found=taken[0], todo="name it otherwise")
    if len(NAMES) + len(own) > BITS:
        raise OptionError("too many miners", where="`miners`", found=own, todo=f"give {BITS - len(NAMES)} of your own")
    return (*NAMES, *own)


def searches(miner: MinerSettings | Miner) -> bool:
    """Whether a miner looks for what is near a query, as every one of a user's own does."""
    return not isinstance(miner, MinerSettings) or miner.retrieval


def fingerprint(miner: Miner) -> str:
    """SHA-256 of the identity of a user's own miner; "" where it has no source, or may answer otherwise next time."""
    facts = identity(miner)
    return artifacts.fingerprint(facts) if facts["settings"] and facts["source"] else ""


def recorded(miner: Miner) -> str:
    """The ``identity`` of a user's own miner as one text, by which an interrupted run knows it again."""
    return described(miner, f"name={miner.name!r}, fingerprint={miner.fingerprint()!r}")


def identity(miner: Miner) -> dict[str, Any]:
    """What a user's own miner is known by, in the cache of answers and in the records of a run.

    Returns:
        ``name``, ``kind`` (the qualified name of its class), ``settings`` (its own fingerprint) and ``source``, SHA-256
        of the source of its class; None where Python has none, as for what was typed into an interpreter.
    """
    kind = type(miner)
    name = f"{kind.__module__}.{kind.__qualname__}"
    return {"name": miner.name, "kind": name, "settings": miner.fingerprint(), "source": source_digest(kind)}
