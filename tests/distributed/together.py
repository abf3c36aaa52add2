"""A script of several processes: what ``Team.together`` gives, raises, leaves behind. Its argument says what ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

from bistill import distributed
from bistill.distributed import Desk, peers
from bistill.errors import DataError, ProcessError, RowError

vars(peers).update(SILENCE=3.0, BEAT=0.5, GRACE=3.0)


def doubled(desk: Desk, value: int) -> tuple[int, int, int]:
    calls = desk.work["calls"] = desk.work.get("calls", 0) + 1
    return desk.rank, 2 * value, calls


def pid(_desk: Desk) -> int:
    return os.getpid()


def failing(desk: Desk, where: int, kind: str) -> str:
    if desk.rank == where:
        if kind == "user":
            raise DataError("no rows", where="file.csv", found="x", todo="give rows")
        if kind == "row":
            raise RowError("no text", file="file.csv", row=3, column="query")
        if kind == "memory":
            raise MemoryError("none left")
        raise KeyError("lost key")
    return "done"


class Unreadable:
    """What travels, but cannot be read where it arrives."""

    def __reduce__(self) -> tuple[Any, ...]:
        return int, ("no number",)


def given(_desk: Desk, _value: Any) -> str:
    return "read"


def giving(desk: Desk) -> Any:
    return Unreadable() if desk.rank == 2 else None


def launched(_desk: Desk) -> list[str]:
    return sorted(name for name in os.environ if name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_PORT"))


def summed(_desk: Desk, values: list[float]) -> list[float]:
    import torch

    row = torch.tensor(values)
    torch.distributed.reduce(row, 0)
    return row.tolist()


def sleeping(desk: Desk, seconds: float) -> None:
    if desk.rank == 1:
        time.sleep(seconds)


def error_of(call: Callable[..., Any], *arguments: Any) -> list[str]:
    try:
        call(*arguments)
    except Exception as error:
        return [type(error).__name__, str(error), type(error.__cause__).__name__]
    return []


def main(end: str) -> None:
    team = distributed.here()
    assert team is not None
    found: dict[str, Any] = {"size": team.size}
    found["first"] = team.together(doubled, [(10,), (20,), (30,)])
    cases = ((1, "user"), (2, "fault"), (0, "fault"), (0, "user"), (1, "row"), (2, "memory"))
    found["errors"] = [error_of(team.everywhere, failing, *case) for case in cases]
    found["unreadable"] = error_of(team.together, given, [(1,), (Unreadable(),), (1,)])
    found["second"] = team.everywhere(doubled, 1)
    found["launched"] = team.everywhere(launched)
    found["summed"] = team.together(summed, [([1.0, 2.0],), ([10.0, 20.0],), ([0.5, 0.25],)])[0]
    begun = time.monotonic()
    team.everywhere(sleeping, 5.0)  # longer than silence: who computes is not silent
    found["slept"] = time.monotonic() - begun
    time.sleep(4.0)  # longer than silence: a leader at work alone loses no worker
    found["pids"] = team.everywhere(pid)
    print("FOUND", json.dumps(found), flush=True)
    if end in ("killed", "stopped"):
        os.kill(found["pids"][2], signal.SIGKILL if end == "killed" else signal.SIGSTOP)
        if end == "killed":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)  # torchrun's, by which a run would save and end
            time.sleep(6.0)  # at work alone for longer than a collective operation may wait
        begun = time.monotonic()
        try:
            team.together(doubled, [(1,), (1,), (1,)])
        except ProcessError as error:
            print("LOST", json.dumps([str(error), time.monotonic() - begun]), flush=True)
            if end == "stopped":
                os.kill(found["pids"][2], signal.SIGKILL)
            raise SystemExit(7) from None
    if end == "unreadable answer":
        print(
            "LOST", json.dumps([*error_of(team.everywhere, giving), *error_of(team.everywhere, doubled, 1)]), flush=True
        )
    if end == "in a collective":
        os.kill(found["pids"][2], signal.SIGSTOP)
        # What stands still does not take torchrun's SIGTERM, for which torchrun would wait half a minute.
        subprocess.Popen(["sh", "-c", f"sleep 9; kill -9 {found['pids'][2]}"], start_new_session=True)
        team.collectively(summed, [1.0])
    if end == "leader killed":
        os.kill(os.getpid(), signal.SIGKILL)
    raise SystemExit(5)


if __name__ == "__main__":
    with distributed.session():
        main(sys.argv[1])
