"""Evaluation: share of a model's clips that match their prompts, by the detector.

  python -m zoetrope.training.demo.evaluation --output DIR [--demo DIR] [--without motion] [--ceiling]
          [--picture motion] [--words loose] [--guidance everywhere] [--seeds 2]

The set is `training/demo/evaluation.json`: every colour, shape and motion of the world once, backgrounds in turn, each with a
scene for the ground truth and seeds for the model's noise. Training draws its scenes and noise from other seeds.
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

from ...demo.detector import Detection, detect
from ...demo.layout import FOLDER, FRAMES, PIXELS
from ...demo.world import BACKGROUNDS, COLOURS, MOTIONS, SHAPES, Scene, draw, film, write_caption
from ...hosts.diffusers.demo.model import Demo, load_demo
from ...sampling.guidance import EVERYWHERE
from ...video.quality.image_metrics import psnr
from ...video.quality.sheet import contact_sheet

SET = Path(__file__).with_name("evaluation.json")
SHEET = 24
"""Most clips on the sheet."""
PROPERTIES = ("colour", "shape", "motion", "background")
Maker = Callable[[Sequence["Asked"], Sequence[int]], Tensor]
"""(prompts, noise seeds) -> clips `(b, f, 3, h, w)` in [0, 1]."""


@dataclass(frozen=True)
class Figures:
    """Metrics of an evaluation: shares in [0, 1]; jerk divided by speed, both per frame; drift as a distance in RGB."""

    clips: int
    colour: float
    """Share of frames with the right colour; like the next ones, of clips whose prompt names the property."""
    shape: float
    """Share of frames with the right shape."""
    ground: float
    """Share of clips with the right background."""
    direction: float
    """Share of moving clips with the right direction."""
    still: float
    """Share of still clips that are still."""
    jerk: float | None
    """Median over moving clips with the right direction; None without one."""
    drift: float
    """Median over clips."""
    no_object: float
    """Share of frames without a shape."""
    more_objects: float
    """Share of frames with two shapes or more."""


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
        """A prompt without one property, in turn, and with reordered words for half of the indices."""
        named = [name for place, name in enumerate(PROPERTIES) if place != index % len(PROPERTIES)]
        words = [f"on {scene.background}" if name == "background" else getattr(scene, name) for name in named]
        if index // len(PROPERTIES) % 2:
            words = [words[place] for place in torch.randperm(len(words), generator=torch.Generator().manual_seed(index))]
        return cls(scene, " ".join(words), frozenset(named))


def make_set() -> list[dict[str, object]]:
    """Contents of `evaluation.json`, to make it again for a larger vocabulary."""
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


def by_picture(demo: Demo, content: str) -> Maker:
    """Maker of clips that begin with a drawing of the scene at rest. content: of the prompt, `all` or `motion`."""

    def make(asked: Sequence[Asked], seeds: Sequence[int]) -> Tensor:
        scenes = [one.scene for one in asked]
        prompts = [scene.caption if content == "all" else write_caption({"motion": scene.motion}) for scene in scenes]
        return demo.generate_batch(prompts, FRAMES, list(seeds), pictures=drawings(scenes))

    return make


def drawings(scenes: Sequence[Scene]) -> Tensor:
    """First frames of scenes at rest, without a trail, `(b, 3, h, w)`."""
    return torch.cat([film(scene, 1, PIXELS, rest=True) for scene in scenes])


def by_reconstruction(demo: Demo) -> Maker:
    """Maker of the upper bound: the ground truth after a round trip through the VAE."""

    @torch.inference_mode()
    def make(asked: Sequence[Asked], seeds: Sequence[int]) -> Tensor:
        truth = torch.cat([film(one.scene, FRAMES, PIXELS) for one in asked])
        decoded = [demo.vae.decode(demo.vae.encode(part * 2 - 1).latent_dist.mean).sample for part in truth.split(16)]
        return rearrange((torch.cat(decoded) / 2 + 0.5).clamp(0, 1), "(b f) c h w -> b f c h w", f=FRAMES)

    return make


def evaluate(make: Maker, tasks: Sequence[tuple[Asked, int]], batch: int = 6) -> Iterator[tuple[Asked, Tensor, Detection]]:
    """Yields each prompt with its clip and the detector's result."""
    for start in range(0, len(tasks), batch):
        asked, seeds = zip(*tasks[start : start + batch], strict=True)
        for one, clip in zip(asked, make(asked, seeds), strict=True):
            yield one, clip, detect(clip)


def summarise(results: Sequence[tuple[Asked, Detection]]) -> Figures:
    """Metrics over all results."""

    def of(name: str) -> list[tuple[Scene, Detection]]:
        return [(asked.scene, found) for asked, found in results if name in asked.named]

    moving = [(scene, found) for scene, found in of("motion") if any(MOTIONS[scene.motion])]
    standing = [(scene, found) for scene, found in of("motion") if not any(MOTIONS[scene.motion])]
    right = [found for scene, found in moving if found.motion == scene.motion]
    speeds = [torch.tensor(found.velocity).norm().item() for found in right]
    objects = [count for _, found in results for count in found.objects]
    return Figures(
        clips=len(results),
        colour=_mean(_share(scene.colour, found.colours) for scene, found in of("colour")),
        shape=_mean(_share(scene.shape, found.shapes) for scene, found in of("shape")),
        ground=_mean(scene.background == found.background for scene, found in of("background")),
        direction=len(right) / max(1, len(moving)),
        still=sum(found.motion == scene.motion for scene, found in standing) / max(1, len(standing)),
        jerk=statistics.median(s.jerk / v for s, v in zip(right, speeds, strict=True)) if right else None,
        drift=statistics.median(found.drift for _, found in results),
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
    rows, results, starts = [], [], []
    stride = max(1, len(tasks) // SHEET)
    stride += stride > 1 and stride % len(BACKGROUNDS) == 0  # backgrounds alternate: the sheet has all of them
    for asked, clip, found in evaluate(maker_of(arguments), tasks):
        results.append((asked, found))
        starts.append(float(psnr(clip[:1], drawings([asked.scene]))))
        if len(rows) < SHEET and len(results) % stride == 0:
            rows.append(clip)
        print(f"\r{len(results)}/{len(tasks)}", end="", file=sys.stderr, flush=True)
    figures = asdict(summarise(results)) | ({"first frame (dB)": statistics.mean(starts)} if arguments.picture else {})
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
    parser.add_argument("--picture", choices=["all", "motion"], help="begin with a drawing; content of the prompt beside it")
    parser.add_argument("--words", choices=["whole", "loose"], default="whole", help="loose: a word left out, others reordered")
    parser.add_argument(
        "--guidance", choices=["interval", "everywhere"], default="interval", help="noise levels at which guidance acts"
    )
    parser.add_argument(
        "--ceiling", action="store_true", help="round trip of the ground truth through the VAE, in place of the model's clips"
    )
    parser.add_argument("--seeds", type=int, choices=(1, 2), default=2, help="noise seeds per scene")
    parser.add_argument("--every", type=int, default=1, help="only every n-th scene, for a quick look")
    parser.add_argument("--threads", type=int, default=0)
    return parser.parse_args()


def tasks_of(arguments: argparse.Namespace) -> list[tuple[Asked, int]]:
    """Pairs of a prompt and a noise seed."""
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
