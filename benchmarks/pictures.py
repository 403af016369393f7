"""What a picture does to the embedded model, against the truth of its world: as words, as the first frame, as both.

    python benchmarks/pictures.py --output DIR [--every 3] [--shots 2] [--frames 48] [--demo DIR]

Drawings (a shape at rest, no trail) of the evaluation set become clips of 16 frames, once for each way of showing them; a few
become long shots. Prints the tables of benchmarks/RESULTS.md and writes a contact sheet of each way.
"""

import argparse
import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1] / folder) for folder in ("tools", "tests/support")]
from naming import name_the_checkout  # noqa: E402

name_the_checkout()

import torch  # noqa: E402
from torch import Tensor  # noqa: E402
from zoetrope.demo.detector import watch  # noqa: E402
from zoetrope.demo.layout import FOLDER, FRAMES  # noqa: E402
from zoetrope.demo.world import MOTIONS, Scene, write_caption  # noqa: E402
from zoetrope.hosts.diffusers.demo.model import Demo, load_demo  # noqa: E402
from zoetrope.hosts.diffusers.demo.shot import denoising  # noqa: E402
from zoetrope.hosts.diffusers.image_prompt import picture_in  # noqa: E402
from zoetrope.sampling import fifo  # noqa: E402
from zoetrope.sampling.fifo import Denoiser  # noqa: E402
from zoetrope.sampling.noise import FrameNoise  # noqa: E402
from zoetrope.sampling.queue import QueueSettings, begin  # noqa: E402
from zoetrope.sampling.schedule import LINEAR  # noqa: E402
from zoetrope.sampling.timeline import read_numbers, read_timeline  # noqa: E402
from zoetrope.training.demo.evaluation import Asked, drawings, read_set, summarise  # noqa: E402
from zoetrope.video.quality.image_metrics import psnr  # noqa: E402
from zoetrope.video.quality.sheet import contact_sheet  # noqa: E402

FPS, GUIDANCE = 8, 3.0


@dataclass(frozen=True)
class ChunkOptions:
    """How a drawing is shown, and how much the text says beside it."""

    name: str
    likeness: float
    starts: bool
    says_all: bool

    def prompt(self, scene: Scene) -> str:
        return scene.caption if self.says_all else write_caption({"motion": scene.motion})


WAYS = (
    ChunkOptions("text alone", 0, False, True),
    ChunkOptions("first frame, text says the motion", 0, True, False),
    ChunkOptions("first frame, text says all", 0, True, True),
    ChunkOptions("image prompt, text says the motion", 1, False, False),
    ChunkOptions("both, text says the motion", 1, True, False),
    ChunkOptions("both, text says all", 1, True, True),
)


def clips(demo: Demo, way: ChunkOptions, items: Sequence[tuple[Scene, list[int]]], batch: int = 6) -> tuple[str, list[Tensor]]:
    """A row of the table, and the first clips."""
    seen, starts, rows = [], [], []
    for start in range(0, len(items), batch):
        part = items[start : start + batch]
        scenes = [scene for scene, _ in part]
        shown = drawings(scenes)
        made = demo.generate_batch(
            [way.prompt(scene) for scene in scenes], FRAMES, [seeds[0] for _, seeds in part], fps=FPS, guidance=GUIDANCE,
            pictures=shown, likeness=way.likeness, starts=way.starts,
        )  # fmt: skip
        rows += list(made)
        seen += [(Asked.whole(scene), watch(clip)) for scene, clip in zip(scenes, made, strict=True)]
        starts += [float(psnr(clip[:1], picture[None])) for clip, picture in zip(made, shown, strict=True)]
    f = summarise(seen)
    kept = statistics.mean(sum(s == t.shapes[0] for s in t.shapes) / len(t.shapes) for _, t in seen if t.shapes[0] != "none")
    jerk = f"{f.jerk:.2f}" if f.jerk is not None else ""
    first = f"{statistics.mean(starts):.1f} dB" if way.starts else ""
    shares = " | ".join(f"{share:.3f}" for share in (f.colour, f.shape, kept, f.direction))
    return f"| {way.name} | {shares} | {f.still:.2f} | {jerk} | {f.drift:.3f} | {first} |", rows


