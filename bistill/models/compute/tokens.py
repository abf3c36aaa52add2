"""Token ids of chosen texts in the cache: tokenized once, then memory-mapped files that are read by text id."""

from __future__ import annotations

import contextlib
import json
import mmap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Final, Generic

import numpy as np
import numpy.typing as npt

from bistill import artifacts, console
from bistill.arrays import Ints, Number
from bistill.data.store import cache
from bistill.data.store.texts import READS_BETWEEN_RELEASES, fingerprint_of_texts, release, windows
from bistill.models.compute import batching, tokenizing
from bistill.models.compute.batching import Encoding
from bistill.progress import progress

FORMAT: Final = "bistill.tokens/1"
# Texts tokenized at once: enough for all threads of the tokenizer, and little memory.
WINDOW: Final = 1024


class TokenTable:
    """Encodings of texts by id; each is only in memory while it is used.

    Args:
        folder: of the cache entry.
        manifest: what stands beside its files: ``constants``, the inputs that have the same value at every token, such
            as the attention mask; the others are files.
    """

    def __init__(self, folder: Path, manifest: dict[str, Any]) -> None:
        self._constants = {str(name): int(value) for name, value in manifest["constants"].items()}
        self._names = [str(name) for name in manifest["inputs"]]
        self._text_ids = _MappedNumbers(folder / artifacts.TEXT_IDS_FILE, np.int64)
        self._offsets = _MappedNumbers(folder / artifacts.OFFSETS_FILE, np.int64)
        stored = (name for name in self._names if name not in self._constants)
        self._inputs = {name: _MappedNumbers(_file(folder, name), np.int32) for name in stored}
        self._until_release = READS_BETWEEN_RELEASES

    def __len__(self) -> int:
        return len(self._text_ids.numbers)

    def encoding(self, text_id: int) -> Encoding:
        """Token ids of a text, as ``tokenizing.tokenize`` gives them.

        Raises:
            KeyError: the table was made without this text.
        """
        own = self._text_ids.numbers
        place = int(np.searchsorted(own, text_id))
        if place == len(own) or own[place] != text_id:
            raise KeyError(f"text {text_id} is not among the {len(own)} of the table")
        start, stop = (int(value) for value in self._offsets.numbers[place : place + 2])
        # Copies: a view would keep pages of the file in memory for as long as it is held.
        found = {name: mapped.numbers[start:stop].copy() for name, mapped in self._inputs.items()}
        for name, value in self._constants.items():
            found[name] = np.full(stop - start, value, dtype=np.int32)
        self._release_now_and_then()
        return {name: found[name] for name in self._names}

    def encodings(self, text_ids: Sequence[int] | Ints) -> list[Encoding]:
        """Token ids of texts, in the order of the ids.

        Raises:
            KeyError: the table was made without one of them.
        """
        return [self.encoding(int(text_id)) for text_id in text_ids]

    def _release_now_and_then(self) -> None:
        self._until_release -= 1
        if self._until_release <= 0:
            self._until_release = READS_BETWEEN_RELEASES
            mapped: tuple[_MappedNumbers[Any], ...] = (self._text_ids, self._offsets, *self._inputs.values())
            for numbers in mapped:
                numbers.release()


def cached_tokens(
    tokenizer: Any,
    texts: Sequence[str],
    text_ids: Ints,
    *,
    prompt: str = "",
    max_len: int,
    description: str = "",
) -> TokenTable:
    """The table of chosen texts: from the cache, or tokenized straight into it, no more than a window in memory.

    A cache entry that is torn or was changed does not match its own checksums and is made again, which is said.

    Args:
        tokenizer: a fast one.
        texts: by id; only the chosen ones are read, once for the key and once for their tokens.
        text_ids: of the chosen texts, in any order, also repeated.
        prompt: text in front of each.
        max_len: tokens of a text, prompt included.
        description: shown with the progress of tokenizing; "" for none.
    """
    chosen = np.unique(np.asarray(text_ids, dtype=np.int64))

    def fill(folder: Path) -> dict[str, Any]:
        cuts: list[int] = []
        with progress(description, len(chosen), "texts") as advance:
            manifest = write_table(folder, chosen, _tokenized(tokenizer, texts, chosen, prompt, max_len, advance, cuts))
        return manifest | {"cut": sum(cuts)}

    key = tokens_key(tokenizer, texts, chosen, prompt=prompt, max_len=max_len)
    folder, manifest = cache.obtain(key, fill, part=artifacts.TOKENS_FOLDER, what="cached tokens are")
    if description and manifest.get("cut"):
        console.say(tokenizing.cut_texts(description, manifest["cut"], len(chosen), max_len))
    return TokenTable(folder, manifest)


