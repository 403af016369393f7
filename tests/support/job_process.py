"""A job of the demo model that may be killed: `python job_process.py JOB FOLDER FRAMES` writes its frames into the folder."""

import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))

import hosting  # noqa: E402
from naming import name_the_checkout  # noqa: E402

name_the_checkout()

Pictures = Callable[[Any, int], Iterable[Any]]
"""(function that makes or finds the journal, number of frames of the source) -> frames of the job."""


def restyled(journal: Any, frames: int) -> Iterable[Any]:
    from demo_jobs import said
    from zoetrope.hosts.comfyui.jobs.restyle import Restyling
    from zoetrope.hosts.comfyui.jobs.restyle_request import RestyleInputs, RestyleRequest
    from zoetrope.hosts.comfyui.loaders.demo import load_demo
    from zoetrope.hosts.comfyui.vae.chunked import ChunkedVae

    parts = load_demo()
    green, red = (said(parts, f"a {colour} circle") for colour in ("green", "red"))
    inputs = RestyleInputs(parts.model, green, said(parts, ""), red, ChunkedVae(parts.vae))
    request = RestyleRequest(steps=1, cfg=1.0, refine=0, window=8, overlap=2)
    return Restyling(inputs, request, journal).pictures(iter(scenes(frames, fps=8)))


def interpolated(journal: Any, frames: int) -> Iterable[Any]:
    from demo_jobs import fillers
    from zoetrope.hosts.comfyui.jobs.interpolate import InterpolationRequest, interpolate
    from zoetrope.hosts.comfyui.jobs.unfinished import Unfinished
    from zoetrope.hosts.comfyui.loaders.demo import load_demo
    from zoetrope.hosts.comfyui.motion.apply import Settings, apply

    parts = load_demo()
    inputs = fillers((parts, apply(parts.model, parts.motion, Settings())))
    request = InterpolationRequest(factor=4, steps=2, originals=True)
    return interpolate(inputs, iter(scenes(frames, fps=4)), request, Unfinished(journal))


def upscaled(journal: Any, frames: int) -> Iterable[Any]:
    from demo_jobs import enlargers
    from zoetrope.hosts.comfyui.jobs.unfinished import Unfinished
    from zoetrope.hosts.comfyui.jobs.upscale import UpscaleRequest, upscale
    from zoetrope.hosts.comfyui.loaders.demo_upscaler import load_upscaler_demo
    from zoetrope.hosts.comfyui.motion.apply import Settings, apply
    from zoetrope.video.frames.flow import has_flow

    parts = load_upscaler_demo()
    inputs = enlargers((parts, apply(parts.model, parts.motion, Settings())))
    request = UpscaleRequest(steps=4, cfg=1.0, flow=has_flow())
    return upscale(inputs, iter(scenes(frames, fps=16, size=16)), request, Unfinished(journal))


def scenes(frames: int, **more: Any) -> Any:
    import torch
    from demo_jobs import world

    first, second = frames // 2, frames - frames // 2
    return torch.cat([world(first, seed=1, **more), world(second, seed=2, background="white", **more)])


JOBS: dict[str, Pictures] = {"restyle": restyled, "interpolate": interpolated, "upscale": upscaled}


def run(pictures: Pictures, folder: Path, frames: int) -> None:
    import torch
    from safetensors.torch import save_file
    from zoetrope.shots.journal import Journal

    torch.set_num_threads(1)

    def journal(sizes: Any) -> Journal:
        path = folder / "journal"
        return Journal.open(path) if (path / "shot.json").exists() else Journal.create(path, sizes, {}, {})

    with torch.inference_mode():
        out = torch.stack(list(pictures(journal, frames)))
    save_file({"frames": out.contiguous()}, folder / "frames.safetensors")


if __name__ == "__main__":
    hosting.enter_host()
    run(JOBS[sys.argv[1]], Path(sys.argv[2]), int(sys.argv[3]))
