"""Settings of reading data."""

from __future__ import annotations

from typing import Literal

BadRows = Literal["stop", "skip"]
TextKind = Literal["document", "query"]
