"""Settings of candidate lists: who finds candidates, who scores them, what is filtered, what a list holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from bistill.errors import OptionError
from bistill.models.settings import EncoderStart, Precision, Tokens
from bistill.settings import Settings, Within

LexicalTokens = Literal["auto", "words", "morphemes", "bigrams"]
Choice = Literal["random", "stratified"]
Redraw = Literal["each_epoch", "never"]
Depth = Annotated[int, Within(1)] | None


@dataclass(frozen=True)
class Labelled(Settings):
    """The negatives that people labelled.

    Attributes:
        depth: candidates of each query; None: as many as its lists take.
    """

    depth: Depth = None
    name: ClassVar[str] = "labelled"


@dataclass(frozen=True)
class Random(Settings):
    """Documents by chance.

    Attributes:
        depth: candidates of each query; None: as many as its lists take.
    """

    depth: Depth = None
    name: ClassVar[str] = "random"


@dataclass(frozen=True)
class Lexical(Settings):
    """What BM25 ranks highest.

    Attributes:
        depth: candidates of each query; None: four for every three that its lists take.
        tokens: what counts as a word; auto: words, for Korean morphemes with kiwipiepy, else bigrams.
    """

    depth: Depth = None
    tokens: LexicalTokens = "auto"
    name: ClassVar[str] = "lexical"


@dataclass(frozen=True)
class Dense(Settings):
    """What a Bi-Encoder ranks highest.

    Attributes:
        depth: candidates of each query; None: four for every three that its lists take.
        model: the Bi-Encoder; None: the student as it starts, with all its layers.
    """

    depth: Depth = None
    model: EncoderStart | None = None
    name: ClassVar[str] = "dense"


@dataclass(frozen=True)
class CrossEncoderRanked(Settings):
    """What the teacher ranks highest among what BM25 and a Bi-Encoder found.

    Attributes:
        depth: candidates of each query; None: four for every three that its lists take.
        reads: documents of each query that the teacher reads; 0: all.
        lexical: the first of the two.
        dense: the second.
    """

    depth: Depth = None
    reads: Annotated[int, Within(0)] = 200
    lexical: Lexical = Lexical()
    dense: Dense = Dense()
    name: ClassVar[str] = "cross_encoder"


MinerSettings = Labelled | Random | Lexical | Dense | CrossEncoderRanked


@dataclass(frozen=True)
class Lists(Settings):
    """What a candidate list holds.

    Attributes:
        size: documents of each query, the positive among them (the flag ``--K``).
        own_documents: those of them that are the query's own, the positive among them; the others are documents that
            other queries of the batch brought. None: all.
        choice: which of the scored negatives make the list behind the labelled ones: others by chance, or one of each
            quantile of their scores.
        redraw: lists are made anew each epoch, or never.
    """

    size: Annotated[int, Within(2)] = 16
    own_documents: Annotated[int, Within(1)] | None = None
    choice: Choice = "stratified"
    redraw: Redraw = "each_epoch"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.own_documents is not None and self.own_documents >= self.size:
            raise OptionError(
                "a list has no place left for documents of other queries",
                where="`Lists.own_documents`",
                found=self.own_documents,
                todo=f"give less than `Lists.size` {self.size}, or leave it out: then all are the query's own",
            )

    @property
    def own_negatives(self) -> int:
        """Negatives of a list that are the query's own candidates."""
        return (self.size if self.own_documents is None else self.own_documents) - 1


@dataclass(frozen=True)
class Limits(Settings):
    """Above which relevance a candidate is taken for an unlabelled positive (NV-Retriever, arXiv 2407.15831).

    Attributes:
        max_ratio: highest share of the positive's relevance; None: no such limit.
        max_score: highest relevance; None: no such limit.
        irrelevant_below: what the teacher itself calls irrelevant: a candidate below passes ``max_ratio``, a positive
            below is a suspect label.
    """

    max_ratio: Annotated[float, Within(0)] | None = 0.95
    max_score: Annotated[float, Within(0, 1)] | None = None
    irrelevant_below: Annotated[float, Within(0, 1)] = 0.1


@dataclass(frozen=True)
class TeacherReading(Settings):
    """How a teacher reads pairs.

    Attributes:
        max_len: tokens of a pair; None: the teacher's own limit.
        instruction: task told to a causal re-ranker; None: web search.
        precision: arithmetic.
        batch_size: pairs at once.
        trust_remote_code: whether code that the teacher brings along may run.
    """

    max_len: Tokens | None = None
    instruction: str | None = None
    precision: Precision = "auto"
    batch_size: Annotated[int, Within(1)] = 64
    trust_remote_code: bool = False
