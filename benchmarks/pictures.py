"""Image to video with the embedded model, against ground truth: image prompt, first frame, both.

    python benchmarks/pictures.py --output DIR [--every 3] [--shots 2] [--frames 48] [--demo DIR]

Drawings (a shape at rest, no trail) of the evaluation set become clips of 16 frames, once for each method; a few
become long shots. Prints the tables of benchmarks/RESULTS.md and writes a contact sheet of each method.
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
from zoetrope.demo.detector import detect  # noqa: E402
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
class Method:
    """How a drawing is given to the model, and the content of the prompt."""

    name: str
    likeness: float
    starts: bool
    says_all: bool

    def prompt(self, scene: Scene) -> str:
        return scene.caption if self.says_all else write_caption({"motion": scene.motion})


METHODS = (
    Method("text alone", 0, False, True),
    Method("first frame, text says the motion", 0, True, False),
    Method("first frame, text says all", 0, True, True),
    Method("image prompt, text says the motion", 1, False, False),
    Method("both, text says the motion", 1, True, False),
    Method("both, text says all", 1, True, True),
)


def clips(demo: Demo, method: Method, items: Sequence[tuple[Scene, list[int]]], batch: int = 6) -> tuple[str, list[Tensor]]:
    """Row of the table, and the clips."""
    results, starts, rows = [], [], []
    for start in range(0, len(items), batch):
        part = items[start : start + batch]
        scenes = [scene for scene, _ in part]
        pictures = drawings(scenes)
        made = demo.generate_batch(
            [method.prompt(scene) for scene in scenes], FRAMES, [seeds[0] for _, seeds in part], fps=FPS, guidance=GUIDANCE,
            pictures=pictures, likeness=method.likeness, starts=method.starts,
        )  # fmt: skip
        rows += list(made)
        results += [(Asked.whole(scene), detect(clip)) for scene, clip in zip(scenes, made, strict=True)]
        starts += [float(psnr(clip[:1], picture[None])) for clip, picture in zip(made, pictures, strict=True)]
    f = summarise(results)
    kept = statistics.mean(sum(s == t.shapes[0] for s in t.shapes) / len(t.shapes) for _, t in results if t.shapes[0] != "none")
    jerk = f"{f.jerk:.2f}" if f.jerk is not None else ""
    first = f"{statistics.mean(starts):.1f} dB" if method.starts else ""
    shares = " | ".join(f"{share:.3f}" for share in (f.colour, f.shape, kept, f.direction))
    return f"| {method.name} | {shares} | {f.still:.2f} | {jerk} | {f.drift:.3f} | {first} |", rows


def shot(demo: Demo, method: Method, scene: Scene, frames: int, seed: int) -> Tensor:
    """Samples a long shot that begins with a drawing: frame 0 is clean at every place of the queue."""
    queue, noise = QueueSettings(), FrameNoise(seed, (4, 8, 8))
    shape = queue.layout(LINEAR, None)
    picture = drawings([scene])
    cues = read_timeline(demo.canonical_prompt(method.prompt(scene), FPS))
    with torch.inference_mode():
        given = demo.vae.encode(picture * 2 - 1).latent_dist.mean * demo.vae.config.scaling_factor
        tokens = demo.image_encoder.tokens(picture) if demo.image_encoder else None

    def with_drawing(denoise: Denoiser) -> Denoiser:
        def guided(x: Tensor, sigma: Tensor, frame: Tensor) -> Tensor:
            here = (frame == 0) & method.starts
            x, sigma = torch.where(here.reshape(-1, 1, 1, 1), given, x), torch.where(here, 0.0, sigma)
            if not method.likeness or demo.image_encoder is None or tokens is None:
                out = denoise(x, sigma, frame)
            else:
                rows = torch.cat([torch.zeros(len(x)), torch.ones(len(x))]).long()
                with picture_in(demo.unet, demo.image_encoder.projector.network.image, tokens, rows, strength=method.likeness):
                    out = denoise(x, sigma, frame)
            return torch.where(here.reshape(-1, 1, 1, 1), given, out)

        return guided

    with denoising(demo, cues, read_numbers(str(GUIDANCE), "guidance", 0, 30), queue.window) as plain:
        denoise = with_drawing(plain)
        start = begin(denoise, shape, noise, queue.start)
        run = fifo.run(denoise, start.queue, shape, noise.at, start.frame, queue.windows_per_call)
        latents = torch.cat([latents for number, latents, _ in islice(run, frames - start.frame) if number >= 0])
    with torch.inference_mode():
        decoded = [demo.vae.decode(part / demo.vae.config.scaling_factor).sample for part in latents.split(16)]
    return (torch.cat(decoded) / 2 + 0.5).clamp(0, 1)


def shots(demo: Demo, method: Method, scenes: Sequence[Scene], frames: int) -> tuple[str, list[Tensor]]:
    """A row: shares of frames with the drawing's colour and shape, by quarters of the shot, and of steps the right method."""
    made = [shot(demo, method, scene, frames, seed) for seed, scene in enumerate(scenes)]
    quarters = [[] for _ in range(4)]
    right_shares = []
    for scene, clip in zip(scenes, made, strict=True):
        detection = detect(clip)
        right = [c == scene.colour and s == scene.shape for c, s in zip(detection.colours, detection.shapes, strict=True)]
        for index, quarter in enumerate(quarters):
            quarter.append(statistics.mean(right[index * frames // 4 : (index + 1) * frames // 4]))
        step = (detection.track.diff(dim=0) + 0.5) % 1 - 0.5
        right_shares.append(float((step @ torch.tensor(MOTIONS[scene.motion]) > 0.5 * step.norm(dim=-1)).float().mean()))
    shares = " ".join(f"{statistics.mean(quarter):.2f}" for quarter in quarters)
    return f"| {method.name} | {shares} | {statistics.mean(right_shares):.2f} |", made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True, help="folder for the contact sheets")
    parser.add_argument("--demo", type=Path, default=FOLDER)
    parser.add_argument("--every", type=int, default=3, help="every n-th scene of the evaluation set")
    parser.add_argument("--shots", type=int, default=2, help="long shots per method; 0: none")
    parser.add_argument("--frames", type=int, default=48, help="frames of each long shot")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    arguments.output.mkdir(parents=True, exist_ok=True)
    demo, items = load_demo(arguments.demo), read_set()[:: arguments.every]
    print(f"{len(items)} drawings, one seed each\n")
    print("| | colour | shape | shape kept | direction | stands still | jerk ÷ speed | drift | first frame |\n|" + "---|" * 9)
    run(arguments.output, "clip", METHODS, lambda method: clips(demo, method, items))
    moving = [scene for scene, _ in items if any(MOTIONS[scene.motion])][: arguments.shots]
    if moving:
        print(f"\n{len(moving)} shots of {arguments.frames} frames\n")
        print("| | object, by quarters | steps the right way |\n|---|---|---|")
        run(arguments.output, "shot", METHODS[:2] + METHODS[3:5], lambda method: shots(demo, method, moving, arguments.frames))


def run(folder: Path, kind: str, methods: Sequence[Method], make: Callable[[Method], tuple[str, list[Tensor]]]) -> None:
    for method in methods:
        row, rows = make(method)
        print(row, flush=True)
        contact_sheet(rows[:20]).save(folder / f"{kind}_{method.name.replace(',', '').replace(' ', '_')}.png")


if __name__ == "__main__":
    main()
