"""Options of candidate lists and of the teacher scores they hold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from tyro.conf import Positional

from bistill.app.config.shared import (
    Arithmetic,
    CrewOptions,
    DataOptions,
    DataRoot,
    ListSize,
    ModelOptions,
    Seed,
    StudentOptions,
    TeacherPath,
)
from bistill.app.options import Option, Options
from bistill.candidates.settings import (
    CrossEncoderRanked,
    Dense,
    Lexical,
    LexicalTokens,
    Limits,
    Lists,
    Promotion,
    TeacherReading,
)
from bistill.settings import Within
from bistill.training.settings import Loop

ScoresAction = Literal["show", "export", "import", "fill", "compare", "rebuild"]
ScoresForm = Literal["sentence-transformers", "flagembedding", "pairs"]
ScoresScale = Literal["logit", "probability"]


@dataclass(frozen=True, kw_only=True)
class TeacherReadingOptions(ModelOptions, group="models"):
    """How teachers read pairs."""

    teacher_max_len: Annotated[
        int | None,
        Option(
            "Tokens of a pair that a teacher reads; unset: the teacher's own limit.", of=(TeacherReading, "max_len")
        ),
    ] = None
    teacher_instruction: Annotated[
        str | None,
        Option(
            "Task told to a causal re-ranker (Qwen3-Reranker form); unset: web search.",
            of=(TeacherReading, "instruction"),
        ),
    ] = None
    score_batch_size: Annotated[
        int,
        Option(
            "Pairs that a teacher reads at once.",
            of=(TeacherReading, "batch_size"),
            alters_result=False,
            group="machine",
        ),
    ] = 64


@dataclass(frozen=True, kw_only=True)
class ScoringOptions(TeacherReadingOptions, group="models"):
    """Whose scores are learned: one teacher, or several averaged."""

    more_teachers: Annotated[
        tuple[str, ...], Option("Further teachers; the calibrated scores of all are averaged.")
    ] = ()
    teacher_weights: Annotated[
        tuple[float, ...], Option("Weights of --teacher_path and --more_teachers, in this order; unset: equal.")
    ] = ()


@dataclass(frozen=True, kw_only=True)
class LexicalOptions(Options, group="candidates"):
    """What BM25 counts as a word."""

    lexical_tokens: Annotated[
        LexicalTokens,
        Option(
            "What BM25 counts as a word; auto: words; for Korean morphemes with kiwipiepy, else bigrams.",
            of=(Lexical, "tokens"),
        ),
    ] = "auto"


@dataclass(frozen=True, kw_only=True)
class ListOptions(LexicalOptions, group="candidates"):
    """Which documents a query is compared with."""

    K: ListSize = 16
    own_documents: Annotated[
        int | None,
        Option(
            "Documents that each query brings to its batch, the positive among them; the other K - own_documents of "
            "its list are documents that other queries of the batch brought. Unset: all K are its own.",
            of=(Lists, "own_documents"),
        ),
    ] = None
    miners: Annotated[
        tuple[str, ...],
        Option(
            "Where negatives come from: labelled, random, lexical, dense, cross_encoder; with a number for another "
            "depth than --mining_depth (lexical:100).",
        ),
    ] = ("labelled", "lexical", "random")
    mining_depth: Annotated[
        int | None,
        Option(
            "Documents of each query that lexical, dense and cross_encoder give; unset: four for every three that its "
            "lists take (20 with K 16), so that what the teacher reads follows --K.",
            of=(Lexical, "depth"),
        ),
    ] = None
    miner_model: Annotated[
        str | None,
        Option(
            "Bi-Encoder of the dense miner; unset: the one that teaches alone, else the student.", of=(Dense, "model")
        ),
    ] = None
    cross_encoder_reads: Annotated[
        int,
        Option(
            "Documents of each query that the cross_encoder miner reads: the first ones of lexical and dense; 0: all.",
            of=(CrossEncoderRanked, "reads"),
        ),
    ] = 200
    unlabelled: Annotated[
        int | None,
        Option(
            "Queries without labels (queries.csv) that are learned from, chosen by --seed; unset: all; 0: none.",
            within=Within(0),
        ),
    ] = None
    unlabelled_reads: Annotated[
        int,
        Option(
            "Documents of each of these that the teacher reads, from lexical and dense and its source; what it ranks "
            "first is the positive.",
            of=(Promotion, "reads"),
        ),
    ] = 20
    source_rank: Annotated[
        int,
        Option(
            "A query that was made from a document counts only where the teacher ranks that document so high.",
            of=(Promotion, "source_rank"),
        ),
    ] = 1
    promote_margin: Annotated[
        float | None,
        Option(
            "Documents of a labelled query that the teacher finds by this much or more relevant than its best labelled "
            "positive become positives beside it; 0: as relevant. Unset: none.",
            of=(Promotion, "labelled_margin"),
        ),
    ] = None
    max_negative_ratio: Annotated[
        float | None,
        Option(
            "Drop candidates of more than this share of the positive's relevance; None: never.",
            of=(Limits, "max_ratio"),
        ),
    ] = 0.95
    max_negative_score: Annotated[
        float | None, Option("Drop candidates of more than this relevance; None: never.", of=(Limits, "max_score"))
    ] = None
    irrelevant_below: Annotated[
        float,
        Option(
            "Below this relevance the teacher calls a document irrelevant: a positive is listed as a suspect label, "
            "and no candidate is dropped for its share of the positive's relevance.",
            of=(Limits, "irrelevant_below"),
        ),
    ] = 0.1


@dataclass(frozen=True, kw_only=True)
class CandidatesOptions(
    CrewOptions, StudentOptions, ListOptions, ScoringOptions, DataOptions, group="candidates", common=True
):
    """Mine, score, filter and inspect the candidate lists of the training queries."""

    teacher_path: TeacherPath
    output_dir: Annotated[str, Option("Folder of the lists, their figures and their picture.")] = "candidates"
    epochs: Annotated[
        int,
        Option(
            "Epochs that random documents must serve alone, where no retrieval miner is named.", of=(Loop, "epochs")
        ),
    ] = 3
    precision: Arithmetic = "auto"
    seed: Seed = 42


@dataclass(frozen=True, kw_only=True)
class ScoresOptions(CrewOptions, TeacherReadingOptions, group="scores", common=True):
    """Show the cached teacher scores, export lists, import scores made elsewhere, score the pairs of a file without
    training, compare two files of scores, rebuild a damaged cache."""

    action: Annotated[Positional[ScoresAction], Option("What to do.")] = "show"
    file: Annotated[
        str | None,
        Option("export: Parquet or JSONL file to write; import, fill and compare: Parquet, JSONL or CSV file to read."),
    ] = None
    other: Annotated[str | None, Option("compare: the second file.")] = None
    candidates: Annotated[str, Option("export: folder that `bistill candidates` wrote.")] = "candidates"
    form: Annotated[ScoresForm, Option("export: whose list columns.")] = "sentence-transformers"
    scale: Annotated[
        ScoresScale | None,
        Option("Scores of the file; unset: logits for training tools, relevance in 0..1 in pairs and for reading."),
    ] = None
    teacher_path: Annotated[str | None, Option("fill: folder or hub name of the re-ranker that scores.")] = None
    output: Annotated[
        str | None,
        Option("fill: Parquet or JSONL file for the pairs with their scores; unset: they lie in the cache alone."),
    ] = None
    precision: Arithmetic = "auto"
    name: Annotated[str | None, Option("import: the scores become the teacher scores:NAME.")] = None
    data_version: Annotated[str | None, Option("import: count the pairs whose texts this data version holds.")] = None
    data_root: DataRoot = "preprocessed"
    cache: Annotated[str | None, Option("rebuild: folder of the cache, as `bistill scores` shows it.")] = None
