"""Interpolation and upscaling with the embedded model, against ground truth, in one run; with contact sheets.

python benchmarks/temporal_sr.py [--clips 24] [--large 8] [--output benchmarks/sheets] [--long]

In between: 17 frames of which every fourth is given, at two speeds, against a cross-fade and against the truth through the VAE.
Larger: 14 frames of 64 pixels with a little noise to 256, with and without temporal layers, against bicubic. --long: 1,000
frames, for the memory they take and the overhead beside the networks' own time. FILM and RIFE are not included,
because their weights are not available here.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1] / folder) for folder in ("tools", "tests/support")]
from naming import name_the_checkout  # noqa: E402

name_the_checkout()

import torch  # noqa: E402
from ghosts import ground, objects, outstanding, overlap  # noqa: E402
from torch import Tensor  # noqa: E402
from torch.nn import functional as F  # noqa: E402
from zoetrope.demo.layout import TEMPORAL_VAE, part_path  # noqa: E402
from zoetrope.demo.world import MOTIONS, Scene, draw, film  # noqa: E402
from zoetrope.hosts.diffusers.demo.model import Demo, load_demo  # noqa: E402
from zoetrope.hosts.diffusers.demo.superres import Upscaler, between, load_upscaler  # noqa: E402
from zoetrope.hosts.diffusers.vae import open_vae  # noqa: E402
from zoetrope.shots.measure import ram  # noqa: E402
from zoetrope.video.quality.clip_metrics import measure  # noqa: E402
from zoetrope.video.quality.image_metrics import jump_error, psnr  # noqa: E402
from zoetrope.video.quality.sheet import contact_sheet  # noqa: E402

FACTOR, KEYS = 4, 5
FIRST_SEED = 8_500_000
"""First seed of scenes, which are not used in training."""
GRAIN = 0.03
SMALL, LARGE = 64, 256
LAYERS, ALONE = "**with temporal layers**", "frame by frame"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=24, help="clips with frames in between, per speed")
    parser.add_argument("--large", type=int, default=8, help="clips made larger")
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--level", type=int, default=20)
    parser.add_argument("--output", type=Path, default=Path("benchmarks/sheets"))
    parser.add_argument("--long", action="store_true", help="1,000 frames: memory, and time beside the model's own calls")
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    if arguments.clips:
        in_between(arguments)
    if arguments.large:
        larger(arguments)
    if arguments.long:
        long_clips()


def scenes(count: int) -> list[Scene]:
    """Draws scenes with every direction in turn."""
    moving = [name for name, velocity in MOTIONS.items() if any(velocity)]
    generators = [torch.Generator().manual_seed(FIRST_SEED + n) for n in range(count)]
    return [draw(generator, motion=moving[n % len(moving)]) for n, generator in enumerate(generators)]


def in_between(arguments: argparse.Namespace) -> None:
    demo, temporal = load_demo(), open_vae(part_path(TEMPORAL_VAE))
    length = (KEYS - 1) * FACTOR + 1
    made_up = torch.arange(length) % FACTOR != 0
    print("| frames in between | keys per second | IoU | PSNR dB | ghosts | its own jump error |")
    print("|---|---:|---:|---:|---:|---:|")
    for fps in (8, 16):
        rows: dict[str, list[tuple[float, float, float, float]]] = {}
        shown: list[Tensor] = []
        for scene in scenes(arguments.clips):
            truth = film(scene, length, SMALL, fps)
            clips = clips_by_method(demo, temporal, truth, f"{scene.caption} at {fps} fps", arguments.steps)
            for name, clip in clips.items():
                rows.setdefault(name, []).append(judged(clip, truth, made_up))
            if len(shown) < 15:
                shown += [truth, *clips.values()]
        for name, figures in rows.items():
            iou, quality, ghosts, jumps = (statistics.mean(column) for column in zip(*figures, strict=True))
            print(f"| {name} | {fps / FACTOR:g} | {iou:.3f} | {quality:.2f} | {ghosts:.1%} | {jumps:.2f} |", flush=True)
        contact_sheet(shown).save(arguments.output / f"in_between_{fps}fps.jpg", quality=85)


def clips_by_method(demo: Demo, temporal: object, truth: Tensor, prompt: str, steps: int) -> dict[str, Tensor]:
    """Clips by method, from every fourth frame of the ground truth."""
    keys = list(truth[::FACTOR])
    latents: list[Tensor] = []
    made = torch.stack(list(between(demo, keys, FACTOR, prompt, seed=1, steps=steps, vae=recording(demo, latents))))
    scale = demo.vae.config.scaling_factor
    with torch.inference_mode():
        smooth = (temporal.network.decode(torch.cat(latents) / scale) / 2 + 0.5).clamp(0, 1)  # type: ignore[attr-defined]
    share = (torch.arange(len(truth)) % FACTOR / FACTOR)[:, None, None, None]
    index = torch.arange(len(truth)) // FACTOR * FACTOR
    fade = torch.lerp(truth[index], truth[(index + FACTOR).clamp(max=len(truth) - 1)], share)
    return {
        "**Interpolate Frames**": made,
        "**the same, temporal VAE**": smooth,
        "cross-fade": fade,
        "truth through the VAE": demo.decode(demo.encode(truth)),
    }


def recording(demo: Demo, latents: list[Tensor]):  # noqa: ANN201  a decoder that stores its inputs
    def decode(latent: Tensor) -> Tensor:
        latents.append(latent)
        return demo.decode(latent)

    return decode


def judged(clip: Tensor, truth: Tensor, made_up: Tensor) -> tuple[float, float, float, float]:
    """Overlap (of frames that show one object), PSNR, share of ghosts, jump error in levels.

    A ghost is a frame without exactly one object, or with an object that covers over a quarter more than the true one.
    """
    background = ground(truth)
    areas = [[float(outstanding(frame, background).sum()) for frame in one] for one in (clip, truth)]
    double = torch.tensor([mine > 1.25 * true for mine, true in zip(*areas, strict=True)])
    single = torch.tensor([objects(frame, background) == 1 for frame in clip]) & ~double
    counted = made_up & single
    share = float(overlap(clip, truth)[counted].mean()) if bool(counted.any()) else 0.0
    ghosts = float((~single)[made_up].float().mean())
    return share, float(psnr(clip, truth)[made_up].mean()), ghosts, float(jump_error(clip, truth).mean()) * 255


def larger(arguments: argparse.Namespace) -> None:
    temporal = load_upscaler()
    ways = {
        LAYERS: temporal,
        ALONE: replace(temporal, motion=None),
    }
    bare = {f"{name}, colours as they come": ways[name] for name in (LAYERS, ALONE)}
    rows: dict[str, list[tuple[float, float, float]]] = {}
    shown: list[Tensor] = []
    for number, scene in enumerate(scenes(arguments.large)):
        truth = film(scene, 14, LARGE, 16)
        grain = torch.randn(14, 3, SMALL, SMALL, generator=torch.Generator().manual_seed(number)) * GRAIN
        small = (F.avg_pool2d(truth, LARGE // SMALL) + grain).clamp(0, 1)
        clips = {
            name: torch.stack(list(way.enlarge(small, seed=number, level=arguments.level, steps=arguments.steps)))
            for name, way in ways.items()
        }
        for name, way in bare.items():
            settings = {"seed": number, "level": arguments.level, "steps": arguments.steps, "colours": "off"}
            clips[name] = torch.stack(list(way.enlarge(small, **settings)))
        clips["bicubic"] = F.interpolate(small, scale_factor=4, mode="bicubic").clamp(0, 1)
        clips["truth through the VAE"] = through(temporal, truth)
        for name, clip in clips.items():
            found = measure(clip, truth)
            rows.setdefault(name, []).append((statistics.mean(found.psnr), statistics.mean(found.error), found.drift))
        if len(shown) < 15:
            cut = [truth, *clips.values()]
            shown += [clip[:8, :, 32:224:1, 32:224] for clip in cut]
        print(f"\r{number + 1}/{arguments.large}", end="", flush=True)
    print("\r| larger | PSNR dB | error of neighbour differences | drift |")
    print("|---|---:|---:|---:|")
    for name, figures in rows.items():
        quality, jumps, drift = (statistics.mean(column) for column in zip(*figures, strict=True))
        print(f"| {name} | {quality:.2f} | {jumps:.2f} | {drift:.2f} |")
    with_layers, without = (statistics.mean(row[1] for row in rows[name]) for name in (LAYERS, ALONE))
    print(f"\nwith temporal layers {1 - with_layers / without:.0%} less error of neighbour differences than frame by frame")
    contact_sheet(shown).save(arguments.output / "larger.jpg", quality=85)


@torch.inference_mode()
def through(upscaler: Upscaler, truth: Tensor) -> Tensor:
    parts = [upscaler.vae.encode(part * 2 - 1).latent_dist.mean for part in truth.split(4)]
    return torch.cat([(upscaler.vae.decode(part).sample / 2 + 0.5).clamp(0, 1) for part in parts])


def long_clips() -> None:
    """Runs both on 1,000 frames: memory during the run, and time relative to that of the networks."""
    demo, upscaler = load_demo(), load_upscaler()
    scene = scenes(1)[0]
    print("\n| 1,000 frames | memory at 200 | at 1,000 | time ÷ networks' own |")
    print("|---|---:|---:|---:|")
    networks = Clock()
    handles_of = [networks.on(module) for module in (demo.unet, demo.vae.encoder, demo.vae.decoder)]
    report("Interpolate Frames", between(demo, iter(film(scene, 251, SMALL, 8)), 4, steps=4), networks)
    for handles in handles_of:
        networks.off(handles)
    networks = Clock()
    handles_of = [networks.on(module) for module in (upscaler.unet, upscaler.vae.decoder)]
    report("Upscale Video", upscaler.enlarge(iter(film(scene, 1000, 16, 16)), steps=3), networks)


def report(name: str, frames: Iterator[Tensor], networks: "Clock") -> None:
    started, memory = time.monotonic(), {}
    for number, _ in enumerate(frames, 1):
        if number in (200, 1000):
            memory[number] = ram() / 2**20
    whole = time.monotonic() - started
    print(f"| {name} | {memory[200]:.0f} MiB | {memory[1000]:.0f} MiB | {whole / networks.seconds:.3f} |", flush=True)


class Clock:
    """Time spent in networks, in seconds."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._started = 0.0

    def on(self, module: torch.nn.Module) -> list[torch.utils.hooks.RemovableHandle]:
        def begin(*_: object) -> None:
            self._started = time.monotonic()

        def end(*_: object) -> None:
            self.seconds += time.monotonic() - self._started

        return [module.register_forward_pre_hook(begin), module.register_forward_hook(end)]

    def off(self, handles: list[torch.utils.hooks.RemovableHandle]) -> None:
        for handle in handles:
            handle.remove()


if __name__ == "__main__":
    main()
