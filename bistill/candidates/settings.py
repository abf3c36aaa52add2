"""Settings of candidate lists: who finds candidates, who scores them, what is filtered, what a list holds."""

from __future__ import annotations

import pkgutil
from dataclasses import dataclass, fields
from typing import Annotated, Any, ClassVar, Literal

from bistill.errors import OptionError
from bistill.models.settings import EncoderStart, Precision, Tokens
from bistill.settings import Settings, Within

LexicalTokens = Literal["auto", "words", "morphemes", "bigrams"]
Choice = Literal["random", "stratified"]
Redraw = Literal["each_epoch", "never"]


@dataclass(frozen=True)
class MinerSettings(Settings):
    """How candidates of a query are found; one subclass for each miner.

    Attributes:
        depth: candidates of each query; None: what its lists take decides (``candidates.depths``).
        name: what the miner is called.
        retrieval: whether it searches for what is near the query. Its answers are kept, and how many positives it finds
            is counted.
        made_by: ``module:function`` that makes the miner of these settings.
    """

    depth: Annotated[int, Within(1)] | None = None
    name: ClassVar[str]
    retrieval: ClassVar[bool] = True
    made_by: ClassVar[str]

    def make(self, search: Any) -> Any:
        """The ``mining.miner.Miner`` of these settings for a ``mining.miner.Search``; nothing is searched yet."""
        return pkgutil.resolve_name(self.made_by)(self, search)


@dataclass(frozen=True)
class Labelled(MinerSettings):
    """The negatives that people labelled; without a depth as many as the lists of all epochs take."""

    name: ClassVar[str] = "labelled"
    retrieval: ClassVar[bool] = False
    made_by: ClassVar[str] = "bistill.candidates.mining.labelled:made"


@dataclass(frozen=True)
class Random(MinerSettings):
    """Documents by chance; without a depth as many as the lists take."""

    name: ClassVar[str] = "random"
    retrieval: ClassVar[bool] = False
    made_by: ClassVar[str] = "bistill.candidates.mining.random_miner:made"


@dataclass(frozen=True)
class Lexical(MinerSettings):
    """What BM25 ranks highest; without a depth four for every three that the lists take.

    Attributes:
        tokens: what counts as a word; auto: words, for Korean morphemes with kiwipiepy, else bigrams.
    """

    tokens: LexicalTokens = "auto"
    name: ClassVar[str] = "lexical"
    made_by: ClassVar[str] = "bistill.candidates.mining.lexical:made"


@dataclass(frozen=True)
class Dense(MinerSettings):
    """What a Bi-Encoder ranks highest; without a depth four for every three that the lists take.

    Attributes:
        model: the Bi-Encoder; None: the one that teaches, where no re-ranker does, else the student as it starts, with
            all its layers.
    """

    model: EncoderStart | None = None
    name: ClassVar[str] = "dense"
    made_by: ClassVar[str] = "bistill.candidates.mining.dense:made"


@dataclass(frozen=True)
class CrossEncoderRanked(MinerSettings):
    """What the teacher ranks highest among what BM25 and a Bi-Encoder found; without a depth four for every three that
    the lists take.

    Attributes:
        reads: documents of each query that the teacher reads; 0: all.
        lexical: the first of the two.
        dense: the second.
    """

    reads: Annotated[int, Within(0)] = 200
    lexical: Lexical = Lexical()
    dense: Dense = Dense()
    name: ClassVar[str] = "cross_encoder"
    made_by: ClassVar[str] = "bistill.candidates.mining.reranking:made"


@dataclass(frozen=True)
class Lists(Settings):
    """What a candidate list holds.

    Attributes:
        size: documents of each query, the positive among them.
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
class Promotion(Settings):
    """How a teacher makes positives: for a query without labels, and beside those of a labelled one.

    Attributes:
        reads: documents of each such query that it reads at most, shared by those who search; a miner's own depth
            goes before.
        source_rank: a query that was made from a document counts only where the teacher ranks that document so high
            among them (CADeT, arXiv 2505.19274).
        dense: who searches for the nearest documents, where no miner of the run does.
        labelled_margin: a candidate of a labelled query whose relevance is that of the best labelled positive and so
            much more becomes a positive beside it (RLHN, arXiv 2505.16967); None: none does.
    """

    reads: Annotated[int, Within(2)] = 20
    source_rank: Annotated[int, Within(1)] = 1
    dense: Dense = Dense()
    labelled_margin: Annotated[float, Within(0, 1)] | None = None


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

    def for_loading(self) -> dict[str, Any]:
        """What ``models.rerankers`` must know to load the teacher."""
        return {field.name: getattr(self, field.name) for field in fields(self) if field.name != "batch_size"}
