"""Long shots of the embedded model against ground truth: FIFO, independent chunks, overlapping windows, side by side.

    python benchmarks/shot_quality.py --rows DIR [--methods paper,plain] [--frames 256] [--prompts 4] [--seeds 2]

The latents of every shot are kept in DIR (so the grid may be stopped and gone on with), decoded, and judged by
`demo/detector.py`. A shot of a method whose frames do not depend on the length serves for every shorter length. Prints the
tables of benchmarks/RESULTS.md.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice, product
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1] / folder) for folder in ("tools", "tests/support")]
from naming import name_the_checkout  # noqa: E402

name_the_checkout()

import torch  # noqa: E402
from shot_metrics import Figures, figures, report  # noqa: E402
from torch import Tensor  # noqa: E402
from zoetrope.hosts.diffusers.demo.decoder import IMAGE, TEMPORAL, DemoDecoder  # noqa: E402
from zoetrope.hosts.diffusers.demo.model import Demo, load_demo  # noqa: E402
from zoetrope.hosts.diffusers.demo.shot import denoising  # noqa: E402
from zoetrope.sampling import fifo  # noqa: E402
from zoetrope.sampling.diffusion import euler  # noqa: E402
from zoetrope.sampling.layout import published_layout  # noqa: E402
from zoetrope.sampling.noise import FrameNoise, shuffled  # noqa: E402
from zoetrope.sampling.schedule import LINEAR  # noqa: E402
from zoetrope.sampling.tail import CoherentTail  # noqa: E402
from zoetrope.sampling.timeline import read_numbers, read_timeline  # noqa: E402
from zoetrope.sampling.windowing import decode_stream  # noqa: E402
from zoetrope.sampling.windows import Windows, denoise_in_windows  # noqa: E402

WINDOW, PARTITIONS, GUIDANCE, FPS = 16, 3, 3.0, 8
STEPS = WINDOW * PARTITIONS
TABLE = LINEAR.float()
PROMPTS = (
    "a red circle moving right on black",
    "a green square moving up on white",
    "a cyan triangle moving left on grey",
    "a yellow circle moving down on black",
)


@dataclass(frozen=True)
class Wish:
    prompt: int
    seed: int
    frames: int

    @property
    def noise(self) -> FrameNoise:
        return FrameNoise(1000 * self.prompt + self.seed, (4, 8, 8))


Film = Callable[[fifo.Denoiser, Wish], Iterator[Tensor]]
"""Clean latents, frame by frame."""


def queue(context: int, eta: float = 1.0, shift: int = 0, partitions: int = PARTITIONS, coherent_tail: float = 0.0) -> Film:
    """FIFO with this lookahead; the base clip is its own."""
    tail = CoherentTail(coherent_tail) if coherent_tail else None

    def film(denoise: fifo.Denoiser, wish: Wish) -> Iterator[Tensor]:
        shape = published_layout(TABLE, WINDOW, partitions, context, eta, shift)
        clip = fifo.base_clip(denoise, shape, wish.noise.at)
        start = fifo.first_frame(clip, shape)
        full = fifo.queue_of(clip, shape, wish.noise.at)
        made = fifo.run(denoise, full, shape, wish.noise.at, start, len(shape.windows()) + 1, tail=tail)
        return (latent for frame, latents, _ in made for latent in latents[max(0, -frame) :])

    return film


def chunks(denoise: fifo.Denoiser, wish: Wish) -> Iterator[Tensor]:
    """Clips of one window, each from its own noise."""
    shape = published_layout(TABLE, WINDOW, PARTITIONS, 0)
    for start in range(0, wish.frames, WINDOW):
        yield from fifo.base_clip(denoise, shape, lambda frame, step, start=start: wish.noise.at(frame + start, step))


def windows(overlap: int, free: bool) -> Film:
    """The whole clip at once, every step in overlapping windows; `free` with FreeNoise's shuffled noise."""

    def film(denoise: fifo.Denoiser, wish: Wish) -> Iterator[Tensor]:
        noise = torch.stack([wish.noise.at(frame, 0) for frame in range(wish.frames)])
        if free:
            noise = shuffled(noise, WINDOW, overlap, wish.seed)
        shape = published_layout(TABLE, WINDOW, PARTITIONS, 0)
        levels = torch.cat([shape.sigmas.flip(0), torch.zeros(1)])
        cut, steps = Windows("standard_static", WINDOW, overlap), iter(range(STEPS))
        with torch.inference_mode():
            return iter(euler(
                lambda x, sigma: denoise_in_windows(denoise, x, sigma, cut, next(steps)).to(x),
                noise * (1 + levels[0] ** 2).sqrt(), levels,
            ))  # fmt: skip

    return film


