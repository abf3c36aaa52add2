"""Arrays by what their numbers are: the types of signatures and fields. Shapes stand in docstrings."""

from __future__ import annotations

from typing import Any, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

Number = TypeVar("Number", bound=np.generic)  # of what gives the kind of number that it takes

Ints: TypeAlias = npt.NDArray[np.int64]  # ids, places, lengths, counts
Tokens: TypeAlias = npt.NDArray[np.int32]  # token ids and the other inputs of a model
Floats: TypeAlias = npt.NDArray[np.float32]  # vectors, cosines, logits
Doubles: TypeAlias = npt.NDArray[np.float64]  # figures and what they are computed of
Reals: TypeAlias = npt.NDArray[np.floating[Any]]  # scores in either precision, where a function takes both
Flags: TypeAlias = npt.NDArray[np.bool_]
Bytes: TypeAlias = npt.NDArray[np.uint8]  # bits of miners, verdicts, bitmaps
Keys: TypeAlias = npt.NDArray[np.uint64]  # 64 bits of a hash
