"""The evaluation set and the judge: what share of a model's clips shows what the prompt asked for.

  python -m zoetrope.training.demo.evaluation --output DIR [--demo DIR] [--without motion] [--ceiling]
          [--picture motion] [--words loose] [--guidance everywhere] [--seeds 2]

The set is `training/demo/evaluation.json`: every colour, shape and motion of the world once, backgrounds in turn, each with the
scene that the ceiling films and the seeds of the model's noise. Training draws its scenes and noise from other seeds.
"""

import argparse
import json
import statistics
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
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
from ...sampling.guidance import EVERYWHERE
from ...video.quality.image_metrics import psnr
from ...video.quality.sheet import contact_sheet

SET = Path(__file__).with_name("evaluation.json")
SHEET = 24
"""Clips on the sheet at most."""
PROPERTIES = ("colour", "shape", "motion", "background")
Maker = Callable[[Sequence["Asked"], Sequence[int]], Tensor]
"""Prompts and noise seeds to clips `(b, f, 3, h, w)` in [0, 1]."""


@dataclass(frozen=True)
class Figures:
    """Shares are of 1; jerk is divided by speed, both per frame; drift is a distance in RGB."""

    clips: int
    colour: float
    """Frames whose shape has the right colour; this and the next are of clips whose prompt has the word for it."""
    shape: float
    """Frames with the right shape."""
    ground: float
    """Clips on the right ground."""
    direction: float
    """Moving clips that move the right way."""
    still: float
    """Clips that stand still and should."""
    jerk: float | None
    """Median over moving clips whose direction is right; None where there is none."""
    drift: float
    """Median over clips."""
    no_object: float
    """Frames without a shape."""
    more_objects: float
    """Frames with two shapes or more."""


@dataclass(frozen=True)
class Asked:
    """A prompt for a scene and the properties that it names."""

    scene: Scene
    prompt: str
    named: frozenset[str]

    @classmethod
    def whole(cls, scene: Scene) -> "Asked":
        return cls(scene, scene.caption, frozenset(PROPERTIES))

    @classmethod
    def loose(cls, scene: Scene, index: int) -> "Asked":
        """One property left out, each in turn, and the others in random order in every second prompt."""
        named = [name for place, name in enumerate(PROPERTIES) if place != index % len(PROPERTIES)]
        words = [f"on {scene.background}" if name == "background" else getattr(scene, name) for name in named]
        if index // len(PROPERTIES) % 2:
            words = [words[place] for place in torch.randperm(len(words), generator=torch.Generator().manual_seed(index))]
        return cls(scene, " ".join(words), frozenset(named))


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
    return lambda asked, seeds: demo.generate_batch([one.prompt for one in asked], FRAMES, list(seeds))


def by_picture(demo: Demo, said: str) -> Maker:
    """Clips that begin with a drawing of the scene at rest; `said` is how much the prompt says beside it: `all` or `motion`."""

    def make(asked: Sequence[Asked], seeds: Sequence[int]) -> Tensor:
        scenes = [one.scene for one in asked]
        prompts = [scene.caption if said == "all" else write_caption({"motion": scene.motion}) for scene in scenes]
        return demo.generate_batch(prompts, FRAMES, list(seeds), pictures=drawings(scenes))

    return make


def drawings(scenes: Sequence[Scene]) -> Tensor:
    """The scenes as somebody draws them, at rest and without a trail, `(b, 3, h, w)`."""
    return torch.cat([film(scene, 1, PIXELS, rest=True) for scene in scenes])


def by_reconstruction(demo: Demo) -> Maker:
    """The ceiling: the truth through the VAE and back."""

    @torch.inference_mode()
    def make(asked: Sequence[Asked], seeds: Sequence[int]) -> Tensor:
        truth = torch.cat([film(one.scene, FRAMES, PIXELS) for one in asked])
        back = [demo.vae.decode(demo.vae.encode(part * 2 - 1).latent_dist.mean).sample for part in truth.split(16)]
        return rearrange((torch.cat(back) / 2 + 0.5).clamp(0, 1), "(b f) c h w -> b f c h w", f=FRAMES)

    return make


def evaluate(make: Maker, tasks: Sequence[tuple[Asked, int]], batch: int = 6) -> Iterator[tuple[Asked, Tensor, Sighting]]:
    """Each prompt with the clip that was made of it and what the detector sees there."""
    for start in range(0, len(tasks), batch):
        asked, seeds = zip(*tasks[start : start + batch], strict=True)
        for one, clip in zip(asked, make(asked, seeds), strict=True):
            yield one, clip, watch(clip)