METHODS: dict[str, tuple[Film, int, float]] = {
    "paper": (queue(WINDOW // 2), WINDOW // 2, 6),
    "plain": (queue(0), WINDOW, 3),
    "context 4": (queue(4), WINDOW - 4, 4),
    "moving borders": (queue(0, shift=8), WINDOW, 3.5),
    "context 2, moving borders": (queue(2, shift=7), WINDOW - 2, 4),
    "coherent tail 0.25": (queue(2, shift=7, coherent_tail=0.25), WINDOW - 2, 4),
    "coherent tail 0.5": (queue(2, shift=7, coherent_tail=0.5), WINDOW - 2, 4),
    "paper, eta 0": (queue(WINDOW // 2, eta=0.0), WINDOW // 2, 6),
    "context 4, eta 0": (queue(4, eta=0.0), WINDOW - 4, 4),
    "chunks": (chunks, WINDOW, 3),
    "windows": (windows(4, free=False), WINDOW - 4, 4),
    "Long-Shot Noise": (windows(4, free=True), WINDOW - 4, 4),
}
"""Name -> how it films, frames between its window borders, model windows per frame."""
KNOWS_ITS_LENGTH = {"windows", "Long-Shot Noise"}


def shot(demo: Demo, method: str, wish: Wish, folder: Path) -> Tensor:
    """Latents of a shot `(f, 4, h, w)`, from its file or sampled."""
    name = f"{method}-{wish.prompt}-{wish.seed}".replace(" ", "_").replace(",", "")
    exact = method in KNOWS_ITS_LENGTH
    for path in folder.glob(f"{name}-*.pt"):
        length = int(path.stem.rpartition("-")[2])
        if length == wish.frames or length > wish.frames and not exact:
            return torch.load(path, weights_only=True)[: wish.frames]
    started = time.monotonic()
    film, *_ = METHODS[method]
    cues = read_timeline(f"{PROMPTS[wish.prompt]} at {FPS} fps")
    with denoising(demo, cues, read_numbers(f"{GUIDANCE}", "guidance", 0, 30), WINDOW) as denoise, torch.inference_mode():
        latents = torch.stack(list(islice(film(denoise, wish), wish.frames))).cpu()
    torch.save(latents, folder / f"unfinished{os.getpid()}")
    os.replace(folder / f"unfinished{os.getpid()}", folder / f"{name}-{wish.frames}.pt")
    print(
        f"{method}, prompt {wish.prompt}, seed {wish.seed}, {wish.frames} frames: {time.monotonic() - started:.0f} s",
        flush=True,
    )
    return latents


def decoded(demo: Demo, latents: Tensor, kind: str) -> Tensor:
    """Frames of a shot `(f, 3, h, w)` in [0, 1], rounded to 8 bits."""
    decoder = DemoDecoder(demo, kind)
    frames = torch.stack(list(decode_stream(decoder.decode, latents, decoder.pieces.ratio, decoder.pieces.cut)))
    return (frames * 255).round() / 255


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=Path, required=True, help="folder for the filmed shots")
    parser.add_argument("--methods", default=";".join(METHODS), help="names between semicolons")
    parser.add_argument("--frames", type=int, default=256)
    parser.add_argument("--prompts", type=int, default=4)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--decoders", default=IMAGE, help=f"{IMAGE}, {TEMPORAL}, or both with a semicolon between")
    parser.add_argument("--backwards", action="store_true", help="for a second process that starts at the other end")
    parser.add_argument("--sheet", type=Path, help="where the contact sheet goes")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    arguments = parser.parse_args()
    arguments.rows.mkdir(parents=True, exist_ok=True)
    demo = load_demo(device=arguments.device)
    judged: dict[str, list[Figures]] = {}
    strips: dict[str, Tensor] = {}
    windows: dict[str, float] = {}
    methods = [name.strip() for name in arguments.methods.split(";")]
    wishes = [Wish(prompt, seed, arguments.frames) for seed in range(arguments.seeds) for prompt in range(arguments.prompts)]
    order = list(product(wishes, methods))
    for wish, method in reversed(order) if arguments.backwards else order:
        shot(demo, method, wish, arguments.rows)
    decoders = arguments.decoders.split(";")
    for wish, method, decoder in [(*asked, decoder) for asked in order for decoder in decoders]:
        frames = decoded(demo, shot(demo, method, wish, arguments.rows), decoder)
        name = method if len(decoders) == 1 else f"{method}, {decoder} decoder"
        strips.setdefault(name, frames)
        judged.setdefault(name, []).append(figures(frames, PROMPTS[wish.prompt], FPS, METHODS[method][1]))
        windows[name] = METHODS[method][2]
    report(judged, windows, strips, arguments.sheet)


if __name__ == "__main__":
    main()
