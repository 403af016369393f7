"""Live shots of the embedded model: rows, overhead, delay, memory, and the look against frame-by-frame stream batch.

    python benchmarks/live.py speed [--frames 160]
    python benchmarks/live.py memory [--frames 2000]
    python benchmarks/live.py quality [--scenes 6] [--frames 48] [--output DIR]

All on one torch thread at 64 pixels. speed: for each layout the time of the model alone and of the whole shot, with encoding
and decoding in threads of their own or not. quality: scenes of the procedural world in another colour; the share of frames with
the prompt's colour, the overlap (IoU) of the shape with the true one, and the change from frame to frame of the difference to
the true recoloured film (flicker).
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

sys.path[:0] = [str(Path(__file__).parents[1] / "tools")]
from naming import name_the_checkout  # noqa: E402

name_the_checkout()

import torch  # noqa: E402
from torch import Tensor  # noqa: E402
from zoetrope.demo import world  # noqa: E402
from zoetrope.demo.detector import FAINT, detect  # noqa: E402
from zoetrope.hosts.diffusers.demo.live import LATENT, TABLE, DemoLive  # noqa: E402
from zoetrope.hosts.diffusers.demo.model import PIXELS, load_demo  # noqa: E402
from zoetrope.sampling.live import FULL, OFF, SOURCE, Guidance, LiveLayout  # noqa: E402
from zoetrope.shots.folder import ShotFolder  # noqa: E402
from zoetrope.shots.live.files import live_journal  # noqa: E402
from zoetrope.shots.live.host import LiveFigures, LiveSettings  # noqa: E402
from zoetrope.shots.live.input import from_feed  # noqa: E402
from zoetrope.shots.live.run import LiveRun  # noqa: E402
from zoetrope.shots.measure import ram  # noqa: E402
from zoetrope.video.io.read import frames_of  # noqa: E402
from zoetrope.video.live.feed import Arrived, feeding  # noqa: E402
from zoetrope.video.quality.sheet import contact_sheet  # noqa: E402

LAYOUTS = (LiveLayout(2, 1, 6), LiveLayout(2, 4, 4), LiveLayout(4, 4, 0), LiveLayout(1, 8, 8))
"""The rows of the table in the documentation."""


@dataclass
class Frames:
    """A source that has all its frames at once, and waits for the model."""

    pictures: Callable[[int], Tensor]
    count: int
    waits = True

    def arrivals(self, stopped: Any, most: int) -> Iterator[Arrived]:
        for number in range(self.count):
            yield Arrived(number, self.pictures(number), time.monotonic())


class Silent:
    """A listener that notes memory and the delay."""

    def __init__(self) -> None:
        self.memory: dict[int, int] = {}
        self.delays: list[float] = []

    def shown(self, frame: int, pictures: Tensor) -> None:
        self.memory[(frame + len(pictures)) // 200 * 200] = ram()

    def figures(self, figures: LiveFigures) -> None:
        self.delays.append(figures.delay)

    def note(self, text: str) -> None:
        print(text)


class Timed(DemoLive):
    """Counts the time and the rows of the model's calls."""

    seconds, rows = 0.0, 0

    def _clean(self, x: Tensor, sigma: Tensor, texts: Tensor) -> Tensor:
        started = time.perf_counter()
        made = super()._clean(x, sigma, texts)
        self.seconds, self.rows = self.seconds + time.perf_counter() - started, self.rows + len(x)
        return made


def shot(host: DemoLive, settings: LiveSettings, source: Frames, listener: Silent, folder: Path) -> Any:
    journal, _ = live_journal(ShotFolder(folder, "live"), settings, LATENT, {}, {})
    run = LiveRun(journal, settings, host, listener, 8.0)
    block = settings.layout.block
    with feeding(source, block) as feed, from_feed(feed, host.encode, block, host.concurrent) as entering:
        return run.run(entering)


def speed(frames: int) -> None:
    demo, scene = load_demo(), world.draw(torch.Generator().manual_seed(1))
    prompt = demo.canonical_prompt(scene.caption)
    film = world.film(scene, 64, PIXELS)
    print("| levels | block | context | threads | rows/frame | fps | whole / model | whole / (model + VAE) |")
    for layout in LAYOUTS:
        for concurrent in (True, False):
            host = Timed(demo, prompt, concurrent=concurrent)
            settings = LiveSettings(layout, Guidance(OFF), TABLE, 0.6)
            with TemporaryDirectory() as folder:
                started = time.perf_counter()
                shot(host, settings, Frames(lambda number: film[number % 64], frames), Silent(), Path(folder))
                whole = time.perf_counter() - started
            one = film[: layout.block]
            started = time.perf_counter()
            for _ in range(8):
                demo.decode(demo.encode(one))
            vae = (time.perf_counter() - started) / 8 / layout.block * frames
            print(
                f"| {layout.levels} | {layout.block} | {layout.context} | {concurrent} | {host.rows / frames:.2f} | "
                f"{frames / whole:.1f} | {whole / host.seconds:.3f} | {whole / (host.seconds + vae):.3f} |", flush=True
            )  # fmt: skip


