"""``bistill candidates`` from the files of a data version to the files a person looks at."""

from __future__ import annotations

import csv
import dataclasses
import itertools
import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from bistill.app.commands.candidates import candidates
from bistill.app.config import CandidatesOptions
from bistill.candidates import inspection, picture
from bistill.candidates.filtering import Verdict
from bistill.candidates.listing import read_pools, write_pools
from bistill.candidates.lists import CandidateList
from bistill.candidates.pools import Counts, ScoredPools
from bistill.candidates.scores.teachers import relevance
from bistill.data.store.opening import load_split
from bistill.errors import ArtifactError
from bistill.models.cross_encoder import CrossEncoder
from tests import assembled
from tests.candidates.conftest import WORDS, Small

FILES = [
    *("candidates.json", "candidates.parquet", "candidates.png"),
    *("filtered.csv", "promoted.csv", "suspect_labels.csv"),
]
COLUMNS = ("documents", "logits", "sources", "verdicts", "labels")


@pytest.fixture
def made(small: Small, tiny_teacher: Path, tiny_encoder: Path) -> CandidatesOptions:
    cross = CrossEncoder.load(str(tiny_teacher))
    pairs = [(query, text) for query in small.dataset.queries for text in small.corpus]
    limit = float(np.quantile(relevance(cross.score(pairs)), 0.7))
    return small.options(
        tiny_teacher,
        tiny_encoder,
        miners=("labelled", "random", "lexical:3"),
        max_negative_score=limit,
        irrelevant_below=limit,
    )


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def pools_of(small: Small, options: CandidatesOptions) -> ScoredPools:
    with assembled.opened(options.teacher_path, options, options.precision) as teachers:
        return assembled.built(options, small.dataset, small.corpus, np.arange(10), teachers)


def equal(one: CandidateList, other: CandidateList) -> bool:
    columns = [(getattr(one, name), getattr(other, name)) for name in COLUMNS]
    return (one.query_id, one.positives) == (other.query_id, other.positives) and all(
        np.array_equal(own, given, equal_nan=True) and own.dtype == given.dtype for own, given in columns
    )


@pytest.mark.slow
def test_everything_is_written_and_holds_what_the_pools_hold(
    small: Small, made: CandidatesOptions, capsys: pytest.CaptureFixture[str]
) -> None:
    report = candidates(made)
    folder = Path(made.output_dir)
    assert sorted(path.name for path in folder.iterdir()) == FILES
    pools = pools_of(small, made)
    assert pools.counts.scored == 0
    back = list(read_pools(folder / "candidates.parquet"))
    assert len(back) == len(pools) == 10
    assert all(equal(own, pools[row]) for row, own in enumerate(back))
    table = pq.read_table(folder / "candidates.parquet").to_pylist()
    assert [row["query"] for row in table] == list(small.dataset.queries)

    removed = {
        (small.dataset.queries[pool.query_id], small.corpus[int(document)])
        for pool in back
        for document in pool.documents[pool.verdicts != Verdict.KEPT]
    }
    assert {(row["query"], row["removed"]) for row in rows(folder / "filtered.csv")} == removed != set()
    scores = {(pool.query_id, int(n)): float(s) for pool in back for n, s in
              zip(pool.relevant.documents, pool.relevant.relevance, strict=True)}  # fmt: skip
    suspect = sorted(score for score in scores.values() if score < made.irrelevant_below)
    assert [float(row["relevance"]) for row in rows(folder / "suspect_labels.csv")] == pytest.approx(suspect, abs=1e-4)
    assert report["counts"]["suspect"] == len(suspect) > 0
    assert rows(folder / "promoted.csv") == []
    printed = capsys.readouterr()
    for expected in ("positives found", "teacher's relevance by rank", "removed as probably relevant", *FILES[:3]):
        assert expected in printed.out
    assert f"{len(suspect)} positives of a relevance below" in printed.err


