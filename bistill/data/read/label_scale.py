"""The scale of a file's labels: which label counts as 1, found while they stream by."""

from __future__ import annotations

from pathlib import Path

from bistill.errors import DataError


class LabelScale:
    """The scale of a file's labels, found while they stream by.

    Labels are 0 and 1, or graded 0..1, or whole numbers 0..n; with a given maximum n any number in 0..n. Without one,
    a fraction and a label above 1 in the same file contradict each other: nobody can tell 0.5 of 1 from 0.5 of 3.

    A file of 0 and 1 alone has a scale of its own: its 1 is a positive, whatever other files of the source are graded
    up to. Graded files of a source share one.
    """

    def __init__(self, maximum: float | None) -> None:
        self.given = maximum
        self.highest = 0.0
        self.seen = False
        self.above_one: tuple[str, int, float] | None = None
        self.fraction: tuple[str, int, float] | None = None

    def see(self, label: float, file: str | Path, row: int) -> None:
        """Take note of a label.

        Raises:
            DataError: the file mixes fractions with labels above 1.
        """
        self.seen = True
        self.highest = max(self.highest, label)
        if self.above_one is None and label > 1:
            self.above_one = (str(file), row, label)
        if self.fraction is None and not label.is_integer():
            self.fraction = (str(file), row, label)
        self._refuse_mixture()

    def join(self, other: LabelScale) -> None:
        """Take note of the labels of another graded file of the same source.

        Raises:
            DataError: the files together mix fractions with labels above 1.
        """
        self.seen = self.seen or other.seen
        self.highest = max(self.highest, other.highest)
        self.above_one = self.above_one or other.above_one
        self.fraction = self.fraction or other.fraction
        self._refuse_mixture()

    @property
    def maximum(self) -> float:
        """The label that counts as 1.0."""
        return self.given if self.given is not None else max(1.0, self.highest)

    @property
    def graded(self) -> bool:
        """Whether a label other than 0 and 1 was seen."""
        return self.above_one is not None or self.fraction is not None

    @property
    def relevance(self) -> float:
        """Relevance in 0..1 of the highest label that was seen."""
        return self.highest / self.maximum

    def __str__(self) -> str:
        """Which labels were found and what they are taken for, for users."""
        if not self.seen:
            return "no labels: positives and negatives by column"
        if not self.graded and self.maximum == 1:
            return "labels 0 and 1"
        found = f"labels 0 to {self.highest:g}" if self.graded else "labels 0 and 1"
        return f"{found}, divided by {self.maximum:g}"

    def _refuse_mixture(self) -> None:
        if self.given is not None or self.above_one is None or self.fraction is None:
            return
        file, row, label = self.fraction
        high_file, high_row, high = self.above_one
        other = f"row {high_row}" if file == high_file else f"{high_file}, row {high_row},"
        raise DataError(
            f"the labels mix fractions with labels above 1: {label:g} here, {high:g} in {other}",
            where=f"{file}, row {row}",
            todo="give the highest label of the scale with `label_maximum`, or correct the rows",
        )
