"""Clusters of Ray on this machine: whose crew works for the tests, or whose workers find the package, the tests, and
which products are fastest."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bistill import distributed
from bistill.distributed import Crew
from tests.conftest import pin_products

ROOT = Path(__file__).parents[1]
# Ends with its standard input: also when the tests are killed.
CLUSTER = """
import sys, ray
ray.init(address="local", num_cpus=int(sys.argv[1]), include_dashboard=False, log_to_driver=False)
print(ray.get_runtime_context().gcs_address, flush=True)
sys.stdin.read()
"""


@contextmanager
def crew_here() -> Iterator[Crew]:
    """A crew of this machine that works for this process."""
    with distributed.hired("local"):
        found = distributed.crew()
        assert found is not None
        yield found


@contextmanager
def cluster(folder: Path, processors: int = 2) -> Iterator[str]:
    """The address of a cluster with so many processors, whose workers have ``folder`` as their cache."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1", "RAY_USAGE_STATS_ENABLED": "0"}.items():
            patch.setenv(name, value)
        pin_products(folder)
        patch.setenv("BISTILL_CACHE", str(folder))
        command = [sys.executable, "-c", CLUSTER, str(processors)]
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=os.environ
        ) as process:
            assert process.stdout is not None and process.stdin is not None
            yield process.stdout.readline().strip()
            process.stdin.close()
            process.wait(60)
