"""Words of the screen in Korean."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from bistill.monitor import labels, panel, screen
from bistill.monitor.screen import compose, keys
from bistill.monitor.states import RunState
from tests.monitor.views import records, view

# Names of losses and figures, and units, are the same in every language.
SAME = re.compile(
    r"loss|listwise_kl|contrastive_hinge|negative_penalty|ndcg_at_10|auc|margin|models/\w+|MiB|GiB|GPU|BM25"
)


@pytest.fixture
def korean() -> Iterator[None]:
    labels.speak("ko")
    yield
    labels.speak("en")


@pytest.mark.usefixtures("korean")
@pytest.mark.parametrize(("width", "height"), [(60, 20), (80, 24), (120, 40)])
def test_a_korean_screen_has_no_english_word(width: int, height: int) -> None:
    made = [*records(20), {"time": 1100.0, "event": "memory", "micro_batch_tokens": 512}]
    runs = [view(made), view(records(3), RunState.CRASHED, folder="models/b"), view([], folder="models/c")]
    for lines in (compose(runs, width, height), compose(runs, width, height, Path("models/b"))):
        assert max(line.cell_len for line in lines) <= width
        text = "\n".join(line.plain for line in lines)
        assert re.findall(r"[A-Za-z]{2,}", SAME.sub("", text)) == []
    assert keys(2, 80).plain == "q 끝내기   n 다음 실행"


def test_every_text_of_the_screen_has_korean_words() -> None:
    sources = [Path(str(module.__file__)).read_text(encoding="utf-8") for module in (panel, screen)]
    asked = {text for source in sources for text in re.findall(r"\bsay\([\"']([^\"']+)[\"']", source)}
    asked |= {name for source in sources for name in re.findall(r'^ {8}\("([^"]+)", ', source, re.MULTILINE)}
    facts = {name for source in sources for name in re.findall(r'said\.append\(\("([^"]+)"', source)}
    assert len(facts) > 5 and facts <= labels.KOREAN.keys()
    assert len(asked) > 10 and asked <= labels.KOREAN.keys()
    assert {state.value for state in RunState} <= labels.KOREAN.keys()
    for english, korean in labels.KOREAN.items():
        assert sorted(re.findall(r"\{\w+\}", english)) == sorted(re.findall(r"\{\w+\}", korean)), english
