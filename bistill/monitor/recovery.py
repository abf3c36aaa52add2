"""What is done about a run: a table from its situation to an action. Pure; ``supervisor`` gathers and acts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, NamedTuple

from bistill.monitor.settings import Recovery
from bistill.monitor.states import RunState

# Each pause before a restart is so many times the one before: a machine in trouble is given time.
PAUSE_GROWTH: Final = 4.0
LOWER_LR: Final = 0.5
# Beside what is demanded, there must be so much more before a paused run goes on: no flutter at the limit.
ROOM_AGAIN: Final = 1.1
# Hangs that are answered between two checkpoints, and learning rates lowered in a run.
MOST_HANGS: Final = 1
MOST_LOWERED: Final = 1
# Evaluations started for the same weights: one, and one more after a crash of its own.
MOST_EVALUATIONS: Final = 2
# What a process that was ended by SIGINT or SIGTERM leaves, from without and from within.
STOPPED_CODES: Final = frozenset({-2, -15, 130, 143})
USER_ERROR_CODE: Final = 2
MEMORY: Final = "memory ran out"


@dataclass(frozen=True)
class Situation:
    """All that decides what is done about a run.

    Attributes:
        state: of the run.
        stage: teacher or distillation.
        error_kind: of a failed run, as in its journal.
        alive: whether its process, or one that was started in its place and has no line in the journal yet, lives.
        ours: whether the process may be signalled.
        begun: whether the live process is the one that the journal names.
        paused: whether a monitor stopped it and it still stands.
        ending: whether a monitor is ending it.
        ended_hanging: whether a monitor ended it because it hung, and has not started it again.
        restarts: starts by monitors without a newer checkpoint.
        hangs: of those, the ones after a hang.
        lowered: restarts of this run with a lower learning rate.
        given_up: whether a monitor gave it up.
        return_code: of the process, negative for a signal; None while it is not known.
        killed_for_memory: whether the system killed a process for memory about when this one ended.
        micro_batch_tokens: tokens that it may hold at once; 0 if unknown.
        whole_update_tokens: tokens of the last update, if it was run in one piece; else 0.
        lr_factor: by which its learning rate is multiplied already.
        free_bytes: room on its disk.
        needed_bytes: room without which it is paused.
        evaluates_itself: whether its command evaluates the student.
        can_be_evaluated: whether there are test data.
        evaluated: whether there are results for these weights.
        evaluating: whether an evaluation is at work.
        evaluations: started by monitors for these weights.
        recovery: what the monitor may do.
    """

    state: RunState
    stage: str = "distillation"
    error_kind: str = ""
    alive: bool = True
    ours: bool = True
    begun: bool = True
    paused: bool = False
    ending: bool = False
    ended_hanging: bool = False
    restarts: int = 0
    hangs: int = 0
    lowered: int = 0
    given_up: bool = False
    return_code: int | None = None
    killed_for_memory: bool = False
    micro_batch_tokens: int = 0
    whole_update_tokens: int = 0
    lr_factor: float = 1.0
    free_bytes: int = 0
    needed_bytes: int = 0
    evaluates_itself: bool = False
    can_be_evaluated: bool = True
    evaluated: bool = False
    evaluating: bool = False
    evaluations: int = 0
    recovery: Recovery = Recovery()

    @property
    def memory_ran_out(self) -> bool:
        """As the run said, or as the system's killing of a process suggests."""
        return self.error_kind == "out_of_memory" or self.killed_for_memory

    @property
    def may_restart(self) -> bool:
        """Whether the run may be started once more without a newer checkpoint."""
        return self.restarts < self.recovery.max_restarts

    @property
    def wants_evaluation(self) -> bool:
        """Whether it is a finished student that nobody has evaluated or will."""
        done = self.evaluates_itself or self.evaluated or self.evaluating
        finished = self.state is RunState.FINISHED and self.stage == "distillation"
        return finished and self.recovery.evaluate and self.can_be_evaluated and not done


class Do(StrEnum):
    """What is done."""

    NOTHING = "nothing"
    RESTART = "restart"
    END = "end"
    PAUSE = "pause"
    CONTINUE = "continue"
    EVALUATE = "evaluate"
    GIVE_UP = "give_up"


