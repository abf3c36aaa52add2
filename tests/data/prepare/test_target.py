"""What lies in a data version's folder already: done, made otherwise, broken off, or not ours."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bistill.data.prepare import writing as prepare_writing
from bistill.data.prepare.loading import Loader
from bistill.data.prepare.record import RECORD_VERSION
from bistill.data.settings import Splitting
from bistill.data.store.opening import load_documents, load_split
from bistill.errors import ArtifactError, DataError, OptionError
from tests.data.prepare.versions import Write, queries_by_split, run, unsplit


def test_a_slip_in_a_header_is_told_before_what_was_made_otherwise(write: Write, tmp_path: Path) -> None:
    rows = "".join(unsplit(20))
    made = run(write("rows.csv", "query,positive,negative\n" + rows), tmp_path)
    before = (made.folder / "train.csv").read_bytes()
    for overwrite in (False, True):
        with pytest.raises(DataError, match=r"missing column: query; is 'qurey' meant to be 'query'\?"):
            run(write("rows.csv", "qurey,positive,negative\n" + rows), tmp_path, overwrite=overwrite)
    with pytest.raises(OptionError, match=r"the data version was made otherwise: .*rows.csv has changed since"):
        run(write("rows.csv", "query,positive,negative\n" + rows + "a,b,c\n"), tmp_path)
    assert (made.folder / "train.csv").read_bytes() == before


def test_a_second_run_does_nothing_until_something_changes(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write("rows.csv", "query,positive,negative\n" + "".join(unsplit()))
    first = run(file, tmp_path)
    before = {path.name: path.read_bytes() for path in first.folder.iterdir()}

    def refuse(*_: object) -> None:
        raise ArtifactError("prepared again")

    with monkeypatch.context() as patched:
        patched.setattr(Loader, "load", refuse)
        again = run(file, tmp_path)
        assert (again.reused, again.queries, again.report) == (True, first.queries, first.report)
        assert "nothing to do" in capsys.readouterr().err
        assert run(file, tmp_path, overwrite=True).reused
        with pytest.raises(ArtifactError):
            run(file, tmp_path, overwrite=True, splitting=Splitting(seed=1))
    (first.folder / "test.csv").unlink()
    assert not run(file, tmp_path).reused
    assert {path.name: path.read_bytes() for path in first.folder.iterdir()} == before
    (tmp_path / "moved").mkdir()
    moved = file.rename(tmp_path / "moved" / "rows.csv")
    assert run(moved, tmp_path).reused  # known by its content
    file.write_text(moved.read_text(encoding="utf-8") + "new question,p,n\n", encoding="utf-8")
    assert not run(file, tmp_path, overwrite=True).reused
    record = json.loads((first.folder / "prepare.json").read_text(encoding="utf-8"))
    assert sorted(record["files"]) == ["test.csv", "train.csv", "valid.csv"]
    assert sum(record["queries"].values()) == 41


def test_files_changed_or_added_by_hand_stay(write: Write, tmp_path: Path) -> None:
    file = write("rows.csv", "query,positive,negative\n" + "".join(unsplit()))
    folder = run(file, tmp_path, splitting=Splitting(valid=0)).folder
    whole = (folder / "train.csv").read_bytes()
    write("out/v/train.csv", whole + b"mine,p,1\n")
    with pytest.raises(OptionError, match="changed since"):
        run(file, tmp_path, splitting=Splitting(valid=0))
    assert (folder / "train.csv").read_bytes() == whole + b"mine,p,1\n"
    write("out/v/train.csv", whole)
    write("out/v/valid.csv", "mine")
    with pytest.raises(OptionError, match="did not write") as raised:
        run(file, tmp_path, splitting=Splitting(valid=0))
    assert str(folder / "valid.csv") in str(raised.value)
    assert (folder / "valid.csv").read_text(encoding="utf-8") == "mine"


def test_a_data_version_that_was_made_otherwise_is_replaced_only_when_wanted(write: Write, tmp_path: Path) -> None:
    file = write("rows.csv", "query,positive,negative\n" + "".join(unsplit()))
    folder = run(file, tmp_path).folder
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    other = write("other.csv", "query,positive\n" + "".join(f"how far is {n},{n} miles\n" for n in range(30)))
    for source, changes, said in (
        (file, {"splitting": Splitting(seed=1, test=0.2)}, "`seed` was 42, is 1, `test_share` was 0.1, is 0.2"),
        (other, {}, f"the source was '{file}', is '{other}'"),
        (other, {"on_bad_rows": "skip"}, f"is '{other}'; `on_bad_rows` was 'stop', is 'skip'"),
    ):
        with pytest.raises(OptionError, match="the data version was made otherwise") as raised:
            run(source, tmp_path, **changes)
        assert said in str(raised.value) and "`overwrite`" in str(raised.value)
    file.write_text(file.read_text(encoding="utf-8") + "new question,p,n\n", encoding="utf-8")
    with pytest.raises(OptionError, match=r"rows.csv has changed since"):
        run(file, tmp_path)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    (folder / "test.csv").unlink()  # what is left is still another's
    with pytest.raises(OptionError, match="the data version was made otherwise"):
        run(other, tmp_path)
    assert run(other, tmp_path, overwrite=True).queries == {"train": 24, "valid": 3, "test": 3}
    assert run(other, tmp_path).reused


def test_what_an_earlier_version_made_is_kept_until_it_is_to_be_made_anew(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write("rows.csv", "query,positive,negative\n" + "".join(unsplit()))
    folder = run(file, tmp_path).folder
    record = json.loads((folder / "prepare.json").read_text(encoding="utf-8"))
    del record["options"]["near_duplicates"]  # an option that it did not have yet
    (folder / "prepare.json").write_text(json.dumps(record | {"version": 0}), encoding="utf-8")
    capsys.readouterr()
    assert run(file, tmp_path).reused
    assert "an earlier version of bistill made it; `overwrite` makes it anew" in capsys.readouterr().err
    with pytest.raises(OptionError, match=r"`near_duplicates` was 0.9, is 0.8"):
        run(file, tmp_path, splitting=Splitting(near_duplicates=0.8))
    assert not run(file, tmp_path, overwrite=True).reused
    assert json.loads((folder / "prepare.json").read_text(encoding="utf-8"))["version"] == RECORD_VERSION


def test_a_data_version_stays_whole_while_another_is_written_in_its_place(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write("rows.csv", "query,positive,negative\n" + "".join(unsplit()))
    folder = run(file, tmp_path).folder
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    write_csv = prepare_writing.write_csv

    def broken_off(path: Path, *rest: Any) -> None:
        write_csv(path, *rest)
        if path.name == "test.csv":
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(prepare_writing, "write_csv", broken_off)
        with pytest.raises(KeyboardInterrupt):
            run(file, tmp_path, overwrite=True, splitting=Splitting(seed=1))
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    (folder / ".unfinished-data").mkdir()  # of a process that was killed
    write("out/v/.unfinished-data/corpus.csv", "passage\nold\n")
    assert not run(file, tmp_path, overwrite=True, splitting=Splitting(seed=1)).reused
    assert sorted(path.name for path in folder.iterdir()) == ["prepare.json", "test.csv", "train.csv", "valid.csv"]


def test_a_data_version_whose_files_were_about_to_move_is_refused_until_it_is_whole(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write("rows.csv", "query,positive,negative\n" + "".join(unsplit()))
    folder = run(file, tmp_path).folder
    replace = Path.replace

    def broken_off(self: Path, target: Path) -> Path:
        if Path(target) == folder / "test.csv":
            raise KeyboardInterrupt
        return replace(self, target)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", broken_off)
        with pytest.raises(KeyboardInterrupt):
            run(file, tmp_path, overwrite=True, splitting=Splitting(seed=1))
    for name in ("train.csv", "test.csv"):
        with pytest.raises(DataError, match="broken off") as raised:
            load_split(folder / name)
        assert str(folder / name) in str(raised.value) and "again" in str(raised.value)
    write("out/v/corpus.csv", "passage\nold\n")
    with pytest.raises(DataError, match="broken off"):
        load_documents(folder / "corpus.csv")
    assert not run(file, tmp_path, splitting=Splitting(seed=1)).reused
    assert sum(len(queries) for queries in queries_by_split(folder).values()) == 40
    assert not (folder / "corpus.csv").exists()


def test_foreign_files_and_bad_options_are_refused(write: Write, tmp_path: Path) -> None:
    file = write("rows.csv", "query,positive,negative\n" + "".join(unsplit()))
    write("out/v/train.csv", "mine")
    with pytest.raises(OptionError, match="did not write"):
        run(file, tmp_path)
    assert (tmp_path / "out/v/train.csv").read_text(encoding="utf-8") == "mine"
    with pytest.raises(OptionError, match="source would be overwritten"):
        run(tmp_path / "out" / "v", tmp_path)
    with pytest.raises(OptionError, match="plain folder name"):
        run(file, tmp_path, name="../x")
    with pytest.raises(OptionError, match="leave no query for training"):
        run(file, tmp_path, splitting=Splitting(valid=0.5, test=0.5))
