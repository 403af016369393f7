"""Reads videos in a process of its own: writes a line of JSON for each path that it is told on its standard input."""

import json
import sys
import time
from itertools import islice
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))
from naming import name_the_checkout

MOST = 5000
"""Frames that are counted; wrong times may ask for more."""


def told(path: str) -> dict[str, object]:
    """What became of a file: frames and samples, or the kind and words of the error."""
    from zoetrope.video.io.read import facts_of, frames_of, sound_of

    started = time.monotonic()
    try:
        facts_of(path)
        frames = sum(1 for _ in islice(frames_of(path), MOST))
        heard = sound_of(path)
        found: dict[str, object] = {"frames": frames, "samples": heard[0].shape[1] if heard else 0}
    except Exception as error:
        found = {"error": type(error).__name__, "said": str(error)}
    return {"path": path, "seconds": time.monotonic() - started, **found}


if __name__ == "__main__":
    name_the_checkout()
    for line in sys.stdin:
        print(json.dumps(told(line.rstrip("\n"))), flush=True)