def summarise(seen: Sequence[tuple[Asked, Sighting]]) -> Figures:
    def of(name: str) -> list[tuple[Scene, Sighting]]:
        return [(asked.scene, sight) for asked, sight in seen if name in asked.named]

    moving = [(scene, sight) for scene, sight in of("motion") if any(MOTIONS[scene.motion])]
    standing = [(scene, sight) for scene, sight in of("motion") if not any(MOTIONS[scene.motion])]
    right = [sight for scene, sight in moving if sight.motion == scene.motion]
    speeds = [torch.tensor(sight.velocity).norm().item() for sight in right]
    objects = [count for _, sight in seen for count in sight.objects]
    return Figures(
        clips=len(seen),
        colour=_mean(_share(scene.colour, sight.colours) for scene, sight in of("colour")),
        shape=_mean(_share(scene.shape, sight.shapes) for scene, sight in of("shape")),
        ground=_mean(scene.background == sight.background for scene, sight in of("background")),
        direction=len(right) / max(1, len(moving)),
        still=sum(sight.motion == scene.motion for scene, sight in standing) / max(1, len(standing)),
        jerk=statistics.median(s.jerk / v for s, v in zip(right, speeds, strict=True)) if right else None,
        drift=statistics.median(sight.drift for _, sight in seen),
        no_object=_mean(count == 0 for count in objects),
        more_objects=_mean(count > 1 for count in objects),
    )


def _mean(values: Iterable[float]) -> float:
    values = list(values)
    return sum(values) / max(1, len(values))


def _share(name: str, names: Sequence[str]) -> float:
    return sum(one == name for one in names) / len(names)


def main() -> None:
    arguments = read_arguments()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    tasks = tasks_of(arguments)
    rows, seen, starts = [], [], []
    stride = max(1, len(tasks) // SHEET)
    stride += stride > 1 and stride % len(BACKGROUNDS) == 0  # grounds come in turn: the sheet has them all
    for asked, clip, sight in evaluate(maker_of(arguments), tasks):
        seen.append((asked, sight))
        starts.append(float(psnr(clip[:1], drawings([asked.scene]))))
        if len(rows) < SHEET and len(seen) % stride == 0:
            rows.append(clip)
        print(f"\r{len(seen)}/{len(tasks)}", end="", file=sys.stderr, flush=True)
    figures = asdict(summarise(seen)) | ({"first frame (dB)": statistics.mean(starts)} if arguments.picture else {})
    arguments.output.mkdir(parents=True, exist_ok=True)
    (arguments.output / "figures.json").write_text(json.dumps(figures, indent=1) + "\n")
    contact_sheet(rows).save(arguments.output / "sheet.png")
    print(f"\n{json.dumps(figures)}")


def read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m zoetrope.training.demo.evaluation", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--output", type=Path, required=True, help="folder for figures.json and sheet.png")
    parser.add_argument("--demo", type=Path, default=FOLDER, help="folder of the model's files")
    parser.add_argument("--without", choices=["motion"], help="leave the motion module out: the image model frame by frame")
    parser.add_argument("--picture", choices=["all", "motion"], help="begin with a drawing; what the prompt says beside it")
    parser.add_argument("--words", choices=["whole", "loose"], default="whole", help="loose: a word left out, others reordered")
    parser.add_argument(
        "--guidance", choices=["interval", "everywhere"], default="interval", help="noise levels at which guidance acts"
    )
    parser.add_argument("--ceiling", action="store_true", help="the truth through the VAE instead of a model's clips")
    parser.add_argument("--seeds", type=int, choices=(1, 2), default=2, help="noise seeds per scene")
    parser.add_argument("--every", type=int, default=1, help="only every n-th scene, for a quick look")
    parser.add_argument("--threads", type=int, default=0)
    return parser.parse_args()


def tasks_of(arguments: argparse.Namespace) -> list[tuple[Asked, int]]:
    """Prompts and noise seeds."""
    loose = arguments.words == "loose"
    items = [(Asked.loose(s, n) if loose else Asked.whole(s), seeds) for n, (s, seeds) in enumerate(read_set())]
    return [(asked, seed) for asked, seeds in items[:: arguments.every] for seed in seeds[: arguments.seeds]]


def maker_of(arguments: argparse.Namespace) -> Maker:
    demo = load_demo(arguments.demo)
    demo = replace(demo, interval=EVERYWHERE) if arguments.guidance == "everywhere" else demo
    if arguments.ceiling:
        return by_reconstruction(demo)
    if arguments.picture:
        return by_picture(demo, arguments.picture)
    return by_model(replace(demo, motion=None) if arguments.without else demo)


if __name__ == "__main__":
    main()
