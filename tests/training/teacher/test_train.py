from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bistill.app import assembling
from bistill.app.commands.teacher import train
from bistill.app.config import TeacherOptions
from bistill.candidates.lists import CandidateList
from bistill.data.store.collection import Collection
from bistill.data.store.opening import load_split
from bistill.data.store.version import Version
from bistill.errors import DataError, OptionError
from bistill.journal import read
from bistill.models import rerankers
from bistill.models.bi_encoder import BiEncoder
from bistill.models.cross_encoder import CrossEncoder
from bistill.training import hard_lists as hard
from bistill.training.student import gate
from bistill.training.teacher import train as stage
from bistill.training.teacher.pairs import PairTask
from bistill.training.validation import ValidationLists, measure_teacher
from tests.assembled import hard_lists_of, opened
from tests.training.conftest import as_pairs, distillation_options


def options(data_root: Path, tiny_encoder: Path, **changes: object) -> TeacherOptions:
    settings = {
        "data_version": "tiny",
        "data_root": str(data_root),
        "output_dir": str(data_root.parent / "teacher"),
        "model_name": str(tiny_encoder),
        "epochs": 2,
        "batch_size": 8,
        "lr": 1e-3,
        "max_len": 32,
        "negatives_per_positive": 3,
        **changes,
    }
    return TeacherOptions(**settings)


def test_an_epoch_holds_every_positive_once_and_three_negatives_each(data_root: Path, tiny_encoder: Path) -> None:
    dataset = load_split(data_root / "tiny" / "train.csv")
    encoder = CrossEncoder.start(str(tiny_encoder), max_len=32, precision="fp32", seed=0)
    task = PairTask(encoder, dataset, np.arange(12), negatives_per_positive=3, seed=42)
    assert task.samples == 12 * 4
    pairs = [task.pair(sample, epoch=0) for sample in range(task.samples)]
    assert len({pair for pair, _ in pairs}) == 48
    positives = [pair for pair, label in pairs if label == 1]
    assert sorted(positives) == sorted((query, query.replace("how to", "returns the")) for query in dataset.queries)
    labelled = {dataset.documents[dataset[query].negatives[0]] for query in range(12)}
    assert labelled <= {document for (_, document), label in pairs if label == 0}
    order = task.order(seed=7, epoch=0)
    assert sorted(order) == list(range(48))
    queries = [pairs[sample][0][0] for sample in order]
    assert [queries[start : start + 4] for start in range(0, 48, 4)] == [[name] * 4 for name in queries[::4]]
    assert queries != [pairs[sample][0][0] for sample in task.order(seed=7, epoch=1)]
    assert pairs != [task.pair(sample, epoch=1) for sample in range(task.samples)]


def test_a_teacher_is_measured_on_what_bm25_finds(wide: Path, tiny_encoder: Path) -> None:
    made = options(wide, tiny_encoder, epochs=1)
    record = train(made)
    valid = load_split(wide / "tiny" / "valid.csv")
    documents = assembling.version(made).corpus(valid)
    lists = ValidationLists(valid.queries, documents, hard_lists_of(Collection(valid, documents), made))
    found = measure_teacher(CrossEncoder.load(made.output_dir, max_len=32), lists)
    assert record["validation"] == pytest.approx(found.figures, abs=1e-6)
    before, event = (item for item in read(Path(made.output_dir) / "journal.jsonl") if item["event"] == "evaluation")
    assert before["figures"] == record["validation_untouched"]
    assert event["histograms"]["mined_negative"] == found.histograms["mined_negative"]
    assert sum(found.histograms["mined_negative"]) == sum(int(item.mined.sum()) for item in lists.lists) > 0


