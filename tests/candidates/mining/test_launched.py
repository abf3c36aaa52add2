"""Mining by three processes, started as torchrun does: the answers of one."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.distributed.launching import command, run

SCRIPT = str(Path(__file__).with_name("mined_together.py"))
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    code, said = run(command(3, SCRIPT))
    assert code == 0, said
    [line] = re.findall(r"^FOUND (.*)$", said, re.MULTILINE)
    found: dict[str, Any] = json.loads(line)
    return found


def test_vectors_are_searched_with_the_answer_of_one_process(found: dict[str, Any]) -> None:
    exact, by_faiss, another = found["dense"]
    assert exact and by_faiss and another  # faiss has an answer of its own here, else the exact one would do
    assert found["calls"] > 30


def test_bm25_finds_the_documents_and_the_scores_of_one_process(found: dict[str, Any]) -> None:
    assert found["lexical"] == [True, True]


def test_a_document_that_fails_is_named_and_the_processes_go_on(found: dict[str, Any]) -> None:
    assert re.match(r"documents 20 to 23: .*without them there is no result\n.*'NoneType'", found["broken"])
    assert found["again"] == [True, True]


def test_nothing_stays_at_a_desk(found: dict[str, Any]) -> None:
    assert found["kept"] == [[], [], []]
