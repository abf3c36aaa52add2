"""The usual kind of teacher: a re-ranker in a folder or on the hub."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from bistill import console
from bistill.candidates.scores.scoring import Scorer
from bistill.candidates.scores.teachers import CachedTeacher
from bistill.candidates.settings import TeacherReading
from bistill.models import lora, rerankers
from bistill.models.files import loading


def open_teacher(name: str, reading: TeacherReading) -> CachedTeacher:
    """The re-ranker of a name; its weights stay on disk until a pair must be scored.

    Raises:
        ModelError: it is no re-ranker, or is not there.
        ArtifactError: the cache of its scores is damaged.
    """
    identity = rerankers.identity(name, **reading.for_loading())
    adapters = lora.read_config(Path(loading.local_folder(name, "re-ranker")))
    if adapters.get("use_lora"):
        console.say(f"teacher {name}: LoRA rank {adapters['lora_r']}, alpha {adapters['lora_alpha']}, merged")
    settings = {**reading.for_loading(), "precision": identity["precision"]}
    return CachedTeacher(
        name,
        identity,
        reading,
        partial(rerankers.load, name, **settings),
        travelling=partial(loaded, loading.portable(name), identity["fingerprint"], **settings),
    )


def loaded(name: str, fingerprint: str, **settings: Any) -> Scorer:
    """The re-ranker of a name, loaded in a worker that may be on another machine.

    Args:
        name: as ``rerankers.load`` takes it.
        fingerprint: of the files that it must have.
        settings: as ``rerankers.load`` takes them.

    Raises:
        ModelError: it is not there, or has other files.
    """
    loading.check_fingerprint(name, fingerprint)
    return rerankers.load(name, **settings)
