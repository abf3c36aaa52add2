"""What a run trains and validates on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from bistill.data.settings import BadRows, Balance
from bistill.data.store.collection import Collection
from bistill.data.store.version import Version
from bistill.journal import Journal
from bistill.settings import Settings, Within


@dataclass(frozen=True)
class TrainingData(Settings):
    """A data version, and how much of it is used.

    Attributes:
        version: where it lies, or several.
        on_bad_rows: stop at the first bad row, or set bad rows aside.
        max_samples: training queries used at most, chosen by the run's seed; None: all.
        balance: of several versions: "rows": each has as many turns in an epoch as it has queries; "versions": each as
            many as the largest (``turns.Turns``).
    """

    version: Version
    on_bad_rows: BadRows = "stop"
    max_samples: Annotated[int, Within(1)] | None = None
    balance: Balance = "rows"

    def load(self, journal: Journal) -> tuple[Collection, Collection]:
        """Training and validation queries with their documents; rejected rows go beside the journal, fingerprints into
        it.

        Raises:
            DataError: the folder or a file is missing, a row is bad, or a file has no query with a positive.
        """
        train, valid = self.version.training(on_bad_rows=self.on_bad_rows, rejected_to=journal.folder)
        journal.write("data", train=train.fingerprint, valid=valid.fingerprint)
        return self.version.collection(train), self.version.collection(valid)
