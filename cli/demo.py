"""`zoetrope demo`: a prompt to a video with the embedded model."""

import argparse
import json
import os
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from torch import Tensor

from ..demo.detector import watch
from ..demo.layout import PIXELS
from ..demo.world import COLOURS, MOTIONS, SHAPES, read_caption, read_rate, write_caption
from ..video.io.picture import picture_of
from ..video.io.write import write_video
from ..video.quality.sheet import contact_sheet

PROMPT = "a red circle moving right on black"


def add_demo(demo: argparse.ArgumentParser) -> None:
    """Adds the arguments of `zoetrope demo`."""
    demo.add_argument("--prompt", default=PROMPT, help=f"default: {PROMPT!r}")
    demo.add_argument("--picture", type=Path, metavar="FILE", help="the first frame: one coloured shape on a plain ground")
    demo.add_argument("--frames", type=int, default=16, help="1 to 64; trained on 16")
    demo.add_argument("--fps", type=int, help="4, 8 (default) or 16")
    demo.add_argument("--steps", type=int, default=25)
    demo.add_argument("--guidance", type=float, default=3.0, help="how strictly the prompt is followed; default 3")
    demo.add_argument("--seed", type=int, default=7)
    demo.add_argument("--output", type=Path, default=Path("output/demo"), metavar="DIR", help="for clip.mp4 and clip.png")
    demo.set_defaults(run=_demo, stopped="no half file is left")


@dataclass(frozen=True)
class Wish:
    """Meaning of a prompt in the embedded model's world."""

    prompt: str
    fps: int
    asked: dict[str, str]
    ignored: list[str]


def _demo(arguments: argparse.Namespace) -> None:
    """Prompt to clip.mp4, clip.png and one line of JSON with what the detector sees in the clip."""
    wish = _understand(arguments)
    arguments.output.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    demo, bar_of = open_demo()
    demo.check(arguments.frames, steps=arguments.steps, fps=wish.fps)
    loaded = time.monotonic()
    settings: dict[str, Any] = {"fps": wish.fps, "steps": arguments.steps, "guidance": arguments.guidance}
    if arguments.picture:
        settings["picture"] = picture_of(arguments.picture, PIXELS)
    with bar_of(total=arguments.steps, desc="sampling", unit="step", file=sys.stderr) as bar:
        clip = demo.film(wish.prompt, arguments.frames, arguments.seed, **settings, note=lambda _: bar.update())
    sampled = time.monotonic()
    video, sheet = arguments.output / "clip.mp4", arguments.output / "clip.png"
    with TemporaryDirectory(prefix=".unfinished", dir=arguments.output) as aside:  # both files appear, or none
        write_video(Path(aside) / video.name, clip, wish.fps)
        contact_sheet([clip], scale=2).save(Path(aside) / sheet.name)
        for path in (video, sheet):
            os.replace(Path(aside) / path.name, path)
    seconds = {"load": loaded - started, "sample": sampled - loaded, "write": time.monotonic() - sampled}
    summary = {
        "video": str(video),
        "sheet": str(sheet),
        "frames": len(clip),
        "seed": arguments.seed,
        **asdict(wish),
        **_verdict(wish.asked, clip),
        "seconds": {name: round(value, 2) for name, value in seconds.items()},
    }
    print(json.dumps(summary))


def open_demo() -> tuple[Any, Any]:
    """Loads the model and the progress bar, which are imported only here: they need more than ComfyUI brings."""
    try:
        from tqdm import tqdm

        from ..hosts.diffusers.demo.model import load_demo
    except ImportError as error:
        remedy = "pip install -e '.[standalone]' in the checkout"
        raise ValueError(f"`zoetrope demo` runs on diffusers ({error}); install it with: {remedy}") from error
    return load_demo(), tqdm


def _understand(arguments: argparse.Namespace) -> Wish:
    """Raises ValueError where no word of the prompt means anything, and for frame rates that were never learned."""
    prompt, told = read_rate(arguments.prompt)
    asked, ignored = meaning(prompt)
    fps = next(rate for rate in (arguments.fps, told, 8) if rate is not None)
    if not 0 <= arguments.seed < 2**63:
        raise ValueError(f"seed: expected 0 to 2^63 - 1, got {arguments.seed}")
    return Wish(write_caption(asked), fps, asked, ignored)


def meaning(prompt: str) -> tuple[dict[str, str], list[str]]:
    """Reads what a prompt asks for; words that mean nothing are named, and a prompt of nothing else is refused."""
    asked, ignored = read_caption(read_rate(prompt)[0])
    grammar = (
        f"colours: {', '.join(COLOURS)}; shapes: {', '.join(SHAPES)}; motions: {', '.join(MOTIONS)}; on black, grey or white"
    )
    if not asked:
        raise ValueError(f"prompt {prompt!r}: the embedded model knows none of it. It knows {grammar}. Try {PROMPT!r}.")
    if ignored:
        print(f"zoetrope: ignored {', '.join(map(repr, ignored))}; the embedded model knows {grammar}", file=sys.stderr)
    return asked, ignored


def _verdict(asked: dict[str, str], clip: Tensor) -> dict[str, Any]:
    """Says what the detector sees, and whether it is what was asked for: null where nothing of it shows in one frame."""
    sight = watch(clip)
    kinds = ("colour", "shape", "motion", "background") if len(clip) > 1 else ("colour", "shape", "background")
    seen = {kind: getattr(sight, kind) for kind in kinds}
    judged = asked.keys() & seen
    return {"seen": seen, "as_asked": all(seen[kind] == asked[kind] for kind in judged) if judged else None}
