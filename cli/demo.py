"""`zoetrope demo`: text to video with the embedded model."""

import argparse
import json
import os
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from ..demo.prompt import Reading
from ..demo.words import EXAMPLE, FRAMES, GRAMMAR, LONGEST, PIXELS, RATES, USUAL_RATE, check_clip
from .checks import check_between, check_file, check_seed, make_folder
from .prompts import understand

if TYPE_CHECKING:
    from torch import Tensor

HIGHEST_GUIDANCE = 30
WITH_A_PICTURE = "moving right"
"""Default prompt with a picture, which has shape, colour and ground."""


def add_demo(demo: argparse.ArgumentParser) -> None:
    """Adds the arguments of `zoetrope demo`."""
    demo.description = (
        f"Writes a clip of the embedded model and prints one line of JSON about it. Words of a prompt: {GRAMMAR}."
    )
    demo.add_argument(
        "--prompt", help=f"words in any order; unknown ones are reported; default: {EXAMPLE!r}, or {WITH_A_PICTURE!r} "
        "with --picture",
    )  # fmt: skip
    demo.add_argument(
        "--picture", type=Path, metavar="FILE",
        help="the first frame: one coloured shape on a plain ground; name the shape in the prompt as well",
    )  # fmt: skip
    demo.add_argument("--frames", type=int, default=FRAMES, help=f"1 to {LONGEST}; trained on {FRAMES}; default: %(default)s")
    add_fps(demo)
    demo.add_argument(
        "--steps", type=int, default=25, help="sampling steps; fewer are faster and rougher; default: %(default)s"
    )
    demo.add_argument(
        "--guidance", type=float, default=3.0,
        help=f"how strictly the prompt is followed, 0 to {HIGHEST_GUIDANCE}; 1: without guidance; default: %(default)g",
    )  # fmt: skip
    demo.add_argument("--seed", type=int, default=0, help="another seed, another clip; default: %(default)s")
    demo.add_argument(
        "--output",
        type=Path,
        default=Path("output/demo"),
        metavar="DIR",
        help="folder for clip.mp4 and clip.png; default: %(default)s",
    )
    demo.set_defaults(run=_demo, stopped="no incomplete file is left")


def add_fps(parser: argparse.ArgumentParser) -> None:
    """Adds --fps, which overrides the rate in a prompt."""
    known = f"{', '.join(map(str, RATES[:-1]))} or {RATES[-1]}"
    parser.add_argument("--fps", type=int, help=f"{known}; default: the rate in the prompt (at 8 fps), else {USUAL_RATE}")


def _demo(arguments: argparse.Namespace) -> None:
    """Makes clip.mp4 and clip.png, and prints one line of JSON with the detector's result."""
    reading = _checked(arguments)
    make_folder(arguments.output)
    started = time.monotonic()
    settings: dict[str, Any] = {"fps": reading.rate, "steps": arguments.steps, "guidance": arguments.guidance}
    if arguments.picture:
        from ..video.io.picture import picture_of

        settings["picture"] = picture_of(arguments.picture, PIXELS)  # invalid files raise before loading
    demo, bar_of = open_demo()
    loaded = time.monotonic()
    with bar_of(total=arguments.steps, desc="sampling", unit="step", file=sys.stderr) as bar:
        clip = demo.generate(reading.prompt, arguments.frames, arguments.seed, **settings, on_step=lambda _: bar.update())
    sampled = time.monotonic()
    files = _write(arguments.output, clip, reading.fps)
    seconds = {"load": loaded - started, "sample": sampled - loaded, "write": time.monotonic() - sampled}
    summary = {
        **files,
        "frames": len(clip),
        "seed": arguments.seed,
        "prompt": reading.caption,
        "fps": reading.fps,
        "asked": reading.named,
        "assumed": reading.assumed,
        "ignored": list(reading.unknown),
        "left_out": list(reading.left_out),
        "nearest": reading.nearest,
        **_verdict(reading.named, clip),
        "seconds": {name: round(value, 2) for name, value in seconds.items()},
    }
    print(json.dumps(summary, ensure_ascii=False))


def _checked(arguments: argparse.Namespace) -> Reading:
    """Parses the prompt. Raises ValueError for invalid arguments."""
    check_clip(arguments.frames, steps=arguments.steps, rate=USUAL_RATE if arguments.fps is None else arguments.fps)
    check_between("guidance", arguments.guidance, 0, HIGHEST_GUIDANCE)
    check_seed(arguments.seed)
    if arguments.picture:
        check_file("picture", arguments.picture)
    prompt = arguments.prompt
    if prompt is None:
        prompt = WITH_A_PICTURE if arguments.picture else EXAMPLE
    return understand(prompt, arguments.fps, bool(arguments.picture))


def _write(folder: Path, clip: "Tensor", fps: int) -> dict[str, str]:
    """Writes the clip as a video and as a sheet of frames; both files appear, or none."""
    from ..video.io.write import write_video
    from ..video.quality.sheet import contact_sheet

    video, sheet = folder / "clip.mp4", folder / "clip.png"
    with TemporaryDirectory(prefix=".unfinished", dir=folder) as aside:
        write_video(Path(aside) / video.name, clip, fps)
        contact_sheet([clip], scale=2).save(Path(aside) / sheet.name)
        for path in (video, sheet):
            os.replace(Path(aside) / path.name, path)
    return {"video": str(video), "sheet": str(sheet)}


def open_demo() -> tuple[Any, Any]:
    """Loads the model and returns it with `tqdm`. Raises ValueError where the extra `standalone` is not installed."""
    try:
        from tqdm import tqdm

        from ..hosts.diffusers.demo.model import load_demo
    except ImportError as error:
        remedy = "pip install -e '.[standalone]' in the checkout"
        raise ValueError(f"the embedded model runs on diffusers here ({error}); install it with: {remedy}") from error
    return load_demo(), tqdm


def _verdict(named: dict[str, str], clip: "Tensor") -> dict[str, Any]:
    """Detected properties, and whether they match those named in the prompt: null where none can be detected."""
    from ..demo.detector import detect

    detection = detect(clip)
    kinds = ("colour", "shape", "motion", "background") if len(clip) > 1 else ("colour", "shape", "background")
    detected = {kind: getattr(detection, kind) for kind in kinds}
    compared = named.keys() & detected
    return {"seen": detected, "as_asked": all(detected[kind] == named[kind] for kind in compared) if compared else None}
