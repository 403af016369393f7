"""Cost of the embedded model: seconds per clip, and the share outside its networks.

    python benchmarks/demo.py [--frames 16] [--clips 3]

One warm-up clip, then `clips` timed ones; inside them, clocks stand around the UNet (with its motion module), the VAE's decoder
and the text encoder. What is left is ours: noise, the sampler's arithmetic, reshapes. Import, loading and video encoding happen
once or outside the model and are reported apart.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / folder) for folder in ("tools", "tests/support")]
PROMPT = "a red circle moving right on black"


class Clock:
    """Adds up the time between a module's first pre-hook and its last hook."""

    def __init__(self, *modules: Any) -> None:
        self.total = self._since = 0.0
        for module in modules:
            module.register_forward_pre_hook(self._start, prepend=True)
            module.register_forward_hook(self._stop)

    def _start(self, *_: Any) -> None:
        self._since = time.perf_counter()

    def _stop(self, *_: Any) -> None:
        self.total += time.perf_counter() - self._since


@contextmanager
def seconds(results: dict[str, float], name: str) -> Iterator[None]:
    started = time.perf_counter()
    yield
    results[name] = round(time.perf_counter() - started, 3)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=16)
    parser.add_argument("--clips", type=int, default=3)
    parser.add_argument("--threads", type=int, default=0)
    arguments = parser.parse_args()
    results: dict[str, float] = {}
    with seconds(results, "import"):
        import torch
        from naming import name_the_checkout

        name_the_checkout()
        from zoetrope.hosts.diffusers.demo.model import load_demo
        from zoetrope.video.io.write import write_video
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    with seconds(results, "load"):
        demo = load_demo()
    with seconds(results, "first clip"):
        clip = demo.generate(PROMPT, arguments.frames)
    with seconds(results, "video file"), tempfile.TemporaryDirectory() as folder:
        write_video(Path(folder) / "clip.mp4", clip, 8)
    clock = Clock(demo.unet, demo.vae.decoder, demo.text)
    totals, shares = [], []
    for seed in range(arguments.clips):
        clock.total, started = 0.0, time.perf_counter()
        demo.generate(PROMPT, arguments.frames, seed)
        totals.append(time.perf_counter() - started)
        shares.append(1 - clock.total / totals[-1])
    results["clip"] = round(statistics.median(totals), 3)
    results["share outside the networks"] = round(statistics.median(shares), 4)
    print(json.dumps({"frames": arguments.frames, "threads": torch.get_num_threads(), "torch": torch.__version__, **results}))


if __name__ == "__main__":
    main()
