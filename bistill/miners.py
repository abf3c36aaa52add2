"""Miners of candidates, for ``distill(..., miners=[...])``.

A miner of your own is any object of the shape of ``candidates.mining.miner.Miner`` (``docs/extending.md``).
"""

from bistill.candidates.settings import CrossEncoderRanked, Dense, Labelled, Lexical, Random

__all__ = ["CrossEncoderRanked", "Dense", "Labelled", "Lexical", "Random"]