@pytest.mark.parametrize("use_lora", [False, True])
def test_the_gate_reads_nothing_that_the_teacher_read_when_it_was_validated(
    wide: Path, tiny_encoder: Path, monkeypatch: pytest.MonkeyPatch, use_lora: bool
) -> None:
    made = options(wide, tiny_encoder, epochs=1, use_lora=use_lora, lora_r=4)
    record = train(made)
    student = distillation_options(wide, Path(made.output_dir), tiny_encoder)
    valid = load_split(wide / "tiny" / "valid.csv")
    corpus = assembling.version(student).corpus(valid)
    monkeypatch.setattr(rerankers, "load", lambda *_, **__: pytest.fail("a pair was read again"))
    with opened(student.teacher_path, student) as teachers:
        lists = hard_lists_of(Collection(valid, corpus), student)
        figures = gate.measure(
            teachers, BiEncoder.load(str(tiny_encoder)), Collection(valid, corpus), lists, most=9, seed=42
        )
    assert figures is not None and figures["pairs"] == 80
    assert figures["teacher"] == {name: record["validation"][name] for name in ("rerank_ndcg_at_10", "auc")}
    # What lies in the cache is what the saved folder gives, adapters merged.
    asked = ValidationLists(valid.queries, corpus, lists)
    with opened(student.teacher_path, student) as teachers:
        known = teachers.logits(valid.queries, corpus, asked.pairs()).logits
    texts = [(valid.queries[query], corpus[int(document)]) for query, document in asked.pairs()]
    np.testing.assert_allclose(known, CrossEncoder.load(made.output_dir).score(texts), atol=1e-5)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"head_pairs": 0}, 3),  # 12 queries of 20 pairs: 240, a quarter of them are three lists of 20
        ({"head_pairs": 0, "epochs": 2}, 3),  # two validations share what two epochs read
        ({"head_pairs": 0, "max_samples": 5}, 1),
        ({"head_pairs": 0, "eval_steps": 1}, 3),  # more validations were asked for, and cost more
        ({}, 1),  # one epoch, and a validation before it
        ({"epochs": 2}, 2),
        ({"trained": True}, 1),
    ],
)
def test_a_validation_reads_a_share_of_the_pairs_of_an_epoch(
    wide: Path,
    tiny_encoder: Path,
    tiny_teacher: Path,
    changes: dict[str, Any],
    expected: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found: list[int] = []

    def measure(_: Any, lists: ValidationLists) -> None:
        found.append(len(lists.lists))
        raise InterruptedError

    monkeypatch.setattr(stage, "measure_teacher", measure)
    monkeypatch.setattr(hard, "LEAST_LISTS", 1)
    monkeypatch.setattr(hard, "PRICE", 0.25)
    given = {"epochs": 1, "batch_size": 500, "negatives_per_positive": 19, **changes}
    start = tiny_teacher if given.pop("trained", False) else tiny_encoder
    with pytest.raises(InterruptedError):
        train(options(wide, start, **given))
    assert found == [expected]


@pytest.mark.parametrize(("pairs", "expected"), [(0, 10), (2000, 10), (2200, 11), (2199, 10), (10**9, 30)])
def test_some_lists_are_read_however_small_the_training(pairs: int, expected: int) -> None:
    lists = [CandidateList.unscored(query, (0,), dict.fromkeys(range(1, 20), 0)) for query in range(30)]
    assert hard.affordable(lists, pairs) == expected
    assert hard.affordable(lists[:4], pairs) == 4


@pytest.mark.parametrize("use_lora", [False, True])
def test_training_writes_the_contract_and_learns(data_root: Path, tiny_encoder: Path, use_lora: bool) -> None:
    made = options(data_root, tiny_encoder, use_lora=use_lora, lora_r=4, lora_alpha=8, epochs=6, lr=3e-3)
    record = train(made)
    folder = Path(made.output_dir)
    names = {path.name for path in folder.iterdir()}
    assert {"best_model.pt", "lora_config.json", "model.safetensors", "config.json", "journal.jsonl"} <= names
    assert ("adapter" in names) is use_lora
    settings = json.loads((folder / "lora_config.json").read_text())
    assert (settings["use_lora"], settings["lora_r"], settings["lora_alpha"]) == (
        use_lora,
        *((4, 8) if use_lora else (16, 32)),
    )
    records = list(read(folder / "journal.jsonl"))
    assert records[0]["event"] == "start"
    assert records[-1]["event"] == "end"
    assert records[-1]["status"] == "finished"
    losses = [item["terms"]["loss"] for item in records if item["event"] == "step"]
    assert len(losses) == 6 * 6
    assert np.mean(losses[-6:]) < np.mean(losses[:6])
    evaluations = {item["step"]: item["figures"] for item in records if item["event"] == "evaluation"}
    best = max(evaluations.values(), key=lambda figures: (figures["rerank_ndcg_at_10"], figures["auc"]))
    assert record["validation"] == best == evaluations[record["best_step"]]


def test_the_same_command_gives_the_same_weights(data_root: Path, tiny_encoder: Path) -> None:
    folders = [data_root.parent / name for name in ("one", "two")]
    for folder in folders:
        train(options(data_root, tiny_encoder, output_dir=str(folder), epochs=1, use_lora=True))
    for name in ("model.safetensors", "best_model.pt"):
        first, second = ((folder / name).read_bytes() for folder in folders)
        assert first == second, name


def test_a_teacher_never_overwrites_its_start(data_root: Path, tiny_encoder: Path) -> None:
    before = sorted(path.name for path in tiny_encoder.iterdir())
    with pytest.raises(OptionError, match="the teacher would overwrite its start"):
        train(options(data_root, tiny_encoder, output_dir=str(tiny_encoder)))
    assert sorted(path.name for path in tiny_encoder.iterdir()) == before


@pytest.mark.slow
def test_what_chooses_the_best_weights_is_part_of_the_run(data_root: Path, tiny_encoder: Path) -> None:
    def inputs() -> dict[str, Any]:
        made = options(data_root, tiny_encoder, epochs=1, overwrite=True)
        train(made)
        return [item for item in read(Path(made.output_dir) / "journal.jsonl") if item["event"] == "inputs"][-1]

    plain = inputs()
    (data_root / "tiny" / "corpus.csv").write_text("document\nhow to json\n", encoding="utf-8")
    further = inputs()
    assert plain["validation"] != further["validation"]
    assert (plain["data"], plain["models"]) == (further["data"], further["models"])


def test_a_data_set_with_few_documents_gives_as_many_pairs_as_it_has(
    tmp_path: Path, tiny_encoder: Path, write_csv: Callable[[Path, list[list[str]]], Path]
) -> None:
    rows = [["query", "positive"], ["what is red", "Red is a colour"], ["what is blue", "red is a  COLOUR"]]
    dataset = load_split(write_csv(tmp_path / "few.csv", [*rows, ["what is green", "green is one"]]))
    encoder = CrossEncoder.start(str(tiny_encoder), max_len=32, precision="fp32", seed=0)
    task = PairTask(encoder, dataset, np.arange(3), negatives_per_positive=4, seed=42)
    assert task.samples == 2 + 2 + 2  # a copy of a positive is no negative of its query, and one text no two negatives
    pairs = [task.pair(sample, 1) for sample in range(6)]
    assert [document for (_, document), label in pairs[:4] if not label] == ["green is one", "green is one"]


@pytest.fixture
def joined(data_root: Path, write_csv: Callable[[Path, list[list[str]]], Path]) -> Version:
    """The data version tiny of 12 training queries, and few of 3."""
    own = [[f"what is {word}", f"the {word} is", "error in few"] for word in ("ox", "elk", "yak")]
    for split, rows in (("train", own), ("valid", [["what is gnu", "the gnu is", "error in few"]])):
        write_csv(data_root / "few" / f"{split}.csv", [["query", "positive", "negative"], *rows])
    (data_root / "tiny" / "test.csv").unlink()  # it holds training queries again
    return Version(data_root, "tiny", ("few",))


def test_a_balanced_epoch_has_as_many_queries_of_each_version(
    joined: Version, tmp_path: Path, tiny_encoder: Path
) -> None:
    dataset, _ = joined.training(rejected_to=tmp_path / "out")
    encoder = CrossEncoder.start(str(tiny_encoder), max_len=32, precision="fp32", seed=0)
    ids = np.arange(15)
    plain = PairTask(encoder, dataset, ids, negatives_per_positive=3, seed=42)
    task = PairTask(encoder, dataset, ids, negatives_per_positive=3, seed=42, balance="versions")
    assert (plain.samples, task.samples) == (15 * 4, 2 * 12 * 4)
    seen = [task.pair(int(sample), epoch=0) for sample in task.order(seed=42, epoch=0)]
    positives = Counter(query for (query, _), label in seen if label)
    assert positives == {query: 1 if number < 12 else 4 for number, query in enumerate(dataset.queries)}
    # Each time that a query comes again it has other random documents.
    drawn = {document for (query, document), label in seen if query == "what is ox" and not label}
    assert len(drawn) > 3
    alone = PairTask(encoder, dataset, ids[12:], negatives_per_positive=3, seed=42, balance="versions")
    assert [alone.pair(sample, 2) for sample in range(12)] == [
        PairTask(encoder, dataset, ids[12:], negatives_per_positive=3, seed=42).pair(sample, 2) for sample in range(12)
    ]


@pytest.mark.slow
def test_a_teacher_of_several_versions_says_and_records_them(
    joined: Version, tiny_encoder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = options(joined.root, tiny_encoder, data_version=joined.names, balance="versions", epochs=1)
    record = train(made)
    assert record["updates"] == 2 * 12 * 4 // 8
    assert record["options"]["data_version"] == ["tiny", "few"] and record["options"]["balance"] == "versions"
    assert "teacher: 96 pairs an epoch; 12 queries of each of 2 data versions" in capsys.readouterr().err
    assert train(made) == record  # kept, not trained again
    with pytest.raises(OptionError, match=r"`data_version` was .*'tiny', 'few'.* is 'tiny'"):
        train(options(joined.root, tiny_encoder, balance="versions", epochs=1))


def test_a_query_with_labels_of_0_alone_gives_its_labelled_pairs(
    tmp_path: Path, tiny_encoder: Path, write_csv: Callable[[Path, list[list[str]]], Path]
) -> None:
    rows = [["red", "red is one", "1"], *[["blue", f"no blue {place}", "0"] for place in range(5)]]
    rows += [["key", "no key", "0.25"], *[["tree", f"tree {place}", "1"] for place in range(20)]]
    dataset = load_split(write_csv(tmp_path / "pairs.csv", [["query", "passage", "label"], *rows]))
    encoder = CrossEncoder.start(str(tiny_encoder), max_len=32, precision="fp32", seed=0)
    task = PairTask(encoder, dataset, np.arange(4), negatives_per_positive=3, seed=42)
    pairs = [[task.pair(sample, epoch) for sample in range(4 + 3 + 1)] for epoch in range(12)]
    assert task.without_positive == 3 + 1
    for own in pairs:
        assert [query for (query, _), _ in own] == ["red"] * 4 + ["blue"] * 3 + ["key"]
        assert len({document for (query, document), _ in own if query == "blue"}) == 3
        assert own[-1] == (("key", "no key"), 0.25)
    read = {pair for own in pairs for pair in own if pair[0][0] == "blue"}
    assert read == {(("blue", f"no blue {place}"), 0.0) for place in range(5)}  # others each epoch, never random ones


@pytest.mark.slow
def test_labels_of_0_alone_teach_and_change_nothing_for_the_lists(
    data_root: Path, tiny_encoder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plain = train(options(data_root, tiny_encoder, epochs=1, output_dir=str(data_root.parent / "plain")))
    alone = [[f"error in {word}", f"{word} thread", "0"] for word in ("file", "json", "set")]
    as_pairs(data_root, "train", [*alone, alone[0]])
    capsys.readouterr()
    made = train(options(data_root, tiny_encoder, epochs=1))
    said = capsys.readouterr().err
    assert "15 queries (3 without a positive)" in said
    assert "teacher: 15 of 15 queries, 28 of 28 rows" in said
    assert "51 pairs an epoch, 3 of them of queries without a positive" in said
    assert (plain["updates"], made["updates"]) == (6, 7)  # 48 and 51 pairs, 8 an update
    folders = (data_root.parent / name for name in ("plain", "teacher"))
    inputs = [next(item for item in read(folder / "journal.jsonl") if item["event"] == "inputs") for folder in folders]
    assert inputs[0]["validation"] == inputs[1]["validation"]
    assert inputs[0]["data"] != inputs[1]["data"]


def test_max_samples_limits_queries(data_root: Path, tiny_encoder: Path) -> None:
    made = options(data_root, tiny_encoder, max_samples=3, epochs=1, batch_size=4)
    assert train(made)["updates"] == 3  # 3 queries, 4 pairs each, 4 pairs an update


def test_bad_rows_are_set_aside_when_asked(data_root: Path, tiny_encoder: Path) -> None:
    path = data_root / "tiny" / "train.csv"
    with path.open("a", encoding="utf-8") as file:
        file.write("how to break,,error\n")
    with pytest.raises(DataError, match=r"train.csv, row 14, column 'positive'"):
        train(options(data_root, tiny_encoder))
    made = options(data_root, tiny_encoder, on_bad_rows="skip", epochs=1)
    train(made)
    rejected = (Path(made.output_dir) / "train_rejected.csv").read_text(encoding="utf-8").splitlines()
    assert len(rejected) == 2
    assert ",14,positive," in rejected[1]


def test_a_failed_run_says_so_in_its_journal(data_root: Path, tiny_encoder: Path) -> None:
    made = options(data_root, tiny_encoder, output_dir=str(data_root.parent / "run"))
    folder = Path(made.output_dir)
    folder.mkdir()
    (folder / "model.safetensors").mkdir()  # the weights cannot be written
    with pytest.raises(Exception):  # noqa: B017
        train(made)
    assert list(read(folder / "journal.jsonl"))[-1]["status"] == "failed"
