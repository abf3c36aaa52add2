"""Questions that stand in a document."""

from __future__ import annotations

from bistill.data.made.found import Source
from bistill.data.made.questions import candidates


def queries(text: str) -> list[str]:
    return [found.query for found in candidates(Source(text))]


def test_questions_in_their_order_without_their_marks() -> None:
    text = "Q: How do I wait for a thread? A: Call join. Why? 3) Is join safe to call twice?\nYes."
    assert queries(text) == ["How do I wait for a thread?", "Is join safe to call twice?"]
    assert queries("환불은 어떻게 받나요? 전화하면 된다. 왜? 배송은 며칠이 걸립니까. 사흘이다.") == [
        "환불은 어떻게 받나요?",
        "배송은 며칠이 걸립니까",
    ]


def test_a_title_that_is_a_question_ends_with_the_title() -> None:
    (found,) = candidates(Source("How are soils formed? Rain falls.", "How are soils formed?"))
    assert found == ("How are soils formed?", ((0, 21),))
