"""Which documents an evaluation ranks: those of the test file, all of its data version, or others beside its own.

A rank among few documents looks better than the same model's rank in a search over all of them, so a split of a data
version is ranked among the whole version unless told otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from bistill.data.store.dataset import Dataset
from bistill.data.store.opening import load_documents
from bistill.data.store.version import Version
from bistill.errors import OptionError

TestData = str | Path | Dataset
MoreDocuments = str | Path | Sequence[str] | None
Which = Literal["test", "version", "file", "texts"]
TEST: Final = "test"
VERSION: Final = "version"


@dataclass(frozen=True)
class Further:
    """Documents that are ranked beside those of the test file.

    Attributes:
        texts: the documents; those of the test file may be among them.
        which: test: there are none; version: all of the data version; file, texts: what the user gave.
        path: of the data version or the file, as a user names it.
    """

    texts: Sequence[str]
    which: Which
    path: str | None = None

    def record(self) -> dict[str, Any] | None:
        """As the report holds it; None where the test file's documents are ranked alone."""
        return None if self.which == "test" else {"which": self.which, "path": self.path}


def further(test: TestData, documents: MoreDocuments) -> Further:
    """The documents that are ranked beside those of a test file.

    Args:
        test: the file, or an open one.
        documents: "version": all of the data version that the file lies in; "test" or (): none; else a file with a
            document column, or texts. None: "version" where the file lies in a data version, else "test".

    Raises:
        OptionError: "version" is given, and the file lies in none.
        DataError: a file cannot be used.
    """
    path = test.path if isinstance(test, Dataset) else Path(test)
    version = Version.of_file(path)
    if documents is None:
        documents = TEST if version is None else VERSION
    if isinstance(documents, str) and documents == VERSION:
        if version is None:
            raise OptionError(
                "the test file lies in no data version",
                where="`documents`",
                found=str(path),
                todo="give test for its own documents, or a file with a document column",
            )
        # A bad row of another split is no row of this evaluation: its run is not stopped by it.
        return Further(version.documents(on_bad_rows="skip"), "version", str(version.folder))
    if not isinstance(documents, str | Path):
        return Further(documents, "texts") if len(documents) else Further((), "test")
    if str(documents) == TEST:
        return Further((), "test")
    return Further(load_documents(documents), "file", str(documents))
