"""What stands on the screen, drawn on terminals of fixed size."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
from rich.console import Console, Group

from bistill.monitor.panel import STATE_STYLES
from bistill.monitor.processes import ProcessFacts
from bistill.monitor.runs import RunView
from bistill.monitor.screen import Screen, compose
from bistill.monitor.states import RunState
from tests.monitor.views import records, view

SIZES = [(60, 20), (61, 21), (80, 24), (100, 30), (109, 33), (110, 20), (140, 50), (200, 60), (60, 60), (200, 20)]
NAMES = ("loss", "listwise_kl", "contrastive_hinge", "negative_penalty", "ndcg_at_10", "auc", "margin")


def drawn(views: list[RunView], width: int, height: int) -> list[str]:
    """Lines of a terminal without colours."""
    console = Console(file=io.StringIO(), width=width, height=height, force_terminal=True, color_system=None)
    console.print(Group(*compose(views, width, height)))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


def several() -> list[RunView]:
    return [
        view(records(60)),
        view(records(3, stage="teacher"), RunState.RECOVERING, folder="모델/한국어-교사-모델/실행 하나"),
        view(
            [*records(5), {"time": 1300.0, "event": "end", "status": "finished", "seconds": 300.0}], RunState.FINISHED
        ),
        view(records(200), RunState.CRASHED, folder="models/" + "long/" * 30 + "run"),
    ]


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_everything_that_matters_fits(width: int, height: int) -> None:
    lines = drawn(several(), width, height)
    assert len(lines) <= height
    text = "\n".join(lines)
    for name in NAMES:
        assert re.search(rf"^.*\b{name} ", text, re.MULTILINE), name
    for said in ("running", "step 60/200", "4 min 40 s left", "0.0667", "1.40e-05", "1204", "1.5 GiB", "75%", "0.9000"):
        assert said in text, said
    for kind in ("positive", "labelled negative", "random negative"):
        assert kind in text
    assert "checkpoint of step 60" in text and "out of memory" not in text
    assert RunState.RECOVERING.value in text
    assert "best 0.8000" in text


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_no_line_is_broken_or_cut_by_the_terminal(width: int, height: int) -> None:
    composed = compose(several(), width, height)
    assert max(line.cell_len for line in composed) <= width
    assert [line.plain.rstrip() for line in composed] == [line.rstrip() for line in drawn(several(), width, height)]


def test_figures_curves_and_bars_of_a_small_run() -> None:
    made = records(20)
    lines = drawn([view(made)], 80, 24)
    # 20 values of 1 / step; the curve has room for 51
    [loss] = [line for line in lines if line.startswith("loss")]
    assert loss.split() == ["loss", "0.0500", "█▄▃▂▂▂▂▂▁▁▁▁▁▁▁▁▁▁▁▁"]
    [figure] = [line for line in lines if line.startswith("ndcg")]
    assert figure.split() == ["ndcg_at_10", "0.8000", "best", "0.8000", "▁█"]
    [bars] = [line for line in lines if line.startswith("positive")]
    assert bars == "positive           0▕            ▁▂▄█▄▂▁ ▏1  (22 pairs)"
    assert lines[2].endswith(" 10%  step 20/200  6 min 00 s left")
    assert any("best weights step 20" in line and "checkpoint step 20" in line for line in lines)


def test_texts_of_a_run_are_neither_markup_nor_commands_to_the_terminal() -> None:
    hostile = "[red]models[/red]/:smile:\x1b[2J\x1b]0;title\x07\u202egnp"
    made = records(2)
    made[0]["stage"] = "[bold]stage\x1b[1A"
    made[2]["terms"] = {"[link=x]loss[/link]\x1b[5m": 1.0}
    made[3]["terms"] = made[2]["terms"]
    made.append({"time": 1010.0, "event": "trouble", "kind": "a\x1bkind", "message": "[blink]query\x9b2J\nmore"})
    made.append({"time": "[b]now", "event": "unheard[/]of\x1b", "pairs": []})
    made.append({"time": 1012.0, "event": "end", "status": "failed", "seconds": 1.0, "error": "[/nonsense]\x1b[2J"})
    shown = drawn([view(made, RunState.FAILED, folder=hostile)] * 2, 120, 40)
    text = "\n".join(shown)
    for part in (
        "[red]models[/red]/:smile:",
        "[bold]stage",
        "[link=x]loss[/l",
        "[blink]query",
        "unheard[/]of",
        "[/nonsense]",
    ):
        assert part in text, part
    assert all(sign.isprintable() or sign == "\n" for sign in text)


def test_of_several_live_runs_the_one_started_last_is_shown_whichever_wrote_last() -> None:
    younger = records(2)
    younger[0]["time"] += 1
    views = [
        view(records(9), folder="models/older"),
        view(records(200), RunState.FINISHED, folder="models/done"),
        view(younger, folder="models/younger"),
    ]
    lines = drawn(views, 80, 24)
    assert lines[0].startswith("── models/younger ")
    assert [line.split()[0] for line in lines[-2:]] == ["models/older", "models/done"]


def test_a_run_that_has_not_begun_and_no_run() -> None:
    lines = drawn([view(records(0), RunState.STARTING)], 80, 24)
    assert "starting" in lines[1] and lines[2].startswith("no update yet")
    assert any("teacher scores known 75%" in line for line in lines)
    assert compose([], 80, 24) == []


def test_a_journal_that_is_still_read_and_a_failed_run_say_so() -> None:
    ended = {"time": 1500.0, "event": "end", "status": "failed", "seconds": 9.0, "error": "row 3: empty\nfound: ''"}
    lines = drawn([view([*records(5), ended], RunState.FAILED, reading=0.456)], 100, 30)
    assert "failed" in lines[1] and lines[1].endswith("reading the journal, 46%")
    assert lines[3:5] == ["error: row 3: empty", "do: start the same command again"]
    assert "left" not in lines[2]


def test_acts_of_monitors_stand_among_the_events() -> None:
    acts = [
        {
            "time": 1002.0,
            "monitor": 7,
            "event": "watching",
            "message": "a monitor looks after the run",
            "pid": 1,
            "process_started": 2,
        },
        {"time": 1003.5, "monitor": 7, "event": "evaluation", "message": "its evaluation is started\nsecond line"},
        {
            "time": 9999.0,
            "monitor": 7,
            "event": "give_up",
            "message": "it crashed: it is given up\n  File x",
            "reason": "it \x1bcrashed",
        },
        {"time": None, "monitor": 7, "event": "of a later version"},
    ]
    lines = drawn([view(records(2), RunState.CRASHED, acts=acts)], 100, 40)
    assert lines[3].startswith("the process ended without writing why")
    assert lines[4:6] == ["given up: it �crashed", "do: start the same command again"]
    start = next(number for number, line in enumerate(lines) if line.startswith("── events")) + 1
    assert [line[9:] for line in lines[start : start + 6]] == [
        "monitor: it crashed: it is given up",
        "monitor: its evaluation is started",
        "monitor: a monitor looks after the run",
        "candidates of 32 queries: 200 pairs, 50 of them scored anew",
        "started: distillation, process 4242",
        "monitor: of a later version",
    ]


def test_foreign_histograms_are_passed_over() -> None:
    made = records(10)
    evaluation = next(record for record in made if record["event"] == "evaluation")
    evaluation["histograms"] = {"positive": ["x"], "random_negative": 7, "other": [1, 2]}
    lines = drawn([view(made)], 80, 24)
    assert [line for line in lines if "pairs)" in line] == ["other              0▕▄█▏1  (3 pairs)"]


def test_gpu_memory_and_budget_are_shown() -> None:
    made = [*records(5), {"time": 1400.0, "event": "trouble", "kind": "out_of_memory", "micro_batch_tokens": 4096}]
    facts = ProcessFacts(alive=True, resident_mib=512.0, gpu_mib=20480.0)
    text = "\n".join(drawn([view(made, process=facts)], 100, 30))
    for said in ("process memory 512 MiB", "GPU memory 20.0 GiB", "token budget 4096"):
        assert said in text


def test_every_state_has_its_style() -> None:
    assert set(STATE_STYLES) == set(RunState)


def test_the_screen_is_drawn_again_only_after_a_change(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    console = Console(file=io.StringIO(), width=200, height=24, force_terminal=True, color_system=None)
    out = console.file
    assert isinstance(out, io.StringIO)
    run = view(records(5))
    with Screen(tmp_path, console) as screen:
        screen.act([])
        assert f"no run below {tmp_path}" in out.getvalue()
        screen.act([run])
        length = len(out.getvalue())
        screen.act([run])
        assert len(out.getvalue()) == length
        run.status.feed(records(6)[-1])
        screen.act([run])
        assert "step 6/200" in out.getvalue()[length:]
    assert "models/student: distillation, running, step 6/200" in capsys.readouterr().out


def test_the_last_line_names_the_keys_and_a_key_shows_the_next_run(tmp_path: Path) -> None:
    console = Console(file=io.StringIO(), width=80, height=24, force_terminal=True, color_system=None)
    runs = [view(records(3), folder=f"models/{name}") for name in ("a", "b", "c")]
    titles = []
    with Screen(tmp_path, console, has_keys=True) as screen:
        for _ in range(4):
            screen.act(runs)
            assert screen.shown is not None
            assert len(screen.shown) == 24 and screen.shown[-1].plain == "q quit   n next run"
            titles.append(screen.shown[0].plain.split()[1])
            screen.show_next()
        screen.act(runs[:1])
        assert screen.shown is not None and screen.shown[-1].plain == "q quit"
        screen.act([])
        assert screen.shown is not None and screen.shown[0].plain.startswith("no run below")
        screen.show_next()  # nothing to show: no error
    assert titles == ["models/a", "models/b", "models/c", "models/a"]
