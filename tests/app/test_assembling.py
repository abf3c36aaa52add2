"""From options to settings: the miners that ``--miners`` names."""

from __future__ import annotations

import pytest

from bistill.candidates.settings import CrossEncoderRanked, Dense, Labelled, Lexical, MinerSettings, Random
from bistill.config import CandidatesOptions, assembling
from bistill.errors import OptionError
from bistill.models.settings import EncoderStart


def miners(*names: str, **changes: object) -> tuple[MinerSettings, ...]:
    options = CandidatesOptions(teacher_path="t", miners=names, **changes)  # type: ignore[arg-type]
    return assembling.miners(options, options, "fp32")


def test_miners_and_their_depths_are_parsed() -> None:
    assert miners("lexical:7", "labelled", "random", "dense", "cross_encoder:1", lexical_tokens="words") == (
        Lexical(7, "words"),
        Labelled(),
        Random(),
        Dense(),
        CrossEncoderRanked(1, 200, Lexical(1, "words"), Dense(1)),
    )
    assert miners("dense", "lexical:7", mining_depth=3) == (Dense(3), Lexical(7))
    assert miners("random:9", "labelled:2", mining_depth=3) == (Random(9), Labelled(2))
    own = EncoderStart("other", precision="fp32", trust_remote_code=True)
    assert miners("dense", miner_model="other", trust_remote_code=True, max_len=8) == (Dense(None, own),)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("lexcal",), r"--miners: unknown miner\n  found: 'lexcal'\n  do: give any of labelled, random, lexical"),
        (("dense:0",), r"the depth is no number above 0\n  found: 'dense:0'\n  do: give dense:50"),
        (("dense:-3",), "no number above 0"),
        (("dense:x",), "no number above 0"),
        (("dense:",), "no number above 0"),
        (("lexical:5", "random", "lexical:9"), r"named twice\n  found: 'lexical:9'"),
        ((), "at least one miner is needed"),
    ],
)
def test_what_is_no_miner_is_an_error(given: tuple[str, ...], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        miners(*given)
