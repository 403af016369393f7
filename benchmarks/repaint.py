"""Repainting of large stains with the embedded model, against filling from the frames around.

    python benchmarks/repaint.py [--scenes 8] [--output DIR]

Clips of the procedural world (16 frames of 64 px at 8 fps, the first scenes of a seeded generator) get a stain,
20 to 28 px wide, that stays for the whole clip on the path of the shape: other frames show little of what it covers. Truth is
known. Prints PSNR in the stain, and writes a contact sheet: damaged, filled, repainted, truth.
"""

import argparse
import statistics
import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1] / folder) for folder in ("tools", "tests/support")]
import hosting  # noqa: E402

hosting.enter_host()

import torch  # noqa: E402
from demo_jobs import said  # noqa: E402
from old_films import psnr_in  # noqa: E402
from torch import Tensor  # noqa: E402
from zoetrope.demo.world import centre, draw, film  # noqa: E402
from zoetrope.hosts.comfyui.jobs.repaint import RepaintInputs, RepaintRequest, repaint  # noqa: E402
from zoetrope.hosts.comfyui.loaders.demo import load_demo  # noqa: E402
from zoetrope.hosts.comfyui.motion.apply import Settings, apply  # noqa: E402
from zoetrope.hosts.comfyui.vae.chunked import ChunkedVae  # noqa: E402
from zoetrope.video.quality.sheet import contact_sheet  # noqa: E402
from zoetrope.video.restore.film import painted_over  # noqa: E402

FRAMES, SIZE, FPS, SEED = 16, 64, 8, 7_000_000
DENOISE = (0.4, 0.6, 0.8, 1.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=int, default=8)
    parser.add_argument("--output", type=Path, default=Path("benchmarks/sheets"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    arguments.output.mkdir(parents=True, exist_ok=True)
    demo = load_demo()
    model = apply(demo.model, demo.motion, Settings())
    rows: dict[str, list[float]] = {}
    for number in range(arguments.scenes):
        generator = torch.Generator().manual_seed(SEED + number)
        scene = draw(generator)
        truth = film(scene, FRAMES, SIZE, FPS)
        clip, masks = stained(truth, centre(scene, torch.tensor([FRAMES / 2 / FPS]))[0] * SIZE, generator)
        filled = torch.stack([picture for part in painted_over(clip, masks, 0.0) for picture, _ in part])
        results = {"damaged": clip, "filled from the frames around": filled}
        words, nothing = said(demo, f"{scene.caption} at {FPS} fps"), said(demo, "")
        for denoise in DENOISE:
            request = RepaintRequest(steps=20, cfg=3.0, denoise=denoise, seed=number, cut=0.0)
            inputs = RepaintInputs(model, words, nothing, ChunkedVae(demo.vae))
            results[f"repainted, denoise {denoise:g}"] = torch.stack(list(repaint(inputs, clip, masks, request)))
        for name, result in results.items():
            rows.setdefault(name, []).append(psnr_in(result, truth, masks > 0))
        contact_sheet([one[::3] for one in (*results.values(), truth)]).save(arguments.output / f"repaint_{number}.png")
        print(number, scene.caption, {name: round(values[-1], 2) for name, values in rows.items()}, flush=True)
    for name, values in rows.items():
        print(f"| {name} | {statistics.mean(values):.2f} |")


def stained(clip: Tensor, middle: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """A clip with a dark or bright stain around a point (x, y) in pixels, and its masks."""
    radius, dark = (10 + 4 * torch.rand((), generator=generator), torch.rand((), generator=generator) < 0.5)
    y, x = torch.meshgrid(torch.arange(SIZE), torch.arange(SIZE), indexing="ij")
    masks = ((x - middle[0]).square() + (y - middle[1]).square() < radius**2).float().expand(len(clip), -1, -1)
    return torch.where(masks[:, None] > 0, 0.05 if dark else 0.95, clip), masks


if __name__ == "__main__":
    with torch.inference_mode():
        main()
