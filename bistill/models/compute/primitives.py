"""What oneDNN keeps of the products it has computed, held within bounds.

On a CPU oneDNN compiles code for each shape of a product and keeps it, up to a megabyte a shape, in two caches of
1,024 entries: its own, and that of torch's binding to it. A row of texts has ever another number of tokens, so a run
filled both, product by product, over hundreds of updates: half a gigabyte, strewn over the heap between the tensors of
the updates, which then found no room of their size. So rows get few sizes, and the caches few entries.
"""

from __future__ import annotations

import os
from typing import Final

# Sizes of rows between a power of two and the next: a row gets 1.1 % longer on average, 3.1 % at most.
SIZES_OF_AN_OCTAVE: Final = 32
# Entries of each cache. One group of texts needs about ten at a time, forward and backward.
ENTRIES: Final = 256
# Both are read once a process, at the first product; what the user has set stays.
CAPACITIES: Final = ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "LRU_CACHE_CAPACITY")


def row_size(tokens: int) -> int:
    """The number of tokens that a row of so many is filled up to: the next multiple of a 32nd of the power of two
    below, so that sizes come again."""
    step = max((1 << tokens.bit_length() - 1) // SIZES_OF_AN_OCTAVE, 1)
    return -(-tokens // step) * step


def bound_caches() -> None:
    """Let oneDNN keep few products; to be called before the first of a process."""
    for name in CAPACITIES:
        os.environ.setdefault(name, str(ENTRIES))
