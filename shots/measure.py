"""Seconds, main memory and file sizes of this machine, for a shot's plan."""

import os
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from torch import Tensor

from ..video.io.write import write_video


def seconds_of(work: Callable[[], object], times: int = 2) -> float:
    """The median over some calls after one that warms up."""
    work()
    found = []
    for _ in range(times):
        started = time.monotonic()
        work()
        found.append(time.monotonic() - started)
    return median(found)


def ram() -> int:
    """Bytes that this process holds in main memory; 0 where the system does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        if sys.platform == "win32":
            return 0
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def disk_free(folder: Path) -> int:
    """Of the disk that a folder, existing or not yet, is on."""
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    return shutil.disk_usage(there).free


def written(picture: Tensor, fps: float, frames: int = 8) -> tuple[float, int]:
    """(seconds, bytes) per frame of a video of one picture and its mirror image: more motion than a shot will have."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "measured.mp4"
        started = time.monotonic()
        write_video(path, (picture.flip(-1) if number % 2 else picture for number in range(frames)), fps, joinable=True)
        return (time.monotonic() - started) / frames, path.stat().st_size // frames
