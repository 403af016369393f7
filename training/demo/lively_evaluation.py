"""Evaluation of a model of the lively world: share of its clips that match their prompts, by `demo/lively_detector.py`.

  python -m zoetrope.training.demo.lively_evaluation --demo DIR --output DIR [--ceiling] [--seeds 2] [--every 1] [--device cpu]

Three sets: `one` object (every motion on every ground), `two` objects (every pair of motions once), and `plain`, the prompts of
`training/demo/evaluation.json`. A shape and a motion count only for an object of the right colour.
"""

import argparse
import json
import statistics
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations_with_replacement, product
from pathlib import Path

import torch
from einops import rearrange
from torch import Tensor

from ...demo.layout import FRAMES
from ...demo.lively_detector import LivelyDetection, detect
from ...demo.lively_world import DIRECTIONS, GROUNDS, SIDE, LivelyScene, SceneObject, draw, film
from ...video.quality.sheet import contact_sheet
from .evaluation import read_set
from .lively import LivelyDemo, load_lively

SETS = ("one", "two", "plain")
SHEET = 12
"""Most clips on the sheet of a set."""
BATCH = 6
FIRST_SEED = 300_000
"""Seed of the first scene; training draws from higher ones."""
Maker = Callable[[Sequence[LivelyScene], Sequence[int]], Tensor]
"""(scenes, noise seeds) -> clips `(b, f, 3, h, w)` in [0, 1]."""


@dataclass(frozen=True)
class LivelyFigures:
    """Metrics of a set: shares in [0, 1]; jerk divided by speed, both per frame."""

    clips: int
    count: float
    """Share of frames with the right number of objects."""
    no_object: float
    """Share of frames without an object."""
    colour: float
    """Share of the scenes' objects whose colour is found in the clip."""
    shape: float
    """Share of frames and objects with the right shape."""
    ground: float
    """Share of clips with the right ground."""
    direction: float | None
    """Share of moving objects with the right direction; None without one."""
    still: float | None
    """Share of still objects that are still; None without one."""
    jerk: float | None
    """Median over moving objects with the right direction; None without one."""


def make_set(name: str) -> list[LivelyScene]:
    """Scenes of a set."""
    if name == "plain":
        return [LivelyScene.of(scene) for scene, _ in read_set()]
    if name == "one":
        asked = [((motion,), ground) for motion, ground in product(DIRECTIONS, GROUNDS)]
    else:
        pairs = combinations_with_replacement(DIRECTIONS, 2)
        asked = [(pair, GROUNDS[index % len(GROUNDS)]) for index, pair in enumerate(pairs)]
    first = FIRST_SEED + 1000 * SETS.index(name)
    return [
        draw(torch.Generator().manual_seed(first + index), len(motions), motions, ground)
        for index, (motions, ground) in enumerate(asked)
    ]


def by_model(demo: LivelyDemo, size: int = SIDE) -> Maker:
    return lambda scenes, seeds: demo.generate_batch([scene.caption for scene in scenes], FRAMES, list(seeds), size=size)


def by_reconstruction(demo: LivelyDemo, size: int = SIDE) -> Maker:
    """Maker of the upper bound: the ground truth after a round trip through the VAE."""

    def make(scenes: Sequence[LivelyScene], seeds: Sequence[int]) -> Tensor:
        truth = torch.cat([film(scene, FRAMES, size) for scene in scenes])
        clips = torch.cat([demo.decode(demo.encode(part.to(demo.vae.device))) for part in truth.split(16)])
        return rearrange(clips, "(b f) c h w -> b f c h w", f=FRAMES)

    return make


def evaluate(make: Maker, scenes: Sequence[LivelyScene], seeds: int) -> tuple[LivelyFigures, list[Tensor]]:
    """Figures over all scenes with `seeds` noise seeds each, and clips for a sheet."""
    tasks = [(scene, FIRST_SEED + 2 * index + seed) for index, scene in enumerate(scenes) for seed in range(seeds)]
    stride = -(-len(tasks) // SHEET)
    stride += stride > 1 and stride % len(GROUNDS) == 0
    results, rows = [], []
    for start in range(0, len(tasks), BATCH):
        part, noise = zip(*tasks[start : start + BATCH], strict=True)
        for scene, clip in zip(part, make(part, noise), strict=True):
            rows += [clip] if len(results) % stride == 0 else []
            results.append((scene, detect(clip)))
        print(f"\r{len(results)}/{len(tasks)}", end="", file=sys.stderr, flush=True)
    return summarise(results), rows


def summarise(results: Sequence[tuple[LivelyScene, LivelyDetection]]) -> LivelyFigures:
    """Metrics over all results."""
    pairs = [(item, found.of(item.colour)) for scene, found in results for item in scene.objects]
    counts = [(count, len(scene.objects)) for scene, found in results for count in found.counts]

    def right(moving: bool) -> list[bool]:
        chosen = [(item, found) for item, found in pairs if any(DIRECTIONS[item.motion]) == moving]
        return [found is not None and found.motion == item.motion for item, found in chosen]

    jerks = [
        found.jerk / torch.tensor(found.velocity).norm().item()
        for item, found in pairs
        if found and found.motion == item.motion and any(DIRECTIONS[item.motion])
    ]
    return LivelyFigures(
        clips=len(results),
        count=statistics.mean(count == wanted for count, wanted in counts),
        no_object=statistics.mean(count == 0 for count, _ in counts),
        colour=statistics.mean(found is not None for _, found in pairs),
        shape=statistics.mean(_share(item, found.shapes if found else ("none",)) for item, found in pairs),
        ground=statistics.mean(scene.background == found.background for scene, found in results),
        direction=_mean(right(moving=True)),
        still=_mean(right(moving=False)),
        jerk=statistics.median(jerks) if jerks else None,
    )


def _share(item: SceneObject, shapes: Sequence[str]) -> float:
    return sum(shape == item.shape for shape in shapes) / len(shapes)


def _mean(values: Iterable[float]) -> float | None:
    values = list(values)
    return statistics.mean(values) if values else None


def evaluate_into(folder: Path, make: Maker, seeds: int, every: int = 1) -> dict[str, LivelyFigures]:
    """Evaluates all sets and writes `figures.json` and a sheet per set into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    figures = {}
    for name in SETS:
        figures[name], rows = evaluate(make, make_set(name)[::every], seeds)
        contact_sheet(rows).save(folder / f"sheet_{name}.png")
    (folder / "figures.json").write_text(json.dumps({name: asdict(part) for name, part in figures.items()}, indent=1) + "\n")
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m zoetrope.training.demo.lively_evaluation", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--output", type=Path, required=True, help="folder for figures.json and the sheets")
    parser.add_argument("--demo", type=Path, required=True, help="folder of the model's files")
    parser.add_argument("--ceiling", action="store_true", help="round trip of the ground truth through the VAE instead")
    parser.add_argument("--seeds", type=int, default=2, help="noise seeds per scene")
    parser.add_argument("--every", type=int, default=1, help="only every n-th scene, for a quick look")
    parser.add_argument("--size", type=int, default=SIDE, help="picture side in pixels")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    arguments = parser.parse_args()
    demo = load_lively(arguments.demo, arguments.device)
    make = (by_reconstruction if arguments.ceiling else by_model)(demo, arguments.size)
    figures = evaluate_into(arguments.output, make, arguments.seeds, arguments.every)
    print(f"\n{json.dumps({name: asdict(part) for name, part in figures.items()})}")


if __name__ == "__main__":
    main()
