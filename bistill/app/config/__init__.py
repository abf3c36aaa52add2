"""Every option of bistill, once: flag, type, default, allowed range and help come from one annotated field.

The classes nest as the commands do: a command's options are one frozen dataclass; ``PipelineOptions`` holds those of
its stages. ``cli.py`` turns them into command lines, ``options.from_mapping`` reads them from YAML, and both end
in the same checks. Nothing heavy is imported here, so that --help answers at once.
"""

from bistill.app.config.bench import BenchOptions, Work
from bistill.app.config.candidates import (
    CandidatesOptions,
    LexicalOptions,
    ListOptions,
    ScoresAction,
    ScoresForm,
    ScoresOptions,
    ScoresScale,
    ScoringOptions,
)
from bistill.app.config.data import PrepareOptions
from bistill.app.config.evaluation import EvaluationOptions
from bistill.app.config.judging import JudgeOptions
from bistill.app.config.monitor import MonitorOptions
from bistill.app.config.pipeline import PipelineOptions
from bistill.app.config.queries import QueriesOptions
from bistill.app.config.serving import EncodeOptions, SearchOptions
from bistill.app.config.shared import (
    DEFAULT_STUDENT,
    DEFAULT_TEACHER,
    DataOptions,
    LoraOptions,
    ModelOptions,
    Recipe,
    StudentOptions,
)
from bistill.app.config.training import DistillationOptions, TeacherOptions, TrainingOptions

__all__ = [
    "DEFAULT_STUDENT",
    "DEFAULT_TEACHER",
    "BenchOptions",
    "CandidatesOptions",
    "DataOptions",
    "DistillationOptions",
    "EncodeOptions",
    "EvaluationOptions",
    "JudgeOptions",
    "LexicalOptions",
    "ListOptions",
    "LoraOptions",
    "ModelOptions",
    "MonitorOptions",
    "PipelineOptions",
    "PrepareOptions",
    "QueriesOptions",
    "Recipe",
    "ScoresAction",
    "ScoresForm",
    "ScoresOptions",
    "ScoresScale",
    "ScoringOptions",
    "SearchOptions",
    "StudentOptions",
    "TeacherOptions",
    "TrainingOptions",
    "Work",
]
