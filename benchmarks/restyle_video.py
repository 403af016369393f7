"""Restyle Video with the embedded model: time beside the networks' own calls, and memory over thousands of frames.

python benchmarks/restyle_video.py [--frames 200] [--long 5000]

The time outside of the UNet and the VAE is measured in one run, with the journal on disk and the video written. Needs a
ComfyUI. --long: frames of the run for memory, with one step.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

sys.path[:0] = [str(Path(__file__).parents[1] / folder) for folder in ("tools", "tests/support")]
import hosting  # noqa: E402

hosting.enter_host()

import torch  # noqa: E402
from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel  # noqa: E402
from demo_jobs import said, world  # noqa: E402
from torch import Tensor  # noqa: E402
from zoetrope.hosts.comfyui.jobs.restyle import Restyling  # noqa: E402
from zoetrope.hosts.comfyui.jobs.restyle_request import INVERSION, RestyleInputs, RestyleRequest  # noqa: E402
from zoetrope.hosts.comfyui.loaders.demo import load_demo  # noqa: E402
from zoetrope.hosts.comfyui.motion.apply import Settings, apply  # noqa: E402
from zoetrope.hosts.comfyui.vae.chunked import ChunkedVae  # noqa: E402
from zoetrope.shots.journal import Journal  # noqa: E402
from zoetrope.shots.measure import ram  # noqa: E402
from zoetrope.video.io.write import write_video  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=200)
    parser.add_argument("--long", type=int, default=0)
    arguments = parser.parse_args()
    demo = load_demo()
    model = apply(demo.model, demo.motion, Settings())
    with torch.inference_mode(), TemporaryDirectory() as folder:
        overhead(demo, model, arguments.frames, Path(folder))
        if arguments.long:
            memory(demo, model, arguments.long, Path(folder))


def restyling(demo: Any, model: Any, folder: Path, request: RestyleRequest) -> Restyling:
    green, red = (said(demo, f"a {colour} circle moving right on black") for colour in ("green", "red"))
    inputs = RestyleInputs(model, green, said(demo, ""), red, ChunkedVae(demo.vae))
    return Restyling(inputs, request, lambda sizes: Journal.create(folder, sizes, {}, {}))


def overhead(demo: Any, model: Any, frames: int, folder: Path) -> None:
    source = world(frames, fps=8, shape="circle", colour="red", background="black")
    for name, request in (("inversion, 4 steps", RestyleRequest(INVERSION, steps=4, cfg=3.0)),
                          ("noise by frame, 8 steps", RestyleRequest("noise by frame", 0.6, 8, 3.0))):  # fmt: skip
        vae = type(demo.vae.first_stage_model)
        with timed(UNetModel, "_forward") as unet, timed(vae, "encode") as encoding, timed(vae, "decode") as decoding:
            started = time.perf_counter()
            run = restyling(demo, model, folder / name, request)
            write_video(folder / f"{name}.mp4", run.pictures(iter(source)), 8)
            total = time.perf_counter() - started
        own = unet[0] + encoding[0] + decoding[0]
        print(f"{name}, {frames} frames: {total / own:.3f} times the networks' own time ({unet[0] / own:.0%} UNet)", flush=True)


@contextmanager
def timed(owner: type, name: str) -> Iterator[list[float]]:
    """Sum of the seconds in a method, in a list of one."""
    plain: Callable[..., Any] = getattr(owner, name)
    seconds = [0.0]

    def method(*args: Any, **kwargs: Any) -> Any:
        started = time.perf_counter()
        try:
            return plain(*args, **kwargs)
        finally:
            seconds[0] += time.perf_counter() - started

    setattr(owner, name, method)
    try:
        yield seconds
    finally:
        setattr(owner, name, plain)


def memory(demo: Any, model: Any, frames: int, folder: Path) -> None:
    clip = world(64, fps=8, background="black")

    def source() -> Iterator[Tensor]:
        for number in range(frames):
            yield clip[number % 64]

    run = restyling(demo, model, folder / "long", RestyleRequest("noise by frame", 0.6, 1, 1.0, cut=0.0))
    for number, _ in enumerate(run.pictures(source()), 1):
        if number in (200, 1000) or number % 2000 == 0 or number == frames:
            print(f"frame {number}: {ram() / 2**20:.0f} MiB", flush=True)


if __name__ == "__main__":
    main()
