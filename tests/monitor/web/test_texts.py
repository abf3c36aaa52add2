"""The page's words, read from its script."""

from __future__ import annotations

import re
from pathlib import Path

from bistill.monitor import web
from bistill.monitor.states import RunState
from bistill.monitor.web.board import LACKS_MEMORY

STATIC = Path(web.__file__).parent / "static"
KEY = re.compile(r'^ {4}(\w+): "(.*)",$', re.MULTILINE)
HANGUL = re.compile(r"[가-힣]")


def texts() -> dict[str, dict[str, str]]:
    parts = re.split(r"^ {2}(\w+): \{$", (STATIC / "texts.js").read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {language: dict(KEY.findall(part)) for language, part in zip(parts[1::2], parts[2::2], strict=True)}


def test_every_text_is_there_in_both_languages_with_the_same_places_for_values() -> None:
    found = texts()
    assert found.keys() == {"en", "ko"} and found["en"].keys() == found["ko"].keys()
    for key, english in found["en"].items():
        assert sorted(re.findall(r"\{\w+\}", english)) == sorted(re.findall(r"\{\w+\}", found["ko"][key])), key
        assert HANGUL.search(found["ko"][key]) and not HANGUL.search(english), key


def test_every_text_that_is_asked_for_is_there() -> None:
    written = "".join(path.read_text(encoding="utf-8") for path in STATIC.iterdir() if path.suffix in (".js", ".html"))
    asked = set(re.findall(r'\bsay\("(\w+)"|data-text="(\w+)"', written))
    assert {name for pair in asked for name in pair if name} <= texts()["en"].keys()


def test_every_state_has_a_word() -> None:
    assert {f"state_{state.value}" for state in RunState} | {f"state_{LACKS_MEMORY}"} <= texts()["ko"].keys()
