"""A restyling of the demo model's video that may be killed: `python restyle_process.py FOLDER FRAMES` writes latents there."""

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))

import hosting  # noqa: E402


def restyle(folder: Path, frames: int) -> None:
    import torch
    from demo_jobs import said, world
    from safetensors.torch import save_file
    from zoetrope.hosts.comfyui.jobs.restyle import Restyling
    from zoetrope.hosts.comfyui.jobs.restyle_request import RestyleInputs, RestyleRequest
    from zoetrope.hosts.comfyui.loaders.demo import load_demo
    from zoetrope.hosts.comfyui.vae.chunked import ChunkedVae
    from zoetrope.shots.journal import Journal

    torch.set_num_threads(1)
    parts = load_demo()
    green, red = (said(parts, f"a {colour} circle") for colour in ("green", "red"))
    inputs = RestyleInputs(parts.model, green, said(parts, ""), red, ChunkedVae(parts.vae))

    def journal(sizes: Any) -> Journal:
        path = folder / "journal"
        return Journal.open(path) if (path / "shot.json").exists() else Journal.create(path, sizes, {}, {})

    request = RestyleRequest(steps=1, cfg=1.0, refine=0, window=8, overlap=2)
    scenes = torch.cat([world(frames // 2, fps=8, seed=1), world(frames - frames // 2, fps=8, seed=2, background="white")])
    with torch.inference_mode():
        out = torch.stack(list(Restyling(inputs, request, journal).pictures(iter(scenes))))
    save_file({"frames": out.contiguous()}, folder / "frames.safetensors")


if __name__ == "__main__":
    hosting.enter_host()
    restyle(Path(sys.argv[1]), int(sys.argv[2]))
