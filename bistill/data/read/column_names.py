"""Names by which columns are recognised, in English and Korean."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from bistill.data.queries.same_text import without_invisible

# Names after `normalised_name`: case, surrounding blanks and the choice of "_", "-" or a space make no difference.
# docs/data.md repeats this table for users.
RECOGNISED: Final[dict[str, tuple[str, ...]]] = {
    "query": (
        *(
            "query",
            "queries",
            "query_text",
            "search_query",
            "question",
            "q",
            "anchor",
            "sentence1",
            "sentence_1",
            "text1",
        ),
        *("질의", "질의문", "질문", "쿼리", "검색어", "검색_질의", "문장1", "문장_1"),
    ),
    "positive": (
        *("positive", "positives", "pos", "positive_passage", "positive_passages", "positive_document"),
        *("positive_documents", "positive_doc", "positive_text", "relevant", "relevant_passage", "relevant_document"),
        *("positive_ctx", "positive_ctxs"),
        *("relevant_doc", "relevant_text"),
        *("긍정", "긍정_문서", "긍정문서", "정답", "정답_문서", "정답문서", "관련_문서", "관련문서", "양성"),
    ),
    "negative": (
        *("negative", "negatives", "neg", "negative_passage", "negative_passages", "negative_document"),
        *("negative_documents", "negative_doc", "negative_text", "hard_negative", "hard_negatives", "hard_neg"),
        *("negative_ctx", "negative_ctxs", "hard_negative_ctx", "hard_negative_ctxs"),
        *("irrelevant", "irrelevant_passage", "irrelevant_document"),
        *("부정", "부정_문서", "부정문서", "오답", "오답_문서", "오답문서", "무관_문서", "무관문서", "음성"),
    ),
    "passage": (
        *("passage", "passages", "passage_text", "document", "documents", "document_text", "doc", "docs", "text"),
        "context",
        *("content", "sentence2", "sentence_2", "text2"),
        *("문서", "본문", "지문", "내용", "문단", "문맥", "단락", "텍스트", "문장2", "문장_2"),
    ),
    "label": (
        *("label", "labels", "score", "scores", "relevance", "relevance_score", "rel", "similarity"),
        *("라벨", "레이블", "점수", "관련도", "관련성", "유사도"),
    ),
}
# Of a file of documents alone: the column whose text goes before a document's.
TITLES: Final = ("title", "제목")
ROLE_OF_NAME: Final = {name: role for role, names in RECOGNISED.items() for name in names}
NUMBERED_NEGATIVE: Final = re.compile(r"^(?P<base>.*?\D)_?(?P<number>\d+)$")


def normalised_name(name: str) -> str:
    """A column's name as the table knows it: without invisible characters, NFKC, lower case, "_" for blanks and "-"."""
    text = unicodedata.normalize("NFKC", without_invisible(name)).strip().casefold()
    return re.sub(r"[\s_\-]+", "_", text)


def visible_name(name: str) -> str:
    """A column's name as a user sees it: without invisible characters and surrounding blanks."""
    return without_invisible(name).strip()


def role_of(name: str) -> str | None:
    """Role of a column ("query", "positive", "negative", "passage", "label") by its name; None if not recognised."""
    key = normalised_name(name)
    if key in ROLE_OF_NAME:
        return ROLE_OF_NAME[key]
    numbered = NUMBERED_NEGATIVE.match(key)
    if numbered and ROLE_OF_NAME.get(numbered["base"].rstrip("_")) == "negative":
        return "negative"
    return None


def is_title(name: str) -> bool:
    """Whether a column, or a field of an object, is named as one of titles."""
    return normalised_name(name) in TITLES
