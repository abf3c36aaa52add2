"""The terminal face of the monitor: one run in full, the others as a table, in whatever room there is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from rich.cells import cell_len
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from bistill.monitor import panel, plain, words
from bistill.monitor.labels import language, say
from bistill.monitor.layout import Section, beside, cut, ending, fitted, headed, joined, rule
from bistill.monitor.panel import STATE_STYLES
from bistill.monitor.runs import RunView

TWO_COLUMNS: Final = 110
ROOMY_ROWS: Final = 28
OTHER_RUNS: Final = 12
EVENTS: Final = 12


class Screen:
    """Draws the runs on a terminal, anew only when something that is shown has changed.

    Args:
        root: folder of the runs, named where there is none.
        console: the terminal; None: that of standard output.
        notice: gives a line that stands above the runs, whole even where it is long; "" for none.
        has_keys: whether keys are read; then the last line names them.
    """

    def __init__(
        self,
        root: Path,
        console: Console | None = None,
        notice: Callable[[], str] = plain.no_notice,
        *,
        has_keys: bool = False,
    ) -> None:
        self._root, self._notice, self._has_keys = root, notice, has_keys
        self._chosen: Path | None = None
        self._console = console or Console(markup=False, highlight=False, emoji=False)
        self._live = Live(console=self._console, screen=True, auto_refresh=False)
        self.shown: list[Text] | None = None
        self._last: Sequence[RunView] = ()

    def __enter__(self) -> Self:
        """Take the terminal's screen; what stood there comes back at the end."""
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give it back, with a plain line about each run below what stood there."""
        self._live.stop()
        for view in self._last:
            print(plain.line(view))

    def act(self, views: Sequence[RunView]) -> None:
        """Show the runs."""
        self._last = views
        width, height = self._console.size
        above = self._above(width)
        room = height - len(above) - self._has_keys
        nothing = Text(say("no run below {folder} yet", folder=words.inert(self._root)))
        lines = [*above, *(compose(views, width, room, self._chosen) or [nothing])]
        if self._has_keys:
            lines += [Text()] * (height - 1 - len(lines)) + [keys(len(views), width)]
        if lines != self.shown:
            self.shown = lines
            self._live.update(Group(*lines), refresh=True)

    def show_next(self) -> None:
        """Show the next run in full from the next look on; after the last one the first again."""
        folders = [view.status.folder for view in ordered(self._last, self._chosen)]
        self._chosen = folders[1] if len(folders) > 1 else None

    def _above(self, width: int) -> list[Text]:
        """The notice in pieces of the terminal's width, so that an address in it can be copied as it stands."""
        notice = self._notice()
        return [Text(notice[start : start + width]) for start in range(0, len(notice), width)]


def compose(views: Sequence[RunView], width: int, height: int, chosen_folder: Path | None = None) -> list[Text]:
    """At most ``height`` lines, none wider than ``width``: one run, then the others. Pure.

    Args:
        views: the runs.
        width: columns of the terminal.
        height: rows.
        chosen_folder: of the run that somebody chose; None: the live one that was started last.
    """
    if not views:
        return []
    chosen, *others = ordered(views, chosen_folder)
    roomy = height >= ROOMY_ROWS
    top = [rule(words.inert(chosen.status.folder), width, "bold"), *panel.head(chosen, width).lines]
    table = other_runs(others, width, roomy=roomy)
    sections = [*_sections(chosen, width, height), table]
    return [*top, *fitted(sections, height - len(top))][:height]


def ordered(views: Sequence[RunView], chosen: Path | None) -> list[RunView]:
    """The runs, a chosen one first and those that follow it behind; without one the live run that was started last."""
    found = sorted(views, key=_place)
    first = next((place for place, view in enumerate(found) if view.status.folder == chosen), 0)
    return [*found[first:], *found[:first]]


def keys(runs: int, width: int) -> Text:
    """The last line: what each key does."""
    named = [("q", "quit"), *([("n", "next run")] if runs > 1 else [])]
    return cut(Text("   ").join(Text.assemble((key, "bold"), (f" {say(does)}", "dim")) for key, does in named), width)


def _place(view: RunView) -> tuple[bool, float]:
    """Live runs first, the one started last before the others: which of them wrote last changes all the time."""
    return not view.state.live, -(view.status.started if view.state.live else view.status.updated)


def _sections(view: RunView, width: int, height: int) -> list[Section]:
    """Sections of one run below its head, the most important first."""
    roomy = height >= ROOMY_ROWS
    rows = _curve_rows(len(view.status.terms), height)
    if width < TWO_COLUMNS:
        measured = [
            headed(say("training"), panel.terms(view, width, rows), width, roomy=roomy),
            headed(say("validation"), panel.validation(view, width), width, roomy=roomy),
            headed(say("scores"), panel.histograms(view, width, min(rows, 2)), width, roomy=roomy),
        ]
        measured[1:1] = [panel.rates(view, width), panel.facts(view, width)]
    else:
        left, right = width // 2 - 1, width - width // 2 - 1
        terms = headed(say("training"), panel.terms(view, left, rows), left, roomy=True)
        figures = headed(say("validation"), panel.validation(view, right), right, roomy=True)
        scores = headed(say("scores"), panel.histograms(view, right, min(rows, 2)), right, roomy=True)
        both = beside(joined(terms, panel.rates(view, left)), joined(figures, scores), left, width)
        measured = [both, panel.facts(view, width)]
    return [*measured, headed(say("events"), panel.events(view, width, EVENTS), width, roomy=roomy)]


def _curve_rows(curves: int, height: int) -> int:
    """Rows of each curve: with all of them a quarter of the screen, or one each."""
    return min(max(height // (4 * max(curves, 1)), 1), 4) if height >= ROOMY_ROWS else 1


def other_runs(views: Sequence[RunView], width: int, *, roomy: bool) -> Section:
    """A line for each run: folder, stage, state, step, remaining time, loss, first validation figure."""
    if not views:
        return Section([], 0)
    rows = [_cells(view) for view in views[:OTHER_RUNS]]
    widths = [max(cell_len(row[place][0]) for row in rows) for place in range(1, len(rows[0]))]
    while widths and sum(widths) + 2 * len(widths) + 16 > width:
        widths.pop()
    folder = width - sum(widths) - 2 * len(widths)
    lines = [_row(row, [folder, *widths]) for row in rows]
    return headed(say("other runs"), Section(lines, min(len(lines), 2)), width, roomy=roomy)


def _cells(view: RunView) -> list[tuple[str, str]]:
    """Texts and styles of one line; what does not fit is left out from the end."""
    status = view.status
    figure = next(iter(status.figures.items()), None)
    return [
        (words.inert(status.folder), ""),
        (words.state(view, language()), STATE_STYLES[view.state]),
        (f"{status.step}/{status.total_steps}" if status.total_steps else "", ""),
        (words.inert(say(status.stage)), "dim"),
        (words.left(view, language()) or words.clock(status.updated), "dim"),
        (f"loss {words.figure(status.terms.get('loss'))}" if status.terms else "", ""),
        (f"{words.inert(figure[0])} {words.figure(figure[1])}" if figure else "", ""),
    ]


def _row(cells: Iterable[tuple[str, str]], widths: Sequence[int]) -> Text:
    """Cells of the given widths; a folder that is too long loses its beginning, which runs have in common."""
    line = Text()
    for place, ((text, style), width) in enumerate(zip(cells, widths, strict=False)):
        shown = text if place else ending(text, width)
        line.append(shown if not place else f"  {shown}", style)
        line.pad_right(sum(widths[: place + 1]) + 2 * place - line.cell_len)
    return line
