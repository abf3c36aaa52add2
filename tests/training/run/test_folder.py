"""One run a folder: across processes, after a kill, and where the folder refuses."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import signal
import subprocess
import sys
from collections import namedtuple
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import psutil
import pytest

from bistill import artifacts
from bistill.errors import ArtifactError, OptionError
from bistill.training.run import folder as run_folder
from bistill.training.run.folder import check_space, owned

HOLD = """
import sys, time
from pathlib import Path
from bistill.training.run.folder import owned
with owned(Path(sys.argv[1]), "teacher"):
    print("held", flush=True)
    sys.stdin.read()
"""
# Forks while it holds the folder; the child prints its number and stays when the parent is gone.
HOLD_AND_FORK = """
import os, sys, time
from pathlib import Path
from bistill.training.run.folder import owned
with owned(Path(sys.argv[1]), "teacher"):
    child = os.fork()
    if not child:
        time.sleep(60)
        os._exit(0)
    print(child, flush=True)
    sys.stdin.read()
"""


@contextmanager
def child(code: str, folder: Path) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def line_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def refusal(folder: Path) -> ArtifactError:
    with pytest.raises(ArtifactError) as caught, owned(folder, "distill"):
        pass
    return caught.value


def test_the_folder_is_made_and_says_who_holds_it(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "model"
    with owned(folder, "distill"):
        note = artifacts.read_json(folder / artifacts.RUN_OWNER)
        assert note["pid"] == os.getpid()
        assert note["process_started"] == psutil.Process().create_time()
        assert note["command"] == "distill"
        assert note["host"] == os.uname().nodename
        assert note["user"]
    assert {path.name for path in folder.iterdir()} <= {artifacts.RUN_LOCK}


def test_it_can_be_taken_again_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), owned(tmp_path, "distill"):
        raise ZeroDivisionError
    assert not (tmp_path / artifacts.RUN_OWNER).exists()
    with owned(tmp_path, "distill"):
        pass


def test_a_user_without_name_is_named_by_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def nameless() -> str:
        raise KeyError("uid not found")

    monkeypatch.setattr(run_folder.getpass, "getuser", nameless)
    with owned(tmp_path, "distill"):
        assert artifacts.read_json(tmp_path / artifacts.RUN_OWNER)["user"] == str(os.getuid())


def test_another_process_is_refused_until_the_holder_is_gone(tmp_path: Path) -> None:
    with child(HOLD, tmp_path) as holder:
        assert line_of(holder) == "held"
        for _ in range(2):  # the first try must not take the holder's name away
            error = refusal(tmp_path)
            assert error.what == "another run is at work in this folder"
            assert error.where == str(tmp_path)
            assert str(error.found).startswith(f"pid {holder.pid} on host {os.uname().nodename}, started 20")
            assert str(error.found).endswith(", command teacher")
            assert f"pid {holder.pid} " in str(error)
            assert error.todo == "wait for it, stop it, or give another `output_dir`"
        holder.communicate("")
        assert holder.returncode == 0
    with owned(tmp_path, "distill"):
        pass


def test_what_a_killed_run_left_hinders_nobody(tmp_path: Path) -> None:
    with child(HOLD, tmp_path) as holder:
        assert line_of(holder) == "held"
        refusal(tmp_path)
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        assert artifacts.read_json(tmp_path / artifacts.RUN_OWNER)["pid"] == holder.pid
    with owned(tmp_path, "distill"):
        assert artifacts.read_json(tmp_path / artifacts.RUN_OWNER)["pid"] == os.getpid()


def test_a_worker_that_outlives_a_killed_run_does_not_keep_the_folder(tmp_path: Path) -> None:
    with child(HOLD_AND_FORK, tmp_path) as holder:
        worker = int(line_of(holder))
        try:
            holder.send_signal(signal.SIGKILL)
            holder.wait()
            assert psutil.pid_exists(worker)
            with owned(tmp_path, "distill"):
                pass
        finally:
            os.kill(worker, signal.SIGKILL)


@pytest.mark.parametrize("note", [None, b"", b'{"pid": 1', b"\xff", b"[]", b"{}"])
def test_a_holder_whose_note_cannot_be_read_is_not_named(tmp_path: Path, note: bytes | None) -> None:
    with owned(tmp_path, "teacher"):
        owner = tmp_path / artifacts.RUN_OWNER
        owner.unlink()
        if note is not None:
            owner.write_bytes(note)
        assert refusal(tmp_path).found == "a run whose name is not known (no readable run.json)"


def test_one_process_does_not_take_a_folder_twice(tmp_path: Path) -> None:
    errors: list[ArtifactError] = []
    with owned(tmp_path, "teacher"):
        errors.append(refusal(tmp_path))
        thread = Thread(target=lambda: errors.append(refusal(tmp_path)))
        thread.start()
        thread.join()
        assert (tmp_path / artifacts.RUN_OWNER).exists()
    assert [str(error.found).split()[:2] for error in errors] == [["pid", str(os.getpid())]] * 2


def test_a_folder_can_be_held_in_a_thread(tmp_path: Path) -> None:
    notes: list[dict[str, object]] = []

    def run() -> None:
        with owned(tmp_path, "teacher"):
            notes.append(artifacts.read_json(tmp_path / artifacts.RUN_OWNER))

    thread = Thread(target=run)
    thread.start()
    thread.join()
    assert [note["pid"] for note in notes] == [os.getpid()]


def test_a_file_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("kept")
    for folder, reason in ((tmp_path / "file", "File exists"), (tmp_path / "file" / "below", "Not a directory")):
        error = refusal(folder)
        assert error.what == f"the output folder cannot be written ({reason})"
        assert error.where == str(folder)
        assert error.todo == "give another `output_dir`, or make it writable"
    assert (tmp_path / "file").read_text() == "kept"


@pytest.mark.parametrize("folder", [Path("/proc/bistill"), Path("/proc/self/fd"), Path("/tmp") / ("n" * 300)])
def test_a_folder_that_not_even_root_can_write_is_refused(folder: Path) -> None:
    assert refusal(folder).what.startswith("the output folder cannot be written (")


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EIO])
@pytest.mark.parametrize("call", ["mkdir", "open", "fsync"])
def test_a_failed_probe_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, number: int) -> None:
    def fail(*_arguments: object, **_named: object) -> None:
        raise OSError(number, os.strerror(number))

    target, name = {
        "mkdir": (Path, "mkdir"),
        "open": (artifacts.tempfile, "NamedTemporaryFile"),
        "fsync": (os, "fsync"),
    }[call]
    monkeypatch.setattr(target, name, fail)
    assert refusal(tmp_path).what == f"the output folder cannot be written ({os.strerror(number)})"
    assert list(tmp_path.iterdir()) == []


def test_a_note_that_cannot_be_written_gives_the_folder_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(path: Path, value: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(artifacts, "write_json", fail)
        assert "No space left" in refusal(tmp_path).what
    with owned(tmp_path, "distill"):
        pass


def test_a_lock_that_is_no_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / artifacts.RUN_LOCK).mkdir()
    assert refusal(tmp_path).what == "the output folder cannot be written (Is a directory)"


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK, errno.ENOTSUP])
def test_without_locks_the_run_goes_on_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], number: int
) -> None:
    def fail(handle: int, operation: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", fail)
    with owned(tmp_path, "distill"):
        assert {path.name for path in tmp_path.iterdir()} == {artifacts.RUN_OWNER}
    assert list(tmp_path.iterdir()) == []
    assert capsys.readouterr().err == (
        f"{tmp_path}: this file system cannot lock files; see to it that no other run uses the folder\n"
    )


def test_another_failure_of_the_lock_is_no_missing_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(handle: int, operation: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(fcntl, "flock", fail)
    assert refusal(tmp_path).what == "the output folder cannot be written (Input/output error)"


def test_an_error_of_the_run_is_not_hidden_by_the_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(path: Path, missing_ok: bool = False) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    with pytest.raises(ZeroDivisionError), owned(tmp_path, "distill"):
        monkeypatch.setattr(Path, "unlink", fail)
        raise ZeroDivisionError


def test_room_is_counted_in_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", ["total", "used", "free"])
    asked: list[Path] = []

    def disk_usage(folder: Path) -> object:
        asked.append(folder)
        return usage(0, 0, 1288490187)

    monkeypatch.setattr(run_folder.shutil, "disk_usage", disk_usage)
    folder = tmp_path / "not" / "yet"
    check_space(folder, 1288490187, "a checkpoint")
    with pytest.raises(ArtifactError) as caught:
        check_space(folder, 1288490188, "a checkpoint")
    assert caught.value.what == ("a checkpoint needs 1.2 GiB (1288490188 bytes), free are 1.2 GiB (1288490187 bytes)")
    assert caught.value.where == str(folder)
    assert "`keep` 1" in caught.value.todo
    assert asked == [tmp_path, tmp_path]


def test_room_of_this_disk(tmp_path: Path) -> None:
    check_space(tmp_path, 0, "nothing")
    with pytest.raises(ArtifactError, match=r"everything needs 1048576\.0 TiB \(1152921504606846976 bytes\)"):
        check_space(tmp_path, 2**60, "everything")


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 bytes"),
        (1023, "1023 bytes"),
        (1024, "1.0 KiB (1024 bytes)"),
        (3 * 2**19, "1.5 MiB (1572864 bytes)"),
        (2**40, "1.0 TiB (1099511627776 bytes)"),
    ],
)
def test_readable_sizes(count: int, text: str) -> None:
    assert run_folder.readable_size(count) == text


def test_the_note_is_json_for_other_programs(tmp_path: Path) -> None:
    with owned(tmp_path, "증류"):
        assert json.loads((tmp_path / artifacts.RUN_OWNER).read_text(encoding="utf-8"))["command"] == "증류"


def test_processes_of_a_launcher_that_were_not_joined_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program under torchrun that does not join them would train the same model several times."""
    told = {"RANK": "0", "WORLD_SIZE": "4", "LOCAL_RANK": "0", "MASTER_ADDR": "localhost", "MASTER_PORT": "29500"}
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    with (
        pytest.raises(OptionError, match=r"(?s)would train by itself.*found: 4 processes.*session\(\)"),
        owned(tmp_path / "run", "train"),
    ):
        pass
    assert not (tmp_path / "run").exists()