@dataclass(frozen=True)
class Action:
    """What is done about a run.

    Attributes:
        do: in a word.
        reason: why, for messages and records.
        pause: seconds to wait before it is done.
        flags: options that the command is given anew, by name.
    """

    do: Do
    reason: str = ""
    pause: float = 0.0
    flags: Mapping[str, float] = field(default_factory=dict)


class Rule(NamedTuple):
    """One line of the table: a reason, whether it holds, and what is done then."""

    reason: str
    holds: Callable[[Situation], bool]
    do: Do


def decide(situation: Situation) -> Action:
    """The action of the first rule that holds."""
    rule = next(rule for rule in RULES if rule.holds(situation))
    if rule.do is not Do.RESTART:
        return Action(rule.do, rule.reason)
    growth = PAUSE_GROWTH**situation.restarts
    pause = 0.0 if situation.ended_hanging else situation.recovery.restart_pause * growth
    return Action(rule.do, rule.reason, pause, _flags(situation))


def _flags(situation: Situation) -> dict[str, float]:
    if situation.ended_hanging:
        return {}
    if situation.state is RunState.DIVERGED:
        return {"resume_lr_factor": LOWER_LR * situation.lr_factor}
    held = situation.micro_batch_tokens
    if not situation.memory_ran_out or held <= 0:
        return {}
    # A budget of more than a whole update needs would have to be halved many times before it meant anything.
    if situation.whole_update_tokens:
        held = min(held, situation.whole_update_tokens)
    return {"micro_batch_tokens": max(held // 2, 1)}


RULES: Final = (
    # A run that has done its work.
    Rule("the distillation has finished", lambda s: s.wants_evaluation and s.evaluations == 0, Do.EVALUATE),
    Rule("the evaluation broke off", lambda s: s.wants_evaluation and s.evaluations < MOST_EVALUATIONS, Do.EVALUATE),
    Rule("the evaluation broke off again", lambda s: s.wants_evaluation and not s.given_up, Do.GIVE_UP),
    Rule("its work is done", lambda s: s.state in (RunState.FINISHED, RunState.EVALUATING), Do.NOTHING),
    Rule("it was given up", lambda s: s.given_up, Do.NOTHING),
    # A live process.
    Rule("it is being started", lambda s: s.alive and not s.begun, Do.NOTHING),
    Rule("it is not known well enough to be signalled", lambda s: s.alive and not s.ours, Do.NOTHING),
    Rule("it is being ended", lambda s: s.alive and s.ending, Do.NOTHING),
    Rule("the disk has room again", lambda s: s.alive and s.paused and _has_room_again(s), Do.CONTINUE),
    Rule("it waits for room on the disk", lambda s: s.alive and s.paused, Do.NOTHING),
    Rule("the disk is nearly full", lambda s: s.alive and s.free_bytes < s.needed_bytes, Do.PAUSE),
    Rule("it hangs", lambda s: s.state is RunState.STALLED and s.hangs < MOST_HANGS and s.may_restart, Do.END),
    Rule("it hangs again", lambda s: s.state is RunState.STALLED, Do.GIVE_UP),
    Rule("it is at work", lambda s: s.alive, Do.NOTHING),
    # A process that is gone.
    Rule("it hung and was ended", lambda s: s.ended_hanging and s.may_restart, Do.RESTART),
    Rule("it was stopped", lambda s: s.state is RunState.STOPPED or s.return_code in STOPPED_CODES, Do.NOTHING),
    Rule("options, data or models must be changed", lambda s: s.error_kind == "user", Do.NOTHING),
    Rule("its command is refused", lambda s: s.return_code == USER_ERROR_CODE and not s.error_kind, Do.GIVE_UP),
    Rule("its loss is NaN or infinite", lambda s: s.state is RunState.DIVERGED and _may_lower(s), Do.RESTART),
    Rule("its loss is NaN or infinite", lambda s: s.state is RunState.DIVERGED, Do.GIVE_UP),
    Rule(MEMORY, lambda s: s.memory_ran_out and s.may_restart, Do.RESTART),
    Rule("it crashed", lambda s: s.may_restart, Do.RESTART),
    Rule("it does not get beyond its last checkpoint", lambda s: not s.alive, Do.GIVE_UP),
)


def _has_room_again(situation: Situation) -> bool:
    return situation.free_bytes >= ROOM_AGAIN * situation.needed_bytes


def _may_lower(situation: Situation) -> bool:
    return situation.recovery.lower_lr and situation.lowered < MOST_LOWERED and situation.may_restart
