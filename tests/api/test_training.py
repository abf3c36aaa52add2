"""``train_teacher``, ``distill`` and ``evaluate``: the same runs as the commands', from a program."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bistill
from bistill.app.commands import distill as command
from bistill.app.config import DistillationOptions
from bistill.errors import OptionError
from bistill.journal import read
from bistill.losses import InfoNCE, ListScores, ListwiseKL

WORDS = ("list", "sort", "map", "tree", "graph", "key", "value", "red", "blue", "green", "json", "socket", "lock")
ROWS = [
    {"query": f"how to {word}", "document": f"{answer} {word}", "label": label}
    for word in WORDS
    for answer, label in (("returns the", 1), ("error in", 0))
]
SHORT: dict[str, Any] = {"epochs": 1, "batch_size": 4, "lr": 1e-3, "max_len": 32}


class Doubled(InfoNCE):
    """A loss of a user's own."""

    name = "doubled"

    def __call__(self, scores: ListScores) -> Any:
        """Twice the cross-entropy."""
        return 2 * super().__call__(scores)


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> bistill.Dataset:
    monkeypatch.setenv("BISTILL_CACHE", str(tmp_path / "cache"))
    rows = bistill.Dataset.from_rows(ROWS)
    return rows.prepared(seed=1, valid=0.25, test=0.25, folder=tmp_path / "preprocessed" / "mine")


def digest(folder: Path) -> str:
    return hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()


