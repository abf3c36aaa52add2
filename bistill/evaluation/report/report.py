"""What an evaluation found: figures to read, to print, to save, and queries to look at."""

from __future__ import annotations

import contextlib
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bistill import artifacts, console
from bistill.errors import ArtifactError
from bistill.evaluation.questions import Questions
from bistill.evaluation.report import by_query, page, plots, summary
from bistill.evaluation.report.failing import failures
from bistill.evaluation.scores import Answers
from bistill.languages import Language

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Report:
    """What an evaluation found.

    Attributes:
        result: every figure, as the JSON holds it; ``docs/evaluation.md`` explains every key.
        asked: the queries, documents and pairs.
        answers: what the models answered.
    """

    result: dict[str, Any]
    asked: Questions
    answers: Answers

    def summary(self, language: Language | None = None) -> None:
        """Print the verdict, the main figures, one column a model, then what they are worth.

        Args:
            language: "en" or "ko"; None: that of the locale on a terminal, else English.
        """
        summary.print_summary(self.result, language)

    def to_frame(self) -> pd.DataFrame:
        """The figures that ``summary`` prints: one row a figure, one column a model; NaN where a model has none."""
        import pandas as pd

        roles = summary.shown_roles(self.result)
        figures = summary.figures(self.result, roles)
        return pd.DataFrame.from_dict(figures, orient="index", columns=roles, dtype="float64")

    def failures(self, count: int = 20) -> pd.DataFrame:
        """The queries that the student ranks worst, by nDCG@10, the worst first.

        Args:
            count: of queries, at most.

        Returns:
            Columns ``query``, ``ndcg_at_10``, ``rank`` (of its first relevant document; NaN where the ranking ends
            before it), ``expected`` (text of its most relevant document) and ``found`` (of the one that stands first).
        """
        import pandas as pd

        return pd.DataFrame(failures(self.asked, self.answers.student, count))

    def save(self, folder: str | Path) -> list[Path]:
        """Write the JSON, the picture, the page and the table of all queries, whole or not at all.

        Args:
            folder: is made where it is missing; the files of another report in it are replaced, which is said.

        Returns:
            The four files.

        Raises:
            ArtifactError: the folder cannot be written.
        """
        output = Path(folder)
        with artifacts.probe(output):
            pass
        with tempfile.TemporaryDirectory(dir=output, prefix=f".{artifacts.UNFINISHED_PREFIX}") as name:
            unfinished = Path(name)
            artifacts.write_json(unfinished / artifacts.EVALUATION_JSON, self.result)
            plots.draw(unfinished / artifacts.EVALUATION_PNG, self.result, self.asked, self.answers)
            page.write(unfinished / artifacts.EVALUATION_PAGE, self.result, self.asked, self.answers)
            by_query.write(unfinished / artifacts.EVALUATION_QUERIES, self.asked, self.answers)
            _say_replaced(output / artifacts.EVALUATION_JSON, self.result)
            for file in artifacts.EVALUATION_FILES:
                (unfinished / file).replace(output / file)
        return [output / file for file in artifacts.EVALUATION_FILES]


def _say_replaced(before: Path, result: dict[str, Any]) -> None:
    """Say which student's or file's report is replaced, where it is another's."""

    def known_by(report: dict[str, Any]) -> list[Any]:
        student, test = report["models"]["student"], report["data"]["test"]
        return [student["path"], student.get("weights"), test["path"], test.get("sha256")]

    with contextlib.suppress(ArtifactError, KeyError, TypeError, AttributeError):  # none, or no report of ours
        model, weights, file, content = known_by(artifacts.read_json(before))
        if [model, weights, file, content] != known_by(result):
            console.say(f"{before.parent}: the report of {model} (as it was then) on {file} is replaced")