def shot(demo: Demo, way: ChunkOptions, scene: Scene, frames: int, seed: int) -> Tensor:
    """A long shot that begins with a drawing: the queue meets the clean frame at every level on its way out."""
    queue, noise = QueueSettings(), FrameNoise(seed, (4, 8, 8))
    shape = queue.shape(LINEAR, None)
    picture = drawings([scene])
    cues = read_timeline(demo.canonical_prompt(way.prompt(scene), FPS))
    with torch.inference_mode():
        given = demo.vae.encode(picture * 2 - 1).latent_dist.mean * demo.vae.config.scaling_factor
        tokens = demo.image_encoder.tokens(picture) if demo.image_encoder else None

    def shown(denoise: Denoiser) -> Denoiser:
        def guided(x: Tensor, sigma: Tensor, frame: Tensor) -> Tensor:
            here = (frame == 0) & way.starts
            x, sigma = torch.where(here.reshape(-1, 1, 1, 1), given, x), torch.where(here, 0.0, sigma)
            if not way.likeness or demo.image_encoder is None or tokens is None:
                out = denoise(x, sigma, frame)
            else:
                rows = torch.cat([torch.zeros(len(x)), torch.ones(len(x))]).long()
                with picture_in(demo.unet, demo.image_encoder.projector.network.image, tokens, rows, strength=way.likeness):
                    out = denoise(x, sigma, frame)
            return torch.where(here.reshape(-1, 1, 1, 1), given, out)

        return guided

    with denoising(demo, cues, read_numbers(str(GUIDANCE), "guidance", 0, 30), queue.window) as plain:
        denoise = shown(plain)
        start = begin(denoise, shape, noise, queue.start)
        run = fifo.run(denoise, start.queue, shape, noise.at, start.frame, queue.windows_per_call)
        latents = torch.stack([latent for number, latent, _ in islice(run, frames - start.frame) if number >= 0])
    with torch.inference_mode():
        decoded = [demo.vae.decode(part / demo.vae.config.scaling_factor).sample for part in latents.split(16)]
    return (torch.cat(decoded) / 2 + 0.5).clamp(0, 1)


def shots(demo: Demo, way: ChunkOptions, scenes: Sequence[Scene], frames: int) -> tuple[str, list[Tensor]]:
    """A row: shares of frames with the drawing's colour and shape, by quarters of the shot, and of steps the right way."""
    made = [shot(demo, way, scene, frames, seed) for seed, scene in enumerate(scenes)]
    quarters = [[] for _ in range(4)]
    ways = []
    for scene, clip in zip(scenes, made, strict=True):
        sight = watch(clip)
        right = [c == scene.colour and s == scene.shape for c, s in zip(sight.colours, sight.shapes, strict=True)]
        for index, quarter in enumerate(quarters):
            quarter.append(statistics.mean(right[index * frames // 4 : (index + 1) * frames // 4]))
        step = (sight.track.diff(dim=0) + 0.5) % 1 - 0.5
        ways.append(float((step @ torch.tensor(MOTIONS[scene.motion]) > 0.5 * step.norm(dim=-1)).float().mean()))
    shares = " ".join(f"{statistics.mean(quarter):.2f}" for quarter in quarters)
    return f"| {way.name} | {shares} | {statistics.mean(ways):.2f} |", made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True, help="for the contact sheets")
    parser.add_argument("--demo", type=Path, default=FOLDER)
    parser.add_argument("--every", type=int, default=3, help="every n-th scene of the evaluation set")
    parser.add_argument("--shots", type=int, default=2, help="long shots per way; 0: none")
    parser.add_argument("--frames", type=int, default=48, help="of each long shot")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    arguments.output.mkdir(parents=True, exist_ok=True)
    demo, items = load_demo(arguments.demo), read_set()[:: arguments.every]
    print(f"{len(items)} drawings, one seed each\n")
    print("| | colour | shape | shape kept | direction | stands still | jerk ÷ speed | drift | first frame |\n|" + "---|" * 9)
    run(arguments.output, "clip", WAYS, lambda way: clips(demo, way, items))
    moving = [scene for scene, _ in items if any(MOTIONS[scene.motion])][: arguments.shots]
    if moving:
        print(f"\n{len(moving)} shots of {arguments.frames} frames\n")
        print("| | object, by quarters | steps the right way |\n|---|---|---|")
        run(arguments.output, "shot", WAYS[:2] + WAYS[3:5], lambda way: shots(demo, way, moving, arguments.frames))


def run(
    folder: Path, kind: str, ways: Sequence[ChunkOptions], make: Callable[[ChunkOptions], tuple[str, list[Tensor]]]
) -> None:
    for way in ways:
        row, rows = make(way)
        print(row, flush=True)
        contact_sheet(rows[:20]).save(folder / f"{kind}_{way.name.replace(',', '').replace(' ', '_')}.png")


if __name__ == "__main__":
    main()
