"""What a run trains and validates on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, TypedDict

from bistill import artifacts
from bistill.data.settings import BadRows, Balance
from bistill.data.store.collection import Collection
from bistill.data.store.corpus import Corpus
from bistill.data.store.dataset import Dataset
from bistill.data.store.version import Version
from bistill.journal import Journal
from bistill.settings import Settings, Within


class _Reading(TypedDict):
    on_bad_rows: BadRows
    rejected_to: Path


@dataclass(frozen=True)
class TrainingData(Settings):
    """A data version, and how much of it is used.

    Attributes:
        version: where it lies, or several.
        on_bad_rows: stop at the first bad row, or set bad rows aside.
        max_samples: training queries used at most, chosen by the run's seed; None: all.
        balance: of several versions: "rows": each has as many turns in an epoch as it has queries; "versions": each as
            many as the largest (``turns.Turns``).
        unlabelled: training queries without labels used at most, chosen by the run's seed; None: all there are. 0: none
            are read, which is all that a training without a teacher can do.
    """

    version: Version
    on_bad_rows: BadRows = "stop"
    max_samples: Annotated[int, Within(1)] | None = None
    balance: Balance = "rows"
    unlabelled: Annotated[int, Within(0)] | None = 0

    def load(self, journal: Journal) -> tuple[Collection, Collection]:
        """What ``read`` gives, with its documents, and raises; rejected rows go beside the journal, fingerprints into
        it."""
        train, valid = self.read(journal.folder)
        journal.write("data", train=train.fingerprint, valid=valid.fingerprint)
        return self.version.collection(train), self.version.collection(valid)

    def held_out(self, valid: Dataset, rejected_to: Path) -> Collection | None:
        """Held-out queries without labels beside a validation that has labels, with all documents; None where queries
        without labels are not read, none are held out, or the validation has no labels itself.

        Args:
            valid: the validation queries.
            rejected_to: folder that the rows set aside go to.

        Raises:
            DataError: a row is bad.
        """
        version, name = self.version, artifacts.LOG_FILES["valid"]
        there = any((one.folder / name).is_file() for one in version.each)
        if self.unlabelled == 0 or not valid.labelled or not there:
            return None
        found = version.unlabelled(split="valid", on_bad_rows=self.on_bad_rows, rejected_to=rejected_to)
        documents = version.documents(on_bad_rows=self.on_bad_rows)
        return Collection(found, Corpus(found.documents, documents)) if len(found.unlabelled) else None

    def read(self, rejected_to: Path) -> tuple[Dataset, Dataset]:
        """Training and validation queries. Those without labels stand behind the labelled ones; of
        ``Version.without_labels`` there are no others, and for validation they are taken where there are no labels.

        Args:
            rejected_to: folder that the rows set aside go to.

        Raises:
            DataError: the folder or a file is missing, a row is bad, or a file has no query with a positive.
        """
        version = self.version
        how: _Reading = {"on_bad_rows": self.on_bad_rows, "rejected_to": rejected_to}
        if self.unlabelled == 0 or not version.without_labels:
            train, valid = version.training(**how)
            return train if self.unlabelled == 0 else version.unlabelled(train, **how), valid
        held_out = version.validation(**how)
        if held_out is None:
            held_out = version.unlabelled(split="valid", **how)
        return version.unlabelled(**how), held_out
