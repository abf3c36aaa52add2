"""Documentation of Python functions and classes, read from source files with ``ast``: nothing is imported or run."""

from __future__ import annotations

import ast
import inspect
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

LEAST_WORDS: Final = 4
MOST_QUERY_CHARACTERS: Final = 250
LEAST_REST_CHARACTERS: Final = 80
MOST_DOCUMENT_CHARACTERS: Final = 1500
BOILERPLATE: Final = re.compile(
    r"deprecated|^(see|alias|same as|test|todo|note|internal|args?|param|returns?:|base class|docstring|copyright"
    r"|helper|wrapper|example|usage|constructor|initiali[sz]e"
    r"|this (method|function|class) (is|does|will|should) not)\b",
    re.IGNORECASE,
)
TEMPLATE: Final = re.compile(r"%\(\w+\)s")  # documentation that is only complete at run time
ROLE: Final = re.compile(r":[\w:+-]+:`([^`<]*?)(?:\s*<[^`>]*>)?`")
LINK: Final = re.compile(r"`([^`<]+?)\s*<[^`>]*>`_+")
SENTENCE_END: Final = re.compile(r"(?<!e\.g)(?<!i\.e)(?<!etc)(?<!vs)(?<!cf)(?<!al)[.!?](?=\s+[A-Z`(]|\s*$)")


@dataclass(frozen=True)
class Described:
    """A documented function or class.

    Attributes:
        module: dotted name of its module.
        name: qualified name in the module.
        query: the summary sentence without markup.
        document: qualified name with signature, and the documentation without the summary.
    """

    module: str
    name: str
    query: str
    document: str


def described_in(file: Path, module: str) -> Iterator[Described]:
    """Public functions, classes and methods of a source file whose documentation says enough, in source order.

    A file that is no UTF-8 or no Python of this version has none.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # invalid escapes in other people's string literals
            tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError, RecursionError, MemoryError, OSError):
        return
    yield from _walk(tree, module, "")


def _walk(node: ast.Module | ast.ClassDef, module: str, prefix: str) -> Iterator[Described]:
    for child in node.body:
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) or child.name.startswith("_"):
            continue
        name = f"{prefix}{child.name}"
        docstring = ast.get_docstring(child, clean=False)
        if docstring and (pair := _pair(docstring, f"{module}.{name}{_signature(child)}")):
            yield Described(module, name, *pair)
        if isinstance(child, ast.ClassDef):
            yield from _walk(child, module, f"{name}.")


def _pair(docstring: str, heading: str) -> tuple[str, str] | None:
    parts = summary_and_rest(docstring)
    if parts is None:
        return None
    summary, rest = parts
    query = plain(summary)
    if not says_something(query) or len(rest) < LEAST_REST_CHARACTERS or TEMPLATE.search(rest):
        return None
    if _squeezed(query) in _squeezed(plain(rest)):
        return None  # the document would contain its query word for word
    return query, cut(f"{heading}\n{rest}", MOST_DOCUMENT_CHARACTERS)


def summary_and_rest(docstring: str) -> tuple[str, str] | None:
    """First sentence of the first paragraph, and all that follows; None where there is no prose paragraph."""
    text = inspect.cleandoc(docstring).expandtabs(4)
    paragraph, separator, after = text.partition("\n\n")
    lines = paragraph.splitlines()
    if not lines or re.match(r"[\w.]+\(.*\)\s*(->.*)?$", lines[0]):
        return None  # a signature instead of a summary
    one_line = " ".join(line.strip() for line in lines)
    end = SENTENCE_END.search(one_line)
    summary = one_line[: end.end()] if end else one_line
    remaining = one_line[len(summary) :].strip()
    if any(re.match(r"\s*([-*>]\s|>>>|:(param|type|returns?|raises?)\b|\w+\s*:\s)", line) for line in lines[1:]):
        summary, remaining = lines[0].strip(), "\n".join(lines[1:])  # a list or parameters follow without a blank line
    rest = (f"{remaining}\n\n" if remaining else "") + (after if separator else "")
    return summary, re.sub(r"\n{3,}", "\n\n", rest.strip())


def plain(text: str) -> str:
    """Text without reStructuredText and Markdown marks: ``:class:`~a.B` `` is "B", ```` ``x`` ```` is "x"."""
    text = ROLE.sub(lambda match: match[1].rpartition(".")[2] if match[1].startswith("~") else match[1], text)
    text = LINK.sub(r"\1", text)
    text = re.sub(r"\[`([^`]+)`\](\([^)]*\))?", r"\1", text)
    text = re.sub(r"\[([^\]]+)\]\(https?:[^)]*\)", r"\1", text)
    text = re.sub(r"`+|\*\*|\|(?=\w)|(?<=\w)\|", "", text)
    return " ".join(text.split())


def says_something(query: str) -> bool:
    """Whether a summary is a sentence somebody could search with."""
    words = re.findall(r"[^\W\d_]{2,}", query)
    if len(words) < LEAST_WORDS or len(query) > MOST_QUERY_CHARACTERS or BOILERPLATE.search(query):
        return False
    letters = sum(character.isalpha() or character.isspace() for character in query)
    return query[0].isalpha() and query[-1] not in ":,;" and letters / len(query) > 0.8


def cut(text: str, most: int) -> str:
    """At most ``most`` characters, cut at the end of a line where there is one."""
    if len(text) <= most:
        return text
    end = text.rfind("\n", most // 2, most + 1)
    return text[: end if end > 0 else most].rstrip()


def _signature(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> str:
    function: ast.FunctionDef | ast.AsyncFunctionDef | None
    if isinstance(node, ast.ClassDef):
        functions = (item for item in node.body if isinstance(item, ast.FunctionDef) and item.name == "__init__")
        function = next(functions, None)
        if function is None:
            return ""
    else:
        function = node
    arguments = ast.unparse(function.args)
    arguments = re.sub(r"^(self|cls)(, |$)", "", arguments)
    returned = f" -> {ast.unparse(function.returns)}" if function.returns and function is node else ""
    return f"({arguments}){returned}"


def _squeezed(text: str) -> str:
    return re.sub(r"[\W_]+", " ", text).strip().casefold()
