"""One question to a server with the chat completions of OpenAI's interface: an answer that can be used, or why not.

An answer of status 200 may be none: empty where a reasoning model's words stand in another field, or cut at the length
limit. Those are failures like a server that is busy, and are asked for again, at another temperature: at 0 a model says
the same again.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from email.message import Message
from http.client import HTTPException
from typing import Any, Final, NamedTuple

from bistill.data.settings import Endpoint
from bistill.errors import OptionError

KEY: Final = "OPENAI_API_KEY"
LONGEST_ANSWER: Final = 2048
# Of the attempts after an answer that cannot be used: far enough from 0 for other words.
AGAIN_TEMPERATURE: Final = 0.7
FIRST_PAUSE: Final = 1.0
LONGEST_PAUSE: Final = 60.0
# What a server says that will not say otherwise the next time.
REFUSED: Final = frozenset((400, 401, 403, 404, 405, 422))
Messages = Sequence[Mapping[str, str]]


class Answer(NamedTuple):
    """What became of a question.

    Attributes:
        text: what was written; "" where all attempts failed.
        failure: why the last attempt failed; "" where it did not.
        attempts: how often it was asked.
        read: tokens that the server counts as read, of all attempts; 0 where it counts none.
        written: likewise as written.
    """

    text: str
    failure: str
    attempts: int
    read: int
    written: int


def question(endpoint: Endpoint, messages: Messages, temperature: float = 0) -> dict[str, Any]:
    """The body of a request: it decides the answer."""
    body = {"model": endpoint.model, "messages": list(messages), "temperature": temperature}
    return body | {"max_tokens": LONGEST_ANSWER}


def ask(endpoint: Endpoint, messages: Messages, turn: Callable[[], None] = lambda: None) -> Answer:
    """Ask until there is an answer, as often as ``endpoint.attempts`` says, with growing pauses.

    Args:
        endpoint: the server.
        messages: what is said.
        turn: comes back when a request may start; asked before each attempt.

    Raises:
        OptionError: the server refuses the request or the key, or has no such model.
    """
    failure, read, written, pause = "", 0, 0, FIRST_PAUSE
    body = question(endpoint, messages)
    for attempt in range(1, endpoint.attempts + 1):
        turn()
        try:
            found = _sent(endpoint, body)
        except OSError as error:
            failure, wanted = _why(error)
        except (ValueError, HTTPException) as error:
            failure, wanted = f"no JSON ({type(error).__name__})", None
        else:
            read += _counted(found, "prompt_tokens")
            written += _counted(found, "completion_tokens")
            text, failure = _text_of(found)
            if not failure:
                return Answer(text, "", attempt, read, written)
            wanted, body = 0.0, question(endpoint, messages, AGAIN_TEMPERATURE)
        if attempt < endpoint.attempts:
            time.sleep(min(pause if wanted is None else wanted, LONGEST_PAUSE))
            pause *= 2
    return Answer("", failure, endpoint.attempts, read, written)


def _sent(endpoint: Endpoint, body: Mapping[str, Any]) -> dict[str, Any]:
    import urllib.request

    headers = {"Content-Type": "application/json"}
    if key := os.environ.get(KEY):
        headers["Authorization"] = f"Bearer {key}"
    address = f"{endpoint.url.rstrip('/')}/chat/completions"
    request = urllib.request.Request(address, data=json.dumps(body).encode(), headers=headers)
    with urllib.request.urlopen(request, timeout=endpoint.seconds) as answered:
        found = json.loads(answered.read())
    if not isinstance(found, dict):
        raise ValueError("no object")
    return found


def _why(error: OSError) -> tuple[str, float | None]:
    """Why a request failed, and how many seconds the server wants to be left alone; None where it does not say."""
    from urllib.error import HTTPError

    if not isinstance(error, HTTPError):
        return str(getattr(error, "reason", error)), None
    said = error.read(500).decode("utf-8", "replace")
    if error.code in REFUSED:
        raise OptionError(
            f"the server refuses the request ({error.code} {error.reason})",
            where="`Endpoint.url`, `Endpoint.model`",
            found=said,
            todo=f"check address, model and, where it wants one, the key in the environment variable {KEY}",
        ) from None
    return f"{error.code} {error.reason}", _seconds(error.headers)


def _seconds(headers: Message) -> float | None:
    try:
        return max(float(headers.get("Retry-After", "")), 0.0)
    except ValueError:
        return None


def _counted(found: Mapping[str, Any], name: str) -> int:
    """Tokens of an answer by the server's own count; 0 where it gives none, as an answer is worth as much without."""
    usage = found.get("usage")
    count = usage.get(name) if isinstance(usage, dict) else None
    return count if isinstance(count, int) else 0


def _text_of(found: Mapping[str, Any]) -> tuple[str, str]:
    """The text of an answer, or why it is none. Of several choices the one of index 0, or the only one."""
    given = found.get("choices")
    choices = [one for one in given if isinstance(one, dict)] if isinstance(given, list) else []
    first = next((one for one in choices if one.get("index") == 0), choices[0] if len(choices) == 1 else None)
    if first is None:
        return "", "no choice" if not choices else f"{len(choices)} choices without an index"
    if first.get("finish_reason") == "length":
        return "", "cut at the length limit"
    message = first.get("message")
    text = message.get("content") if isinstance(message, dict) else None
    if not isinstance(text, str):
        return "", "no text"
    text = text.rpartition("</think>")[2].strip()
    return (text, "") if text and "<think>" not in text else ("", "an empty text")
