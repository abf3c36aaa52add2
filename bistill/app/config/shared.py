"""Options and types that several commands share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from bistill.app.options import Option, Options
from bistill.candidates.settings import Lists
from bistill.data.settings import BadRows
from bistill.evaluation.settings import Asking
from bistill.models.settings import EncoderStart, Inference, Lora, Pooling, Precision
from bistill.settings import Within
from bistill.training.settings import Loop

DEFAULT_TEACHER = "BAAI/bge-reranker-v2-m3"
DEFAULT_STUDENT = "intfloat/multilingual-e5-large-instruct"

Recipe = Literal["best", "contract"]

WhichRecipe = Annotated[
    Recipe | None,
    Option(
        "best: our defaults; contract: tau 0.2, weights 0.3 and 0.4. Unset: contract where one of these three is "
        "given.",
        alters_result=False,
        group="losses",
        common=True,
    ),
]
OnBadRows = Annotated[
    BadRows, Option("Stop at the first bad row, or set bad rows aside in rejected.csv.", group="data")
]
Arithmetic = Annotated[
    Precision,
    Option(
        "Arithmetic; auto: bf16 on CUDA and on CPUs that are clearly faster in it, else fp32.",
        group="machine",
        common=True,
    ),
]
Seed = Annotated[int, Option("Every random choice is a function of it.", of=(Loop, "seed"), common=True)]
DataRoot = Annotated[str, Option("Folder that holds the data versions.", group="data")]
DataVersion = Annotated[
    str | tuple[str, ...],
    Option(
        "Folder below --data_root with train.csv, valid.csv, test.csv; or several.",
        group="data",
        common=True,
    ),
]
TextsAtOnce = Annotated[int, Option("Texts encoded at once.", of=(Inference, "batch_size"), group="machine")]
UpdateSize = Annotated[int, Option("Samples of one update.", of=(Loop, "batch_size"), group="training", common=True)]
QueryPrompt = Annotated[
    str | None, Option("Text before each query; unset: the model's own, else its family's.", group="models")
]
DocumentPrompt = Annotated[
    str | None, Option("Text before each document; unset: the model's own, else its family's.", group="models")
]
PoolingName = Annotated[
    Pooling | None,
    Option("How token vectors become one; unset: the model's own, else its family's, else mean.", group="models"),
]
ListSize = Annotated[
    int,
    Option(
        "Candidate documents of each query, the positive among them.",
        of=(Lists, "size"),
        group="candidates",
        common=True,
    ),
]
TeacherPath = Annotated[
    str,
    Option(
        "Folder or hub name of the teacher, a re-ranker or a Bi-Encoder; scores:NAME: imported scores.",
        group="models",
        common=True,
    ),
]


@dataclass(frozen=True, kw_only=True)
class ModelOptions(Options, group="models"):
    """What holds for every model that a command loads."""

    trust_remote_code: Annotated[
        bool,
        Option(
            "Run Python code that a model folder or hub model brings along; off: such a model is refused.",
            alters_result=False,
        ),
    ] = False


@dataclass(frozen=True, kw_only=True)
class CrewOptions(Options, group="machine"):
    """Who does the work, where one process is too few."""

    ray: Annotated[
        str | None,
        Option(
            "Have workers of a Ray cluster do the work: local (started on this machine), auto (the one that this "
            "machine belongs to) or its address; needs the extra ray. Unset: this process alone.",
            alters_result=False,
        ),
    ] = None
    ray_threads: Annotated[
        int,
        Option(
            "Processors of each of these workers, one thread on each; of a cluster with GPUs each has one, too.",
            within=Within(1),
            alters_result=False,
        ),
    ] = 1


@dataclass(frozen=True, kw_only=True)
class DataOptions(Options, group="data"):
    data_version: DataVersion = "supervised_only"
    data_root: DataRoot = "preprocessed"
    on_bad_rows: OnBadRows = "stop"
    max_samples: Annotated[
        int | None,
        Option("Use at most this many training queries, chosen by --seed.", of=(Asking, "max_queries"), common=True),
    ] = None


@dataclass(frozen=True, kw_only=True)
class LoraOptions(Options, group="models", common=True):
    use_lora: Annotated[
        bool, Option("Train low-rank adapters instead of all weights; saved merged, adapter beside.")
    ] = False
    lora_r: Annotated[int, Option("Rank of the adapters.", of=(Lora, "rank"))] = 16
    lora_alpha: Annotated[int, Option("Scale of the adapters (alpha / r multiplies them).", of=(Lora, "alpha"))] = 32
    lora_dropout: Annotated[float, Option("Dropout in front of the adapters.", of=(Lora, "dropout"))] = 0.1


@dataclass(frozen=True, kw_only=True)
class StudentOptions(ModelOptions, group="models"):
    """The Bi-Encoder that learns, and how it reads texts."""

    student_name: Annotated[
        str, Option("Hub name or folder to start from.", of=(EncoderStart, "name"), common=True)
    ] = DEFAULT_STUDENT
    student_layers: Annotated[
        int | None,
        Option(
            "Layers that the student starts with, evenly chosen among those of the model; unset: all. The dense miner "
            "keeps the whole model.",
            of=(EncoderStart, "layers"),
        ),
    ] = None
    max_len: Annotated[
        int, Option("Tokens of a query or a document; longer texts are cut.", of=(EncoderStart, "max_len"), common=True)
    ] = 256
    query_prompt: QueryPrompt = None
    document_prompt: DocumentPrompt = None
    pooling: PoolingName = None