def memory(frames: int) -> None:
    demo, scene = load_demo(), world.draw(torch.Generator().manual_seed(1))
    host, listener, film = DemoLive(demo, demo.canonical_prompt(scene.caption)), Silent(), world.film(scene, 64, PIXELS)
    settings = LiveSettings(LiveLayout(1, 8, 0), Guidance(OFF), TABLE, 0.4)
    with TemporaryDirectory() as folder:
        shot(host, settings, Frames(lambda number: film[number % 64], frames), listener, Path(folder))
        size = sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())
    late = listener.delays[len(listener.delays) // 2 :]
    print(
        {count: used >> 20 for count, used in listener.memory.items()}, "MiB by frame;", size // frames, "bytes a frame on disk"
    )
    print(f"delay in the second half {min(late):.2f} to {max(late):.2f} s")


VARIANTS: dict[str, tuple[LiveLayout, Guidance, float, bool]] = {
    "frame by frame, 2 levels": (LiveLayout(2), Guidance(FULL, 3.0), 0.7, False),
    "2 levels, block 4, context 4": (LiveLayout(2, 4, 4), Guidance(FULL, 3.0), 0.7, True),
    "frame by frame, 4 levels": (LiveLayout(4), Guidance(FULL, 3.0), 0.7, False),
    "4 levels, block 4": (LiveLayout(4, 4, 0), Guidance(FULL, 3.0), 0.7, True),
    "4 levels, block 4, strength .6": (LiveLayout(4, 4, 0), Guidance(FULL, 3.0), 0.6, True),
    "4 levels, block 4, remembered source": (LiveLayout(4, 4, 0), Guidance(SOURCE, 1.4), 0.7, True),
}


def quality(scenes: int, frames: int, output: Path) -> None:
    demo, generator = load_demo(), torch.Generator().manual_seed(21)
    pairs = []
    for _ in range(scenes):
        scene = world.draw(generator)
        others = [colour for colour in world.COLOURS if colour != scene.colour]
        pairs.append((scene, replace(scene, colour=others[int(torch.randint(len(others), (), generator=generator))])))
    rows: list[Tensor] = [torch.cat([world.film(scene, 8, PIXELS) for scene, _ in pairs[:3]])]
    print("| variant | colour obeyed | overlap | flicker |")
    for name, (layout, guidance, strength, motion) in VARIANTS.items():
        found = []
        shown = []
        for scene, wanted in pairs:
            host = DemoLive(demo, demo.canonical_prompt(wanted.caption), motion)
            film, ideal = world.film(scene, frames, PIXELS), world.film(wanted, frames, PIXELS)
            with TemporaryDirectory() as folder:
                settings = LiveSettings(layout, guidance, TABLE, strength)
                made = shot(host, settings, Frames(film.__getitem__, frames), Silent(), Path(folder))
                clip = torch.stack(list(frames_of(made.video)))
            shown.append(clip[:8])
            masks = [one.amax(1) - one.amin(1) > FAINT for one in (clip, ideal)]
            union = (masks[0] | masks[1]).sum((1, 2)).clamp(min=1)
            found.append((
                sum(colour == wanted.colour for colour in detect(clip).colours) / frames,
                float(((masks[0] & masks[1]).sum((1, 2)) / union).mean()),
                float((clip - ideal).diff(dim=0).abs().mean()) * 100,
            ))  # fmt: skip
        figures = [sum(values) / len(values) for values in zip(*found, strict=True)]
        rows.append(torch.cat(shown[:3]))
        print(f"| {name} | {figures[0]:.2f} | {figures[1]:.2f} | {figures[2]:.2f} |", flush=True)
    output.mkdir(parents=True, exist_ok=True)
    contact_sheet(rows).save(output / "live.jpg", quality=85)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("speed", "memory", "quality"))
    parser.add_argument("--frames", type=int, default=0)
    parser.add_argument("--scenes", type=int, default=6)
    parser.add_argument("--output", type=Path, default=Path("benchmarks/sheets"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.what == "speed":
        speed(arguments.frames or 160)
    elif arguments.what == "memory":
        memory(arguments.frames or 2000)
    else:
        quality(arguments.scenes, arguments.frames or 48, arguments.output)


if __name__ == "__main__":
    main()
