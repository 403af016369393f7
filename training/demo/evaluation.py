"""The evaluation set and the judge: what share of a model's clips shows what the prompt asked for.

  python -m zoetrope.training.demo.evaluation --output DIR [--demo DIR] [--without motion] [--ceiling]
          [--picture motion] [--seeds 2]

The set is `training/demo/evaluation.json`: every colour, shape and motion of the world once, backgrounds in turn, each with the
scene that the ceiling films and the seeds of the model's noise. Training draws its scenes and noise from other seeds.
"""

import argparse
import json
import statistics
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import product
from pathlib import Path

import torch
from einops import rearrange
from torch import Tensor

from ...demo.detector import Sighting, watch
from ...demo.layout import FOLDER, FRAMES, PIXELS
from ...demo.world import BACKGROUNDS, COLOURS, MOTIONS, SHAPES, Scene, draw, film, write_caption
from ...hosts.diffusers.demo.model import Demo, load_demo
from ...video.quality.image_metrics import psnr
from ...video.quality.sheet import contact_sheet

SET = Path(__file__).with_name("evaluation.json")
Maker = Callable[[Sequence[Scene], Sequence[int]], Tensor]
"""Scenes and noise seeds to clips `(b, f, 3, h, w)` in [0, 1]."""


@dataclass(frozen=True)
class Figures:
    """Shares are of 1; jerk is divided by speed, both per frame; drift is a distance in RGB."""

    clips: int
    colour: float
    """Frames whose shape has the right colour."""
    shape: float
    """Frames with the right shape."""
    direction: float
    """Moving clips that move the right way."""
    still: float
    """Clips that stand still and should."""
    jerk: float | None
    """Median over moving clips whose direction is right; None where there is none."""
    drift: float
    """Median over clips."""


def make_set() -> list[dict[str, object]]:
    """What `evaluation.json` holds; kept so that a wider world can make a wider set."""
    items = []
    for index, (colour, shape, motion) in enumerate(product(COLOURS, SHAPES, MOTIONS)):
        background = list(BACKGROUNDS)[index % len(BACKGROUNDS)]
        fixed = {"colour": colour, "shape": shape, "motion": motion, "background": background}
        scene = draw(torch.Generator().manual_seed(100_000 + index), **fixed)
        items.append({"scene": asdict(scene), "seeds": [2 * index, 2 * index + 1]})
    return items


def read_set(path: Path = SET) -> list[tuple[Scene, list[int]]]:
    return [(Scene(**item["scene"]), item["seeds"]) for item in json.loads(path.read_text())]


def by_model(demo: Demo) -> Maker:
    return lambda scenes, seeds: demo.film_batch([scene.caption for scene in scenes], FRAMES, list(seeds))


def by_picture(demo: Demo, said: str) -> Maker:
    """Clips that begin with a drawing of the scene at rest; `said` is how much the prompt says beside it: `all` or `motion`."""

    def make(scenes: Sequence[Scene], seeds: Sequence[int]) -> Tensor:
        prompts = [scene.caption if said == "all" else write_caption({"motion": scene.motion}) for scene in scenes]
        return demo.film_batch(prompts, FRAMES, list(seeds), pictures=drawings(scenes))

    return make


def drawings(scenes: Sequence[Scene]) -> Tensor:
    """The scenes as somebody draws them, at rest and without a trail, `(b, 3, h, w)`."""
    return torch.cat([film(scene, 1, PIXELS, rest=True) for scene in scenes])


def by_reconstruction(demo: Demo) -> Maker:
    """The ceiling: the truth through the VAE and back."""

    @torch.inference_mode()
    def make(scenes: Sequence[Scene], seeds: Sequence[int]) -> Tensor:
        truth = torch.cat([film(scene, FRAMES, PIXELS) for scene in scenes])
        back = [demo.vae.decode(demo.vae.encode(part * 2 - 1).latent_dist.mean).sample for part in truth.split(16)]
        return rearrange((torch.cat(back) / 2 + 0.5).clamp(0, 1), "(b f) c h w -> b f c h w", f=FRAMES)

    return make


