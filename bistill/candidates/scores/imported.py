"""The kind of teacher whose scores were made elsewhere and imported: ``scores:NAME``."""

from __future__ import annotations

from bistill.candidates.scores import cache
from bistill.candidates.scores.teachers import IMPORTED, CachedTeacher, imported_identity
from bistill.candidates.settings import TeacherReading
from bistill.errors import ArtifactError


def open_teacher(name: str, reading: TeacherReading) -> CachedTeacher:
    """The scores imported under a name ``scores:NAME``.

    Raises:
        ArtifactError: there are none, or their cache is damaged.
    """
    facts = imported_identity(name.removeprefix(IMPORTED))
    if cache.folder_of(facts).is_dir():  # opening would make one for a mistyped name
        teacher = CachedTeacher(name, facts, reading, load=None)
        if len(teacher.cache):
            return teacher
        teacher.close()
    raise ArtifactError(
        "no scores are imported under this name",
        where=name,
        found=sorted(entry.identity["imported"] for entry in cache.listing() if _has_scores(entry)),
        todo="give one of these, or bistill scores import --name NAME --file FILE",
    )


def _has_scores(entry: cache.Listing) -> bool:
    return bool(entry.pairs) and "imported" in entry.identity
