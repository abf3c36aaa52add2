"""Which errors mean that memory ran out, and how many tokens a machine begins with."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
import torch
from torch import nn

from bistill.training.loop import memory
from bistill.training.loop.budget import held_mib
from tests.conftest import bert_config

CPU = torch.device("cpu")
GIB = 2**30


def raised_by_the_allocator() -> RuntimeError:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**50)
    assert type(caught.value) is RuntimeError
    return caught.value


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB"),
        RuntimeError("CUDA error: out of memory"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasLtCreate(&handle)`"),
        RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
        RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED"),
        RuntimeError("cusolver error: CUSOLVER_STATUS_ALLOC_FAILED, when calling `cusolverDnCreate(handle)`"),
        RuntimeError("CUDA driver error: cudaErrorMemoryAllocation: out of memory"),
        RuntimeError("cudaMalloc failed with cudaErrorMemoryAllocation"),
        RuntimeError("CUDA_ERROR_OUT_OF_MEMORY"),
        RuntimeError("HIP error: hipErrorOutOfMemory"),
        RuntimeError("MPS backend out of memory (MPS allocated: 17.0 GB)"),
        RuntimeError(
            'NVML_SUCCESS == r INTERNAL ASSERT FAILED at "../c10/cuda/CUDACachingAllocator.cpp":1016, please report a '
            "bug to PyTorch. "
        ),
        RuntimeError("[enforce fail at alloc_cpu.cpp:121] err == 0. DefaultCPUAllocator: can't allocate memory"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:80] data. DefaultCPUAllocator: not enough memory"),
        RuntimeError("unable to mmap 4096 bytes from file </torch_1>: Cannot allocate memory (12)"),
        RuntimeError("std::bad_alloc"),
    ],
)
def test_errors_that_mean_that_memory_ran_out(error: Exception) -> None:
    assert memory.is_out_of_memory(error)


def test_what_torch_and_python_really_raise() -> None:
    assert memory.is_out_of_memory(raised_by_the_allocator())
    with pytest.raises(MemoryError) as caught:
        bytearray(2**60)
    assert memory.is_out_of_memory(caught.value)
    with pytest.raises(MemoryError) as caught:
        np.empty(2**57, dtype=np.int8)
    assert memory.is_out_of_memory(caught.value)


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("mat1 and mat2 shapes cannot be multiplied (3x4 and 5x6)"),
        ValueError("out of memory"),  # no allocator raises this
        RuntimeError("shape '[4, 3]' is invalid for input of size 11 INTERNAL ASSERT FAILED"),
        RuntimeError("CUDA error: device-side assert triggered"),
        RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"),
        KeyboardInterrupt("out of memory"),
        OSError(12, "Cannot allocate memory"),  # a file or a fork, which smaller groups of texts do not help
    ],
)
def test_errors_that_mean_something_else(error: BaseException) -> None:
    assert not memory.is_out_of_memory(error)


@pytest.mark.parametrize(
    ("total", "expected"),
    [
        # 2 layers * 32 dimensions * 64 bytes = 4096 bytes a token; 0.4 * total / 4096, down to a power of two.
        (16 * GIB, 2**20),  # 1,677,721
        (8 * GIB, 2**19),  # 838,860
        (10 * GIB, 2**19 * 2),  # 1,048,576 and a bit: 2^20 exactly
        (4 * 2**20, 512),  # 409: the smallest
        (1024, 512),  # 0
    ],
)
def test_the_first_budget_of_a_cpu_comes_from_the_machines_memory(
    monkeypatch: pytest.MonkeyPatch, total: int, expected: int
) -> None:
    monkeypatch.setattr(memory, "machine_memory", lambda: total)
    model = nn.Linear(1, 1)
    model.config = bert_config()
    assert memory.first_budget(model, CPU) == expected


def test_a_gpu_and_an_unknown_model_begin_with_everything() -> None:
    model = nn.Linear(1, 1)
    assert memory.first_budget(model, CPU) == 2**31
    model.config = bert_config()
    assert memory.first_budget(model, torch.device("cuda")) == 2**31


@pytest.mark.parametrize(
    ("new", "old", "expected"),
    [
        ("3221225472\n", None, 3 * GIB),
        ("max\n", None, 64 * GIB),
        (None, "2147483648\n", 2 * GIB),
        (None, "9223372036854771712\n", 64 * GIB),  # what the older groups say for no limit
        (None, None, 64 * GIB),
    ],
)
def test_a_control_group_limits_the_machines_memory(
    monkeypatch: pytest.MonkeyPatch, new: str | None, old: str | None, expected: int
) -> None:
    texts = {"/sys/fs/cgroup/memory.max": new, "/sys/fs/cgroup/memory/memory.limit_in_bytes": old}

    def read_text(path: Path, encoding: str) -> str:
        text = texts[str(path)]
        if text is None:
            raise FileNotFoundError(path)
        return text

    monkeypatch.setattr(Path, "read_text", read_text)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(total=64 * GIB))
    assert memory.machine_memory() == expected


def test_memory_held_is_that_of_the_process() -> None:
    held = held_mib(CPU)
    block = torch.ones(2**25)  # 128 MiB
    assert 100 <= held_mib(CPU) - held <= 160
    del block


@pytest.mark.skipif(memory.malloc_trim() is None, reason="the C library gives back by itself, or never")
def test_pages_in_the_middle_of_the_heap_are_given_back() -> None:
    """Blocks too small to be mapped by themselves, and one behind them that keeps the heap from being cut."""
    memory.trim_heap()
    blocks = [torch.ones(2**14) for _ in range(1024)]  # 64 KiB each
    last = torch.ones(2**14)
    held = held_mib(CPU)
    blocks.clear()
    memory.trim_heap()
    assert held_mib(CPU) <= held - 50
    assert last.sum() == 2**14
