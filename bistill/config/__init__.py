"""Every option of bistill, once: flag, type, default, allowed range and help come from one annotated field.

The classes nest as the commands do: a command's options are one frozen dataclass; ``PipelineOptions`` holds those of
its stages. ``cli.py`` turns them into command lines, ``options.from_mapping`` reads them from YAML, and both end
in the same checks. Nothing heavy is imported here, so that --help answers at once.
"""

from bistill.config.bench import BenchOptions, Work
from bistill.config.candidates import (
    CandidatesOptions,
    LexicalOptions,
    LexicalTokens,
    ListOptions,
    ScoresAction,
    ScoresForm,
    ScoresOptions,
    ScoresScale,
    ScoringOptions,
)
from bistill.config.data import PrepareOptions
from bistill.config.evaluation import EvaluationOptions
from bistill.config.monitor import MonitorOptions
from bistill.config.pipeline import PipelineOptions
from bistill.config.serving import EncodeOptions, SearchOptions, TextKind
from bistill.config.shared import (
    DEFAULT_STUDENT,
    DEFAULT_TEACHER,
    PACKAGED_MODEL,
    BadRows,
    DataOptions,
    LoraOptions,
    ModelOptions,
    Pooling,
    Precision,
    StudentOptions,
)
from bistill.config.training import Choice, DistillationOptions, InBatch, Redraw, Score, TeacherOptions, TrainingOptions

__all__ = [
    "DEFAULT_STUDENT",
    "DEFAULT_TEACHER",
    "PACKAGED_MODEL",
    "BadRows",
    "BenchOptions",
    "CandidatesOptions",
    "Choice",
    "DataOptions",
    "DistillationOptions",
    "EncodeOptions",
    "EvaluationOptions",
    "InBatch",
    "LexicalOptions",
    "LexicalTokens",
    "ListOptions",
    "LoraOptions",
    "ModelOptions",
    "MonitorOptions",
    "PipelineOptions",
    "Pooling",
    "Precision",
    "PrepareOptions",
    "Redraw",
    "Score",
    "ScoresAction",
    "ScoresForm",
    "ScoresOptions",
    "ScoresScale",
    "ScoringOptions",
    "SearchOptions",
    "StudentOptions",
    "TeacherOptions",
    "TextKind",
    "TrainingOptions",
    "Work",
]
