"""Why a run is not going on, and what to do about it, in English and Korean. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from bistill.languages import Language
from bistill.monitor import telling
from bistill.monitor.runs import RunView
from bistill.monitor.states import RunState
from bistill.monitor.words import Words, clock

# How the advice of an error of bistill begins, in a line of its own (``bistill.errors``).
ADVICE: Final = "do: "
OUTPUT_LETTERS: Final = 8000
KINDS: Final = {
    "user": Words("options, data or models must be changed", "옵션, 데이터 또는 모델을 고쳐야 함"),
    "out_of_memory": Words("memory ran out", "메모리 부족"),
    "diverged": Words("the loss became NaN or infinite", "손실이 NaN 또는 무한대가 됨"),
    "fault": Words("an error inside the program", "프로그램 내부 오류"),
}
STATES: Final = {
    RunState.CRASHED: Words(
        "the process ended without writing why: it was killed, or the machine failed",
        "프로세스가 아무 기록 없이 사라짐: 강제 종료되었거나 컴퓨터가 멈춤",
    ),
    RunState.STALLED: Words(
        "the process lives but has written nothing for too long", "프로세스는 살아 있지만 너무 오래 기록이 없음"
    ),
    RunState.DIVERGED: KINDS["diverged"],
    RunState.FAILED: Words("the run ended with an error", "오류로 끝남"),
}
TODO: Final = {
    "user": Words("change what the error names, then start it again", "오류가 말하는 것을 고친 뒤 다시 시작하세요"),
    "out_of_memory": Words(
        "start it again with a lower --micro_batch_tokens or --max_len, or on a machine with more memory",
        "--micro_batch_tokens나 --max_len을 낮추거나 메모리가 더 많은 컴퓨터에서 다시 시작하세요",
    ),
    "diverged": Words(
        "start it again with --resume_lr_factor 0.5, half the learning rate from its last checkpoint on",
        "--resume_lr_factor 0.5를 붙여 다시 시작하세요. 마지막 체크포인트부터 학습률이 절반이 됩니다",
    ),
}
AGAIN: Final = Words(
    "start the same command again; it goes on from the checkpoint of step {step}",
    "같은 명령을 다시 시작하세요. {step}스텝 체크포인트에서 이어집니다",
)
ANEW: Final = Words("start the same command again", "같은 명령을 다시 시작하세요")
STACKS: Final = Words(
    "where it stands is in stacks.txt of its folder (kill -USR1 {pid} writes it); end it and start it again",
    "어디서 멈췄는지는 실행 폴더의 stacks.txt에 있습니다(kill -USR1 {pid}로 기록). 끝내고 다시 시작하세요",
)
LAST_STEP: Final = Words("step {step}", "{step}스텝")


class Failure(NamedTuple):
    """Why a run is not going on.

    Attributes:
        kind: of what happened, in a sentence.
        error: what the run said, without its advice; "" where it said nothing.
        last: the last line of its journal, with its time of day.
        todo: what to do.
        given_up: why the monitor starts it no more; "" where it has not given up.
        output: traceback, or what the process printed last; "" where there is none.
    """

    kind: str
    error: str
    last: str
    todo: str
    given_up: str
    output: str


def failure(view: RunView, language: Language = "en") -> Failure | None:
    """Why a run is not going on; None of one that is at work, has finished or was stopped."""
    status, state = view.status, view.state
    if state not in STATES:
        return None
    lines = status.error.strip().splitlines()
    advice = [line.strip().removeprefix(ADVICE) for line in lines if line.strip().startswith(ADVICE)]
    error = "\n".join(line for line in lines if not line.strip().startswith(ADVICE))
    kind = KINDS.get(status.error_kind, STATES[state])
    return Failure(
        kind=kind.said(language),
        error=error,
        last=_last(view, language),
        todo="; ".join(advice) or _todo(view, language),
        given_up=telling.reason(view.care.given_up, language),
        output=(status.traceback or _output(view))[-OUTPUT_LETTERS:],
    )


def _todo(view: RunView, language: Language) -> str:
    status = view.status
    if view.state is RunState.STALLED:
        return STACKS.said(language, pid=status.pid)
    kind = "diverged" if view.state is RunState.DIVERGED else status.error_kind
    if kind in TODO:
        return TODO[kind].said(language)
    return (AGAIN if status.checkpoint_step > 0 else ANEW).said(language, step=status.checkpoint_step)


def _last(view: RunView, language: Language) -> str:
    """The last line that was no word of its end."""
    status = view.status
    last: Mapping[str, Any] = next((record for record in reversed(status.events) if record.get("event") != "end"), {})
    time = last.get("time")
    points = status.history.steps
    if points and not (isinstance(time, int | float) and time > points[-1].time):
        return f"{clock(points[-1].time)} {LAST_STEP.said(language, step=status.step)}"
    return f"{clock(time)} {telling.event(last, language)}" if last else ""


def _output(view: RunView) -> str:
    """What a monitor found last in the output of a process that it gave up."""
    acts = reversed(view.care.records)
    given_up: Mapping[str, Any] = next((record for record in acts if record.get("event") == "give_up"), {})
    return str(given_up.get("message", "")).partition("\n")[2] if view.care.given_up else ""
