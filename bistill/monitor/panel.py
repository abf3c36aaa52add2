"""One run on a terminal: sections of lines, each line of the width that it is asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from rich.cells import cell_len
from rich.text import Text

from bistill.monitor import failures, telling, words
from bistill.monitor.curves import bars, curve, filled
from bistill.monitor.labels import language, say
from bistill.monitor.layout import Section, cut, wrapped
from bistill.monitor.runs import RunView
from bistill.monitor.states import RunState
from bistill.monitor.status import RunStatus

STATE_STYLES: Final = {
    RunState.STARTING: "bold cyan",
    RunState.RUNNING: "bold green",
    RunState.SAVING: "bold blue",
    RunState.EVALUATING: "bold cyan",
    RunState.STALLED: "bold yellow",
    RunState.RECOVERING: "bold yellow",
    RunState.PAUSED: "bold yellow",
    RunState.DIVERGED: "bold red",
    RunState.CRASHED: "bold red",
    RunState.FAILED: "bold red",
    RunState.STOPPED: "bold magenta",
    RunState.FINISHED: "bold green",
}
EVENT_STYLES: Final = {"trouble": "yellow", "unlearned": "yellow", "evaluation": "cyan", "saved": "green"}
ACT_STYLES: Final = {"give_up": "red", "watching": "dim", "evaluated": "green", "outcome": ""}
HISTOGRAM_STYLES: Final = {
    "positive": "blue",
    "labelled_negative": "red",
    "mined_negative": "magenta",
    "random_negative": "yellow",
}
# Rows that the error, and what to do about it, may take.
FAILURE_ROWS: Final = 3
NAME_WIDTH: Final = 18
VALUE_WIDTH: Final = 9


def head(view: RunView, width: int) -> Section:
    """Stage, state, progress and remaining time; what ended the run, what to do, and why no monitor acts any more."""
    status = view.status
    stage, state = words.inert(say(status.stage or "run")), words.state(view, language())
    line = Text.assemble((stage, "bold"), "  ", (state, STATE_STYLES[view.state]))
    if status.total_steps:
        line.append(f"  {say('epoch {number}', number=status.epoch + 1)}")
    if status.pid:
        started = say("process {pid}, started {time}", pid=status.pid, time=words.clock(status.started))
        line.append(f"  {started}", "dim")
    if view.reading < 1:
        line.append(f"  {say('reading the journal, {share}', share=f'{view.reading:.0%}')}", "yellow")
    lines = [cut(line, width), _progress(view, width)]
    for place, said in enumerate(_failure(view)):
        lines += wrapped(Text(said, "red" if place < 1 else ""), width, FAILURE_ROWS)
    return Section(lines, len(lines))


def _failure(view: RunView) -> list[str]:
    """What went wrong and what to do, a line each."""
    found = failures.failure(view, language())
    if found is None:
        return []
    said = {"error": found.error, "given up": found.given_up, "do": found.todo}
    lines = [f"{say(name)}: {words.first_line(text)}" for name, text in said.items() if text]
    return lines if found.error else [found.kind, *lines]


def _progress(view: RunView, width: int) -> Text:
    status = view.status
    if not status.total_steps:
        return cut(Text.assemble((say("no update yet"), "dim")), width)
    done_of = say("step {step}/{total}", step=status.step, total=status.total_steps)
    said = f" {status.progress:4.0%}  {done_of}"
    if left := words.left(view, language()):
        said += f"  {left}"
    done, undone = filled(status.progress, max(width - cell_len(said), 4))
    return cut(Text.assemble((done, STATE_STYLES[view.state]), (undone, "dim"), said), width)


def terms(view: RunView, width: int, height: int) -> Section:
    """Every loss term, its last value and its curve of so many rows."""
    lines: list[Text] = []
    for name, value in view.status.terms.items():
        values = [point.terms.get(name) for point in view.status.history.steps]
        lines += _measured(name, words.figure(value), values, width, height, "green")
    return Section(lines, len(lines))


def rates(view: RunView, width: int) -> Section:
    """Learning rate, tokens per second and gradient norm with their curves."""
    status, points = view.status, view.status.history.steps
    if not points:
        return Section([], 0)
    curves = [
        ("lr", f"{status.lr:.2e}", [point.lr for point in points]),
        ("tokens/s", f"{status.tokens_per_second:.0f}", [point.tokens_per_second for point in points]),
        ("gradient norm", words.figure(status.grad_norm), [point.grad_norm for point in points]),
    ]
    lines = [line for name, value, drawn in curves for line in _measured(say(name), value, drawn, width, 1, "cyan")]
    return Section(lines, 2)


def _measured(
    name: str, value: str, values: Sequence[float | None], width: int, height: int, style: str, note: str = ""
) -> list[Text]:
    """A name, its last value and its curve; of a curve of several rows the last one stands beside the name."""
    start = Text.assemble(_name(name), f" {value:>{VALUE_WIDTH}} ", (note and f"{note} ", "dim"))
    *above, last = curve(values, max(width - start.cell_len, 0), height)
    lines = [Text.assemble(" " * start.cell_len, (row, style)) for row in above]
    return [cut(line, width) for line in (*lines, start.append(last, style))]


def _name(text: str) -> Text:
    """A name in the column of names."""
    name = Text(words.inert(text))
    name.truncate(NAME_WIDTH, overflow="ellipsis", pad=True)
    return name


def facts(view: RunView, width: int) -> Section:
    """What is known beside the curves, in as many lines as it needs."""
    status, process = view.status, view.process
    said: list[tuple[str, str]] = []
    if status.seconds_per_step:
        said.append(("s/step", f"{status.seconds_per_step:.2f}"))
    if process.resident_mib:
        said.append(("process memory", words.size(process.resident_mib)))
    elif status.memory_mib:
        said.append(("memory", words.size(status.memory_mib)))
    if process.gpu_mib:
        said.append(("GPU memory", words.size(process.gpu_mib)))
    if status.micro_batch_tokens:
        said.append(("token budget", str(status.micro_batch_tokens)))
    if status.cache_hit_rate is not None:
        said.append(("teacher scores known", f"{status.cache_hit_rate:.0%}"))
    if status.best:
        said.append(("best weights", say("step {step}", step=status.best["step"])))
    if status.checkpoint_step >= 0:
        said.append(("checkpoint", say("step {step}", step=status.checkpoint_step)))
    lines = _flowing([(say(name), value) for name, value in said], width)
    return Section(lines, len(lines))


def _flowing(said: Sequence[tuple[str, str]], width: int) -> list[Text]:
    """Names and values one after the other, broken between them."""
    lines: list[Text] = []
    for name, value in said:
        item = Text.assemble((f"{name} ", "dim"), value)
        if lines and lines[-1].cell_len + 3 + item.cell_len <= width:
            lines[-1].append_text(Text.assemble("   ", item))
        else:
            lines.append(item)
    return [cut(line, width) for line in lines]


def validation(view: RunView, width: int) -> Section:
    """Every validation figure, its best so far, and its curve."""
    lines: list[Text] = []
    evaluations = view.status.history.evaluations
    for name, value in view.status.figures.items():
        values = [record["figures"].get(name) for record in evaluations]
        best = max((number for number in values if number is not None), default=None)
        note = say("best {figure}", figure=words.figure(best))
        lines += _measured(name, words.figure(value), values, width, 1, "magenta", note)
    return Section(lines, len(lines))


def histograms(view: RunView, width: int, height: int) -> Section:
    """Scores of the last validation by kind, from 0 on the left to 1 on the right."""
    lines: list[Text] = []
    for kind, counts in last_histograms(view.status).items():
        *above, last = bars(counts, height)
        style = HISTOGRAM_STYLES.get(kind, "cyan")
        lines += [Text.assemble(" " * (NAME_WIDTH + 3), (row, style)) for row in above]
        ends = (" 0▕", "dim"), (last, style), ("▏1", "dim")
        pairs = say("({pairs} pairs)", pairs=sum(counts))
        lines.append(Text.assemble(_name(say(kind.replace("_", " "))), *ends, f"  {pairs}"))
    return Section([cut(line, width) for line in lines], len(lines))


def last_histograms(status: RunStatus) -> dict[str, list[int]]:
    """Counts by kind of the last validation that has any; {} where there is none."""
    for record in reversed(status.history.evaluations):
        found = record.get("histograms")
        if isinstance(found, dict) and found:
            return {kind: counts for kind, counts in found.items() if _are_counts(counts)}
    return {}


def _are_counts(value: Any) -> bool:
    """Whether a journal, which may be anyone's, has numbers of pairs here."""
    return isinstance(value, list) and all(isinstance(count, int) and count >= 0 for count in value)


def events(view: RunView, width: int, most: int) -> Section:
    """The last events of the run and the last acts of its monitors, with their times, the newest first."""
    lines = [
        Text.assemble(
            (f"{words.clock(record.get('time'))} ", "dim"), (telling.event(record, language()), _event_style(record))
        )
        for record in view.events[: -most - 1 : -1]
    ]
    return Section([cut(line, width) for line in lines], 1)


def _event_style(record: Mapping[str, Any]) -> str:
    if "monitor" in record:
        return ACT_STYLES.get(record["event"], "yellow")
    failed = record["event"] == "end" and record.get("status") == "failed"
    return "red" if failed else EVENT_STYLES.get(record["event"], "")
