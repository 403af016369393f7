"""Measurements of time, memory and file sizes for a shot's plan."""

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
    """Median time of `times` calls, after one to warm up."""
    work()
    seconds = []
    for _ in range(times):
        started = time.monotonic()
        work()
        seconds.append(time.monotonic() - started)
    return median(seconds)


def ram() -> int:
    """Bytes of main memory that this process uses; 0 where the system has no such figure."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        if sys.platform == "win32":
            return 0
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def disk_free(folder: Path) -> int:
    """Free bytes on the disk of a folder, which need not exist yet."""
    existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    return shutil.disk_usage(existing).free


def written(picture: Tensor, fps: float, frames: int = 8) -> tuple[float, int]:
    """(seconds, bytes) per frame of a video of one picture and its mirror image: more motion than in a shot."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "measured.mp4"
        started = time.monotonic()
        write_video(path, (picture.flip(-1) if number % 2 else picture for number in range(frames)), fps, joinable=True)
        return (time.monotonic() - started) / frames, path.stat().st_size // frames