@pytest.mark.slow
def test_a_program_and_a_command_make_the_same_student(
    data: bistill.Dataset, tmp_path: Path, tiny_encoder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    teacher = bistill.train_teacher(data, str(tiny_encoder), output_dir=tmp_path / "teacher", **SHORT)
    assert isinstance(teacher, bistill.Teacher)
    assert teacher.score("how to list", ["returns the list", "error in json"]).shape == (2,)
    student = bistill.distill(
        teacher,
        data,
        str(tiny_encoder),
        output_dir=tmp_path / "student",
        lists=bistill.Lists(5),
        losses=[ListwiseKL(0.1), InfoNCE(0.1, weight=0.5)],
        miners=[bistill.miners.Labelled(), bistill.miners.Lexical(4), bistill.miners.Random()],
        **SHORT,
    )
    options = DistillationOptions(
        teacher_path=str(tmp_path / "teacher"),
        output_dir=str(tmp_path / "by-command"),
        student_name=str(tiny_encoder),
        data_version="mine",
        data_root=str(tmp_path / "preprocessed"),
        K=5,
        tau=0.1,
        info_nce_tau=0.1,
        info_nce_weight=0.5,
        miners=("labelled", "lexical:4", "random"),
        **SHORT,
    )
    record = command.train(options)
    assert digest(tmp_path / "student") == digest(tmp_path / "by-command")
    mine = json.loads((tmp_path / "student" / "bistill.json").read_text(encoding="utf-8"))
    assert mine["options"] | {"output_dir": ""} == json.loads(json.dumps(record["options"])) | {"output_dir": ""}
    again = bistill.distill(
        str(tmp_path / "teacher"),
        data,
        str(tiny_encoder),
        output_dir=tmp_path / "by-command",
        lists=bistill.Lists(5),
        losses=[ListwiseKL(0.1), InfoNCE(0.1, weight=0.5)],
        miners=[bistill.miners.Labelled(), bistill.miners.Lexical(4), bistill.miners.Random()],
        **SHORT,
    )
    assert "is finished; nothing to do" in capsys.readouterr().err
    texts = ["returns the list", "error in json"]
    assert np.array_equal(again.encode_document(texts), student.encode_document(texts))


@pytest.mark.slow
def test_history_and_evaluation(data: bistill.Dataset, tmp_path: Path, tiny_encoder: Path, tiny_teacher: Path) -> None:
    student = bistill.distill(
        str(tiny_teacher),
        data,
        str(tiny_encoder),
        output_dir=tmp_path / "student",
        losses=[Doubled()],
        weak_teacher="teacher",
        **SHORT,
    )
    steps = [line for line in read(tmp_path / "student" / "journal.jsonl") if line["event"] == "step"]
    table = student.history
    assert table.index.tolist() == [0, *range(1, len(steps) + 1)]
    assert table.loc[1:, "doubled"].tolist() == [line["terms"]["doubled"] for line in steps]
    assert table["validation_ndcg_at_10"].notna().sum() == 2  # before the first update and after the epoch
    recorded = json.loads((tmp_path / "student" / "bistill.json").read_text(encoding="utf-8"))["options"]
    assert recorded["losses"][0].startswith(f"{__name__}.Doubled(tau=0.05, weight=1.0), sha256 ")
    report = bistill.evaluate(student, data.test, beside=["bm25"])
    assert report.result["counts"]["documents"] == len(data.documents) > len(data.test.documents)
    assert report.result["models"]["base"]["left_out"] == "the options leave it out"
    assert report.result["models"]["teacher"]["left_out"].startswith("the options leave it out")
    table = report.to_frame()
    assert table[["base", "teacher"]].isna().all(axis=None) and table[["bm25", "student"]].notna().any(axis=None)
    assert len(report.failures(2)) == 2
    rows = [{"query": record.query, "positive": data.test.documents[record.positives[0]]} for record in data.test]
    alone = bistill.evaluate(student, bistill.Dataset.from_rows(rows), beside=[])
    assert alone.result["counts"]["documents"] == len({row["positive"] for row in rows})
    assert {path.suffix for path in report.save(tmp_path / "results")} == {".json", ".png", ".html", ".csv"}


def test_wrong_values_fail_at_once_by_name(data: bistill.Dataset, tmp_path: Path) -> None:
    def refused(match: str, **given: Any) -> None:
        with pytest.raises(OptionError, match=match):
            bistill.distill("t", data, "s", output_dir=tmp_path / "out", **given)

    refused(r"`Loop\.epochs`: a whole number is expected\n  found: '1'", epochs="1")
    refused(r"`Loop\.batch_size`: the value is out of range", batch_size=0)
    refused("`epoch`: no such argument", epoch=1)
    refused(r"`EncoderStart\.precision`: 'auto' or", precision="fp8")
    refused("there is nothing to learn", losses=[])
    refused(r"`TrainingData\.balance`: 'rows' or 'versions' is expected", balance="even")
    with pytest.raises(OptionError, match="`teacher`: a teacher, its name, or several are expected"):
        bistill.distill([], data, "s", output_dir=tmp_path / "out")
    with pytest.raises(OptionError, match="`beside`: no such model\n  found: 'bm52'"):
        bistill.evaluate("s", data.test, beside=["bm52"])
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_the_package_loads_nothing_heavy_and_offers_what_it_says() -> None:
    code = (
        "import sys, bistill\n"
        "assert not {'torch', 'pandas', 'pyarrow', 'transformers'} & sys.modules.keys()\n"
        "assert all(getattr(bistill, name) is not None for name in bistill.__all__)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.slow
def test_a_loss_without_a_source_works_once(
    data: bistill.Dataset, tmp_path: Path, tiny_encoder: Path, tiny_teacher: Path
) -> None:
    space: dict[str, Any] = {"InfoNCE": InfoNCE, "__name__": "typed_in"}
    exec("class Typed(InfoNCE):\n    name = 'typed'", space)
    given: dict[str, Any] = {**SHORT, "losses": [space["Typed"]()], "weak_teacher": "teacher"}
    folder = tmp_path / "student"
    bistill.distill(str(tiny_teacher), data, str(tiny_encoder), output_dir=folder, **given)
    with pytest.raises(OptionError, match="`losses` holds an object whose source is not known"):
        bistill.distill(str(tiny_teacher), data, str(tiny_encoder), output_dir=folder, **given)
    bistill.distill(str(tiny_teacher), data, str(tiny_encoder), output_dir=folder, overwrite=True, **given)


def test_what_is_no_loss_or_miner_is_refused(data: bistill.Dataset, tmp_path: Path) -> None:
    for given, match in (
        ({"losses": ["info_nce"]}, "`losses`: no loss\n  found: 'info_nce'"),
        ({"losses": [InfoNCE]}, "`losses`: no loss"),
        ({"miners": ["lexical"]}, "`miners`: no miner\n  found: 'lexical'"),
        ({"miners": [bistill.miners.Random(), bistill.miners.Random(5)]}, "`miners`: two miners have one name"),
    ):
        with pytest.raises(OptionError, match=match):
            bistill.distill("t", data, "s", output_dir=tmp_path / "out", **given)  # type: ignore[arg-type]
