"""How many threads small networks get on a CPU that others use as well, and how they wait for each other.

A thread of torch's spins while it waits for the others. Where another program has its core, all of them spin until that one is
moved: 2 s became 83 s. Threads that sleep give the core away at once. `benchmarks/busy.py` compares both.
"""

import os
import sys
from collections.abc import MutableMapping

MOST = 4
"""Threads beyond these gain nothing for networks of the demo's size."""


def share_the_cpu(environment: MutableMapping[str, str] = os.environ) -> None:
    """Chooses threads and waiting for this process, before torch is loaded; what the user has set stays."""
    if "torch" in sys.modules:
        return
    environment.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    environment.setdefault("OMP_NUM_THREADS", str(idle_cores()))


def idle_cores() -> int:
    """Cores that nobody has used in the last minute, 1 to `MOST`."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    return min(MOST, max(1, round(cores - load)))