def evaluate(make: Maker, items: Sequence[tuple[Scene, list[int]]], batch: int = 6) -> Iterator[tuple[Scene, Tensor, Sighting]]:
    """Each scene with the clip that was made of it and what the detector sees there."""
    tasks = [(scene, seed) for scene, seeds in items for seed in seeds]
    for start in range(0, len(tasks), batch):
        scenes, seeds = zip(*tasks[start : start + batch], strict=True)
        for scene, clip in zip(scenes, make(scenes, seeds), strict=True):
            yield scene, clip, watch(clip)


def summarise(seen: Sequence[tuple[Scene, Sighting]]) -> Figures:
    moving = [(scene, sight) for scene, sight in seen if any(MOTIONS[scene.motion])]
    standing = [(scene, sight) for scene, sight in seen if not any(MOTIONS[scene.motion])]
    right = [sight for scene, sight in moving if sight.motion == scene.motion]
    speeds = [torch.tensor(sight.velocity).norm().item() for sight in right]
    return Figures(
        clips=len(seen),
        colour=statistics.mean(sum(c == scene.colour for c in sight.colours) / len(sight.colours) for scene, sight in seen),
        shape=statistics.mean(sum(s == scene.shape for s in sight.shapes) / len(sight.shapes) for scene, sight in seen),
        direction=len(right) / max(1, len(moving)),
        still=sum(sight.motion == scene.motion for scene, sight in standing) / max(1, len(standing)),
        jerk=statistics.median(s.jerk / v for s, v in zip(right, speeds, strict=True)) if right else None,
        drift=statistics.median(sight.drift for _, sight in seen),
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m zoetrope.training.demo.evaluation", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--output", type=Path, required=True, help="folder for figures.json and sheet.png")
    parser.add_argument("--demo", type=Path, default=FOLDER, help="folder of the model's files")
    parser.add_argument("--without", choices=["motion"], help="leave the motion module out: the image model frame by frame")
    parser.add_argument("--picture", choices=["all", "motion"], help="begin with a drawing; what the prompt says beside it")
    parser.add_argument("--ceiling", action="store_true", help="the truth through the VAE instead of a model's clips")
    parser.add_argument("--seeds", type=int, choices=(1, 2), default=2, help="noise seeds per scene")
    parser.add_argument("--every", type=int, default=1, help="only every n-th scene, for a quick look")
    parser.add_argument("--threads", type=int, default=0)
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    demo = load_demo(arguments.demo)
    make = by_reconstruction(demo) if arguments.ceiling else by_model(replace(demo, motion=None) if arguments.without else demo)
    make = by_picture(demo, arguments.picture) if arguments.picture else make
    items = [(scene, seeds[: arguments.seeds]) for scene, seeds in read_set()[:: arguments.every]]
    rows, seen, starts = [], [], []
    for scene, clip, sight in evaluate(make, items):
        seen.append((scene, sight))
        starts.append(float(psnr(clip[:1], drawings([scene]))))
        if len(rows) < 24 and len(seen) % max(1, len(items) * arguments.seeds // 24) == 0:
            rows.append(clip)
        print(f"\r{len(seen)}/{len(items) * arguments.seeds}", end="", file=sys.stderr, flush=True)
    figures = asdict(summarise(seen)) | ({"first frame (dB)": statistics.mean(starts)} if arguments.picture else {})
    arguments.output.mkdir(parents=True, exist_ok=True)
    (arguments.output / "figures.json").write_text(json.dumps(figures, indent=1) + "\n")
    contact_sheet(rows).save(arguments.output / "sheet.png")
    print(f"\n{json.dumps(figures)}")


if __name__ == "__main__":
    main()
