"""Settings of training: the loop, its validation, its checkpoints."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from bistill.errors import OptionError
from bistill.settings import Settings, Within

Score = Literal["linear", "calibrated"]
InBatch = Literal["floor", "never"]
WeakTeacher = Literal["labels", "teacher", "stop"]
WeakStudent = Literal["start", "trained"]


@dataclass(frozen=True)
class Loop(Settings):
    """What the engine needs to know.

    Attributes:
        epochs: passes over the training queries.
        batch_size: samples of one update.
        lr: peak learning rate; None: the usual one of the stage and the model.
        warmup_ratio: share of the updates with a rising learning rate.
        weight_decay: of AdamW, for matrices (not for biases and norms).
        max_grad_norm: gradients are scaled down to at most this norm; 0: never.
        micro_batch_tokens: tokens whose activations are held at once; 0: from this machine's memory.
        seed: every random choice is a function of it.
    """

    epochs: Annotated[int, Within(1)] = 3
    batch_size: Annotated[int, Within(1)] = 16
    lr: Annotated[float, Within(0)] | None = None
    warmup_ratio: Annotated[float, Within(0, 1)] = 0.1
    weight_decay: Annotated[float, Within(0)] = 0.01
    max_grad_norm: Annotated[float, Within(0)] = 1.0
    micro_batch_tokens: Annotated[int, Within(0)] = 0
    seed: Annotated[int, Within(0)] = 42


@dataclass(frozen=True)
class NewHead(Settings):
    """How a Cross-Encoder's head begins where its start has none. A start that has one keeps it.

    Attributes:
        pairs: training pairs to which its last layer is fitted before the first update; 0: it starts at random.
        lr_factor: it learns at this multiple of the learning rate.
    """

    pairs: Annotated[int, Within(0)] = 2500
    lr_factor: Annotated[float, Within(1)] = 10.0


@dataclass(frozen=True)
class Place(Settings):
    """Where a run is at work, and what becomes of what is there.

    Attributes:
        output_dir: folder of the model.
        restart: begin anew where an interrupted run could go on; its checkpoints are deleted.
        overwrite: replace a finished model that was made otherwise, once the new one is whole.
        trackers: names of trackers of accelerate that are sent the figures, too.
        takes_flags: whether a command of bistill is at work, to which a monitor may give flags when it starts it again.
    """

    output_dir: str
    restart: bool = False
    overwrite: bool = False
    trackers: tuple[str, ...] = ()
    takes_flags: bool = False


@dataclass(frozen=True)
class Validation(Settings):
    """When and on how much the best weights are chosen.

    Attributes:
        every: updates between two validations; 0: at the end of each epoch.
        queries: validation queries used each time, chosen by the seed.
        patience: the run stops after so many validations without a better one; 0: never.
    """

    every: Annotated[int, Within(0)] = 0
    queries: Annotated[int, Within(1)] = 500
    patience: Annotated[int, Within(0)] = 0


@dataclass(frozen=True)
class Checkpointing(Settings):
    """When checkpoints are written, and how a run goes on from one.

    Attributes:
        steps: updates between two checkpoints; 0: not by updates.
        minutes: between two checkpoints; 0: not by time.
        keep: checkpoints kept, the newest.
        rollbacks: times that a run goes back to its last checkpoint when the loss leaps.
        lr_factor: a run that goes on learns at this multiple of its learning rate at most.
    """

    steps: Annotated[int, Within(0)] = 500
    minutes: Annotated[float, Within(0)] = 10.0
    keep: Annotated[int, Within(1)] = 2
    rollbacks: Annotated[int, Within(0)] = 2
    lr_factor: Annotated[float, Within(0, 1)] = 1.0


@dataclass(frozen=True)
class Merging(Settings):
    """How far the best weights are brought back towards the start.

    Attributes:
        shares: of what the training changed that are tried beside all of it; the smallest that ranks the validation
            queries as well is kept. (): all of it is.
        weak_student: what is written where the trained student ranks the validation queries no better than its
            base model.
    """

    shares: tuple[float, ...] = (0.8, 0.6, 0.4, 0.2)
    weak_student: WeakStudent = "start"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not all(0 < share < 1 for share in self.shares):
            raise OptionError(
                "a share of the training lies between 0 and 1",
                where="`Merging.shares`",
                found=self.shares,
                todo="give numbers such as 0.9 0.8 0.7 0.6 0.5; 1 is always tried",
            )
