"""The small data version of the candidates' tests, for whole commands."""

from tests.candidates.conftest import small

__all__ = ["small"]
