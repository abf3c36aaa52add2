"""The kind of teacher that is a model, in a folder or on the hub: a re-ranker or, known by its files, a Bi-Encoder."""

from __future__ import annotations

from pathlib import Path

from bistill.candidates.scores import embedding, reranker
from bistill.candidates.scores.teachers import CachedTeacher
from bistill.candidates.settings import TeacherReading
from bistill.models.files import fetching, loading


def open_teacher(name: str, reading: TeacherReading) -> CachedTeacher:
    """The model of a name; its weights stay on disk until a pair must be scored.

    Raises:
        ModelError: it is neither a re-ranker nor a Bi-Encoder, or is not there.
        OptionError: an instruction for a model that takes none.
        ArtifactError: the cache of its scores is damaged.
    """
    kinds = fetching.kinds(Path(loading.local_folder(name, "re-ranker")))
    # What is neither is left to the re-ranker, whose errors say what is wrong with it.
    embeds = "bi-encoder" in kinds and "re-ranker" not in kinds
    return embedding.open_teacher(name, reading) if embeds else reranker.open_teacher(name, reading)
