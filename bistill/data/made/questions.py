"""Questions that stand in a document: "How do I ...?" of an FAQ, a heading, an exercise."""

from __future__ import annotations

import re
from typing import Final

from bistill.data.made.found import Found, Source, within, words
from bistill.data.made.sentences import fewest, parts

# How Korean questions end that are written without a question mark.
_WITH_B: Final = "".join(chr(code) for code in range(0xAC00, 0xD7A4) if (code - 0xAC00) % 28 == 17)
_KOREAN: Final = re.compile(rf"(?:[{_WITH_B}]니까|나요|까요|[는은인]가요)[.。]?$")


def candidates(source: Source) -> list[Found]:
    """Each question of a document, in its order."""
    found = []
    for start, end in parts(source):
        query = within(source.text, start, end)
        if query is None or len(words(query.query)) < fewest(query.query):
            continue
        if query.query.endswith(("?", "？")) or _KOREAN.search(query.query):
            found.append(query)
    return found