@pytest.mark.slow
def test_what_is_promoted_beside_labels_is_shown(
    small: Small, tiny_teacher: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The tiny teacher is random: of half of all documents it says more than of the labelled positive."""
    report = candidates(small.options(tiny_teacher, miners=("labelled", "random:20"), promote_margin=0.0))
    promoted = rows(Path(report["options"]["output_dir"]) / "promoted.csv")
    assert report["counts"]["promoted_beside"] == len(promoted) > 10
    leads = [float(row["promoted_relevance"]) - float(row["positive_relevance"]) for row in promoted]
    assert leads[-1] >= 0 and all(before >= after - 2e-4 for before, after in itertools.pairwise(leads))
    labelled = {(record.query, small.dataset.documents[one]) for record in small.dataset for one in record.negatives}
    assert not labelled & {(row["query"], row["promoted"]) for row in promoted}
    assert f"10 of {len(promoted)} documents made positives beside labelled ones" in capsys.readouterr().out


def test_a_query_without_a_positive_has_no_candidates_but_its_documents_are_some(
    small: Small, tiny_teacher: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with (small.root / "small" / "train.csv").open("a", encoding="utf-8") as file:
        file.write("why blue,thread of blue,0\nwhy blue,thread of red,0\n")
    report = candidates(small.options(tiny_teacher, miners=("random:40",)))
    assert report["counts"]["queries"] == 10 and report["counts"]["left_out"] == 0
    dataset = load_split(small.root / "small" / "train.csv")
    own = [list(dataset.documents).index(f"thread of {word}") for word in ("blue", "red")]
    back = list(read_pools(Path(report["options"]["output_dir"]) / "candidates.parquet"))
    assert [pool.query_id for pool in back] == list(range(10))
    assert all(set(own) <= {*pool.documents.tolist()} for pool in back)
    said = "candidates: 10 of 11 queries, 17 of 19 rows; no lists are made for the 1 query without a positive"
    assert said in capsys.readouterr().err


@pytest.mark.slow
def test_the_report_counts_what_the_file_holds(small: Small, made: CandidatesOptions) -> None:
    report = candidates(made)
    assert json.loads((Path(made.output_dir) / "candidates.json").read_text()) == json.loads(json.dumps(report))
    assert set(report) == {*("schema", "counts", "by_rank", "by_miner", "teachers", "data", "options", "versions")}
    back = list(read_pools(Path(made.output_dir) / "candidates.parquet"))
    counts = report["counts"]
    assert counts["queries"] == 10
    assert counts["pairs"] == counts["scored"] == sum(len(pool.documents) for pool in back)
    verdicts = np.concatenate([pool.verdicts for pool in back])
    assert (counts["ratio"], counts["absolute"]) == ((verdicts == 1).sum(), (verdicts == 2).sum())
    assert counts["absolute"] > 0
    sources = np.concatenate([pool.sources for pool in back])
    scores = relevance(np.concatenate([pool.logits for pool in back]))
    for name, bit in (("labelled", 1), ("random", 2), ("lexical", 4)):
        own = (sources & bit) > 0
        assert report["by_miner"][name] == {
            "candidates": own.sum(),
            "removed": pytest.approx((verdicts[own] != 0).mean()),
            "mean": pytest.approx(scores[own].mean()),
            "median": pytest.approx(np.median(scores[own])),
        }
    assert set(report["by_miner"]) == {"labelled", "random", "lexical"}
    assert report["data"] == {"train": small.dataset.fingerprint, "corpus": small.corpus.fingerprint()}
    assert report["options"]["miners"] in (["labelled", "random", "lexical:3"], ("labelled", "random", "lexical:3"))


@pytest.mark.slow
def test_a_second_run_scores_nothing_and_writes_the_same(made: CandidatesOptions) -> None:
    folder = Path(made.output_dir)

    def run() -> tuple[dict[str, Any], list[bytes]]:
        report = candidates(made)
        return report, [(folder / name).read_bytes() for name in FILES[1:]]

    first, files = run()
    again, same = run()
    assert (first["counts"]["scored"] > 0, again["counts"]["scored"]) == (True, 0)
    assert same == files
    assert {**again, "counts": first["counts"]} == first


@pytest.mark.slow
def test_the_picture_is_a_png_of_its_size(small: Small, made: CandidatesOptions) -> None:
    candidates(made)
    head = (Path(made.output_dir) / "candidates.png").read_bytes()[:24]
    assert head[:8] == b"\x89PNG\r\n\x1a\n"
    assert struct.unpack(">II", head[16:]) == (1430, 550)  # 13 by 5 inches of 110 dots
    groups = picture.groups(pools_of(small, made))
    pools = list(read_pools(Path(made.output_dir) / "candidates.parquet"))
    sizes = {name: len(values) for name, values in groups.items()}
    assert sizes["positives"] == 11 and sizes["labelled negatives"] == 6
    assert sum(sizes.values()) == sum(len(pool.documents) for pool in pools)


@pytest.mark.slow
def test_without_any_label_the_lists_are_those_of_the_log(
    small: Small, tiny_teacher: Path, tiny_encoder: Path, write_csv: Callable[[Path, list[list[str]]], Path]
) -> None:
    folder = small.root / "small"
    for split in ("train", "valid"):
        (folder / f"{split}.csv").unlink()
    write_csv(folder / "corpus.csv", [["document"], *[[f"returns the {word}"] for word in WORDS]])
    write_csv(folder / "queries.csv", [["query"], *[[f"how to {word} fast"] for word in WORDS[:6]]])
    write_csv(folder / "valid_queries.csv", [["query"], ["value of a set"]])
    options = small.options(tiny_teacher, tiny_encoder, unlabelled=4, lexical_tokens="words", irrelevant_below=0.0)
    report = candidates(options)
    counts = report["counts"]
    assert (counts["queries"], counts["unlabelled"], counts["source_missed"]) == (4, 4, 0)
    pools = list(read_pools(Path(options.output_dir) / "candidates.parquet"))
    assert sum(pool.positives for pool in pools) == counts["promoted"]
    assert all(pool.relevant.logits[0] == pool.logits.max() for pool in pools)
    more = candidates(dataclasses.replace(options, unlabelled=None, max_samples=5))
    assert more["counts"]["unlabelled"] == 5


def by_hand() -> ScoredPools:
    def one(query: int, logits: list[float], removed: int) -> CandidateList:
        size = len(logits)
        verdicts = np.array([Verdict.RATIO] * removed + [Verdict.KEPT] * (size - removed), dtype=np.uint8)
        return CandidateList.scored(query, np.array([0]), np.array([1.0], dtype=np.float32), np.arange(1, size + 1),
                         np.array(logits, dtype=np.float32), np.full(size, 2, np.uint8), verdicts)  # fmt: skip

    return ScoredPools([one(0, [3.0, 0.0, 1.0], 1), one(5, [2.0], 0)], Counts())


def test_figures_by_rank_by_hand() -> None:
    table = {row["rank"]: row for row in inspection.by_rank(by_hand())}
    assert [(rank, row["queries"], row["removed"]) for rank, row in table.items()] == [
        (0, 2, 0.0), (1, 2, 0.5), (2, 1, 0.0), (3, 1, 0.0)]  # fmt: skip
    three, two = 1 / (1 + np.exp(-3.0)), 1 / (1 + np.exp(-2.0))
    assert table[1]["quantiles"] == pytest.approx(
        [two + 0.1 * (three - two), (two + three) / 2, two + 0.9 * (three - two)]
    )
    assert table[2]["quantiles"] == pytest.approx([1 / (1 + np.exp(-1.0))] * 3)
    assert table[3]["quantiles"] == pytest.approx([0.5] * 3)


def test_a_missing_or_torn_file_of_candidates_is_an_error(small: Small, tmp_path: Path) -> None:
    path = tmp_path / "candidates.parquet"
    with pytest.raises(ArtifactError, match="cannot be read"):
        list(read_pools(path))
    write_pools(path, by_hand(), small.dataset)
    assert [pool.query_id for pool in read_pools(path)] == [0, 5]
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ArtifactError, match=r"cannot be read .*\n  do: run bistill candidates first"):
        list(read_pools(path))


def test_lists_without_own_negatives_need_no_candidate(small: Small, tiny_teacher: Path, tiny_encoder: Path) -> None:
    report = candidates(small.options(tiny_teacher, tiny_encoder, miners=("random",), own_documents=1))
    assert (report["counts"]["queries"], report["counts"]["pairs"], report["by_miner"]) == (10, 11, {})
    assert [row["rank"] for row in report["by_rank"]] == [0]
