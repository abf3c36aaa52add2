"""From what is seen of a run to the situation that decides what is done about it."""

from __future__ import annotations

from typing import Final

from bistill.monitor import commands, machine, model_folder
from bistill.monitor.care import Care
from bistill.monitor.processes import named_in
from bistill.monitor.recovery import Situation
from bistill.monitor.runs import RunView
from bistill.monitor.settings import Recovery
from bistill.monitor.states import RunState

# A checkpoint is written beside the older ones.
CHECKPOINTS_OF_ROOM: Final = 1.2


def gather(view: RunView, care: Care, recovery: Recovery, *, return_code: int | None, memory_kill: bool) -> Situation:
    """The situation of a run.

    Args:
        view: of the run at this moment.
        care: what monitors have done about it.
        recovery: what is done about runs.
        return_code: of the process that was looked after last, None while it is not known.
        memory_kill: whether the system killed a process for memory about when the run ended.
    """
    status = view.status
    begun = view.process.alive
    alive = begun or _is_being_started(view, care)
    restarts = care.restarts_without_progress(status.checkpoint_step)
    finished = status.ended == "finished"
    free, needed = _room(view, recovery.min_free_mib) if begun else (0, 0)
    return Situation(
        state=view.state,
        stage=status.stage,
        error_kind=status.error_kind,
        alive=alive,
        ours=view.process.ours,
        begun=begun,
        paused=care.paused and view.process.stopped,
        ending=care.ending_since is not None and alive,
        ended_hanging=care.ending_since is not None and not alive,
        restarts=len(restarts),
        hangs=sum(bool(record.get("hang")) for record in restarts),
        lowered=sum("resume_lr_factor" in record.get("flags", {}) for record in care.restarts),
        given_up=bool(care.given_up),
        return_code=return_code,
        killed_for_memory=memory_kill and not status.ended,
        micro_batch_tokens=status.micro_batch_tokens,
        whole_update_tokens=status.tokens if status.micro_batches == 1 else 0,
        lr_factor=model_folder.lr_factor(status.folder) if view.state is RunState.DIVERGED else 1.0,
        free_bytes=free,
        needed_bytes=needed,
        evaluates_itself=commands.is_pipeline(status),
        can_be_evaluated=finished and model_folder.can_be_evaluated(status),
        evaluated=finished and model_folder.is_evaluated(status),
        evaluating=view.state is RunState.EVALUATING,
        evaluations=sum(trained == status.started for trained, _ in care.evaluations),
        recovery=recovery,
    )


def _is_being_started(view: RunView, care: Care) -> bool:
    """Whether a process that a monitor started lives and has not written its first line yet."""
    process = named_in(view.status)
    return care.process is not None and not care.looks_after(process) and care.process.is_alive()


def _room(view: RunView, min_free_mib: int) -> tuple[int, int]:
    """Bytes that are free on a run's disk, and those without which it is paused; (0, 0) where it never is."""
    free = machine.free_bytes(view.status.folder)
    if free is None or not min_free_mib:
        return 0, 0
    return free, (min_free_mib << 20) + int(CHECKPOINTS_OF_ROOM * view.status.checkpoint_bytes)