def tokens_key(tokenizer: Any, texts: Sequence[str], text_ids: Ints, *, prompt: str, max_len: int) -> str:
    """Key of everything that decides the tokens: tokenizer, prompt, length, and the chosen texts with their ids."""
    return artifacts.fingerprint(
        {
            "format": FORMAT,
            "tokenizer": tokenizer_fingerprint(tokenizer),
            "prompt": prompt,
            "max_len": max_len,
            "ids": artifacts.fingerprint({"ids": text_ids.tolist()}),
            "texts": fingerprint_of_texts(texts[int(text_id)] for text_id in text_ids),
        }
    )


def tokenizer_fingerprint(tokenizer: Any) -> str:
    """SHA-256 of a fast tokenizer's rules and vocabulary, and of the releases that carry them out.

    Limits of length and padding are left out: every call sets them, so they tell what was tokenized last.
    """
    import tokenizers
    import transformers

    rules = json.loads(tokenizer.backend_tokenizer.to_str())
    return artifacts.fingerprint(
        {
            "rules": rules | {"truncation": None, "padding": None},
            "class": type(tokenizer).__qualname__,
            "inputs": list(tokenizer.model_input_names),
            "truncation_side": tokenizer.truncation_side,
            "split_special_tokens": bool(getattr(tokenizer, "split_special_tokens", False)),
            "versions": [tokenizers.__version__, transformers.__version__],
        }
    )


def _tokenized(
    tokenizer: Any,
    texts: Sequence[str],
    text_ids: Ints,
    prompt: str,
    max_len: int,
    advance: Any,
    cuts: list[int],
) -> Iterator[list[Encoding]]:
    """Encodings window by window; how many texts of each were cut goes into ``cuts``."""
    for window in windows(text_ids, WINDOW):
        encodings, cut = tokenizing.tokenize_counting_cuts(
            tokenizer, [prompt + texts[int(text_id)] for text_id in window], max_len
        )
        cuts.append(cut)
        yield encodings
        advance(len(window))


def write_table(folder: Path, text_ids: Ints, pieces: Iterator[list[Encoding]]) -> dict[str, Any]:
    """Write the files of a table; an input with one value at every token becomes a number of the manifest."""
    text_ids.tofile(folder / artifacts.TEXT_IDS_FILE)
    ranges: dict[str, tuple[int, int]] = {}
    end = np.zeros(1, dtype=np.int64)
    with contextlib.ExitStack() as stack:
        offsets = stack.enter_context((folder / artifacts.OFFSETS_FILE).open("wb"))
        offsets.write(end.data)
        files: dict[str, BinaryIO] = {}
        for encodings in pieces:
            ends = end[-1] + np.cumsum(batching.lengths(encodings))
            offsets.write(ends.data)
            end = ends
            for name in encodings[0]:
                if name not in files:
                    files[name] = stack.enter_context(_file(folder, name).open("wb"))
                values = np.concatenate([encoding[name] for encoding in encodings])
                files[name].write(values.data)
                if len(values):
                    low, high = ranges.get(name, (values.min(), values.max()))
                    ranges[name] = (min(low, values.min()), max(high, values.max()))
    constants = {name: int(low) for name, (low, high) in ranges.items() if low == high}
    for name in constants:
        _file(folder, name).unlink()
    return {"texts": len(text_ids), "inputs": list(files), "constants": constants}


def _file(folder: Path, name: str) -> Path:
    return folder / f"{name}.bin"


class _MappedNumbers(Generic[Number]):
    """A memory-mapped file of numbers; ``numbers`` has shape (n,)."""

    def __init__(self, file: Path, kind: type[Number]) -> None:
        self._map: mmap.mmap | None = None
        self.numbers: npt.NDArray[Number] = np.empty(0, dtype=kind)
        if file.stat().st_size:  # an empty file cannot be mapped
            with file.open("rb") as opened:
                self._map = mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ)
            self.numbers = np.frombuffer(self._map, dtype=kind)

    def release(self) -> None:
        """Let go of the pages read so far."""
        if self._map is not None:
            release(self._map)
