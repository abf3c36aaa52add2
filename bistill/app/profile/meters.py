"""What is counted while a model works: tokens, weights, memory, and where the time of one update goes."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable
from typing import Any, NamedTuple, Self

import psutil
import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile

from bistill.app.profile import arithmetic
from bistill.app.profile.arithmetic import Weights
from bistill.models.compute import packing

LOOK_SECONDS = 0.02


class Read(NamedTuple):
    """Tokens that a model read.

    Attributes:
        tokens: those of the texts.
        padded: with padding; of texts that share one row there is none.
        padded_without_gradient: those of ``padded`` that were only read forward.
    """

    tokens: int
    padded: int
    padded_without_gradient: int


class TokenMeter:
    """Counts the tokens that a transformers model reads while the context is open.

    Args:
        body: module that is called with ``input_ids`` and ``attention_mask`` by name.
    """

    def __init__(self, body: nn.Module) -> None:
        self._body = body
        self._tokens: Any = 0
        self._padded: Any = 0
        self._forward_only: Any = 0

    def take(self) -> Read:
        """What was read since the last call."""
        read = Read(int(self._tokens), int(self._padded), int(self._forward_only))
        self._tokens, self._padded, self._forward_only = 0, 0, 0
        return read

    def __enter__(self) -> Self:
        self._handle = self._body.register_forward_pre_hook(self._count, with_kwargs=True)
        return self

    def __exit__(self, *_: object) -> None:
        self._handle.remove()

    def _count(self, _module: nn.Module, _args: Any, inputs: dict[str, Any]) -> None:
        real = inputs["attention_mask"].sum()  # stays on a GPU: reading it would wait
        body: Any = self._body
        in_one_row = packing.transformer(body).config._attn_implementation == packing.IMPLEMENTATION
        size = real if in_one_row else inputs["input_ids"].numel()
        self._tokens = self._tokens + real
        self._padded = self._padded + size
        self._forward_only = self._forward_only + (0 if torch.is_grad_enabled() else size)


def token_weights(body: nn.Module, read_text: Callable[[], object]) -> Weights:
    """Weights of the linear layers that every token passes, each as often as it is passed.

    Seen, not guessed from names: a layer that one text's tokens all pass has as many rows as the text has tokens;
    pooler and head have one, unused layers none.

    Args:
        body: module that is called with ``input_ids`` and ``attention_mask`` by name.
        read_text: has the model read one text of several tokens.
    """
    rows: list[tuple[str, int, int]] = []
    with torch.inference_mode():
        read_text()  # a model's first forward also tries whether it can be packed, with texts of its own

    def watch(name: str) -> Callable[[nn.Module, Any, Any], None]:
        def seen(layer: nn.Module, inputs: Any, _output: Any) -> None:
            assert isinstance(layer, nn.Linear)
            rows.append((name, inputs[0].numel() // layer.in_features, layer.weight.numel()))

        return seen

    layers = ((name, layer) for name, layer in body.named_modules() if isinstance(layer, nn.Linear))
    handles = [layer.register_forward_hook(watch(name)) for name, layer in layers]
    try:
        with torch.inference_mode(), TokenMeter(body) as meter:
            read_text()
            tokens = meter.take().tokens
    finally:
        for handle in handles:
            handle.remove()
    passed = [
        (bool({"lora_A", "lora_B"} & set(name.split("."))), size) for name, count, size in rows if count == tokens
    ]
    return Weights(
        sum(size for adapter, size in passed if not adapter), sum(size for adapter, size in passed if adapter)
    )


class PeakMemory:
    """The most memory held while the context is open: of a GPU what torch allocated, of a CPU the resident set, looked
    at every ``LOOK_SECONDS``; that of a CPU includes what the process held before.

    Attributes:
        mib: MiB.
    """

    def __init__(self, device: torch.device) -> None:
        self._device, self.mib = device, 0
        self._end = threading.Event()
        self._process = psutil.Process()
        self._thread = threading.Thread(target=self._watch, daemon=True, name="peak memory")

    def __enter__(self) -> Self:
        if self._device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self._device)
        else:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._device.type == "cuda":
            self.mib = int(torch.cuda.max_memory_allocated(self._device) >> 20)
            return
        self._end.set()
        self._thread.join()
        self._look()

    def _watch(self) -> None:
        while not self._end.wait(LOOK_SECONDS):
            self._look()

    def _look(self) -> None:
        self.mib = max(self.mib, int(self._process.memory_info().rss >> 20))


class TimeByCategory:
    """Own time of torch's operators between ``start`` and ``stop``, in this thread and in those of its gradients."""

    def __init__(self, device: torch.device) -> None:
        self._on_gpu = device.type == "cuda"
        activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if self._on_gpu else [])]
        self._profile = profile(activities=activities)
        self._running = False

    def start(self) -> None:
        """Begin to record."""
        self._profile.start()
        self._running = True

    def stop(self) -> dict[str, float]:
        """End, and give the seconds by category: of a GPU those of its kernels; {} where nothing was recorded."""
        if not self._running:
            return {}
        self._running = False
        self._profile.stop()
        seconds: dict[str, float] = defaultdict(float)
        events: Any = self._profile.events()
        for event in events:
            if event.device_type != torch.autograd.DeviceType.CPU:  # type: ignore[attr-defined]  # not in its `__all__`
                continue  # a kernel: counted with the operator that launched it
            own = event.self_device_time_total if self._on_gpu else event.self_cpu_time_total
            seconds[arithmetic.category(_names(event))] += own / 1e6
        return dict(seconds)


def _names(event: Any) -> list[str]:
    names = []
    while event is not None:
        names.append(event.name)
        event = event.cpu_parent
    return names
