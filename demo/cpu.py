"""Number of threads, and their wait policy, for small networks on a CPU that other programs use as well.

Threads of torch spin while they wait for each other. If another program occupies a core, all of them spin until its thread is
moved: 2 s became 83 s. Sleeping threads release their cores at once. `benchmarks/busy.py` compares both.
"""

import os
import sys
from collections.abc import MutableMapping

MOST = 4
"""More threads are no faster for networks of the demo's size."""


def share_the_cpu(environment: MutableMapping[str, str] = os.environ) -> None:
    """Sets thread count and wait policy of this process, unless torch is loaded or the user has set them."""
    if "torch" in sys.modules:
        return
    environment.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    environment.setdefault("OMP_NUM_THREADS", str(idle_cores()))


def idle_cores() -> int:
    """Number of cores that were idle in the last minute, 1 to `MOST`."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    return min(MOST, max(1, round(cores - load)))
