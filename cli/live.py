"""`zoetrope live`: a video, or a folder that pictures are written into, in the look of the embedded model while it runs."""

import argparse
import json
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..demo.words import EXAMPLE, GRAMMAR, LONGEST, PIXELS, USUAL_RATE, check_clip
from .checks import check_between, check_file, check_folder, check_seed
from .demo import HIGHEST_GUIDANCE, add_fps, open_demo
from .prompts import understand

if TYPE_CHECKING:
    from torch import Tensor

    from ..shots.live.host import LiveFigures

GUIDANCE_NAMES = ("off", "remembered source", "remembered negative", "full")
"""`sampling.live.GUIDANCE`, which imports torch."""
MOST_LEVELS, MOST_BLOCK, MOST_CONTEXT, MOST_FRAMES = 50, 32, 31, 10_000_000


def add_live(live: argparse.ArgumentParser) -> None:
    """Adds the arguments of `zoetrope live`."""
    live.description = (
        "Writes a video in another look while its source is still arriving, with a bounded delay. The same command goes on "
        f"after a stop. Words of a prompt: {GRAMMAR}."
    )
    source = live.add_mutually_exclusive_group(required=True)
    source.add_argument("--video", type=Path, metavar="FILE", help="a video, each of its frames")
    source.add_argument("--folder", type=Path, metavar="DIR", help="a folder that another program writes pictures into")
    source.add_argument("--replay", type=Path, metavar="SHOT", help="folder of an earlier live shot: computes it again")
    live.add_argument("--paced", action="store_true", help="the video at its own rate; frames that come too fast are dropped")
    live.add_argument("--prompt", default=EXAMPLE, help="words in any order; default: %(default)r")
    live.add_argument(
        "--control", type=Path, metavar="FILE",
        help="a text file that may be changed while the shot runs: a prompt, and a line such as 'strength: 0.6'",
    )  # fmt: skip
    live.add_argument("--at-once", action="store_true", help="frames in the queue get a changed prompt too")
    live.add_argument("--strength", type=float, default=0.6, help="above 0, 1: no source; default: %(default)g")
    live.add_argument("--levels", type=int, default=2, help="model calls that a frame takes part in; default: %(default)s")
    live.add_argument("--block", type=int, default=4, help="frames that enter and leave together; default: %(default)s")
    live.add_argument("--context", type=int, default=4, help="finished frames for the motion layers; default: %(default)s")
    live.add_argument("--guidance", choices=GUIDANCE_NAMES, default="full", help="default: %(default)s")
    live.add_argument("--scale", type=float, default=3.0, help="guidance scale; default: %(default)g")
    live.add_argument("--delta", type=float, default=1.0, help="share of a remembered rest, 0 to 1; default: %(default)g")
    live.add_argument("--new-noise", action="store_true", help="noise of its own for every frame")
    live.add_argument("--no-motion", action="store_true", help="without the motion module: each frame by itself")
    live.add_argument("--similarity", type=float, default=0, metavar="COSINE", help="leave out similar frames, e.g. 0.98")
    live.add_argument("--frames", type=int, default=0, help="frames after which it ends; 0: at the end of the source")
    add_fps(live)
    live.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    live.add_argument("--new", action="store_true", help="begin a new shot, even if there is one to go on with")
    live.add_argument("--output", type=Path, default=Path("output/live"), metavar="DIR", help="default: %(default)s")
    live.set_defaults(run=_live, stopped="the frames so far are in unfinished.mp4; the same command goes on")


def _live(arguments: argparse.Namespace) -> None:
    """Runs the shot and prints one line of JSON."""
    _check(arguments)
    rate = arguments.fps or USUAL_RATE
    prompt = understand(arguments.prompt, rate).prompt
    demo, _ = open_demo()
    from ..hosts.diffusers.demo.live import LATENT, TABLE, DemoLive
    from ..sampling.live import Guidance, LiveLayout, live_sigmas
    from ..shots.folder import ShotFolder
    from ..shots.live.host import LiveSettings

    layout = LiveLayout(arguments.levels, arguments.block, arguments.context)
    guidance = Guidance(arguments.guidance, arguments.scale, arguments.delta)
    settings = LiveSettings(layout, guidance, TABLE, arguments.strength, arguments.seed, not arguments.new_noise)
    live_sigmas(TABLE, arguments.strength, arguments.levels)  # raises for levels that the strength has no steps for
    host = DemoLive(demo, prompt, not arguments.no_motion, understood=lambda text: understand(text, rate).prompt)
    place, line = ShotFolder(arguments.output, "live"), Line()
    with closing(line):
        found = (_replayed if arguments.replay else _made)(arguments, settings, host, place, line, LATENT)
    print(json.dumps({**found, **line.summary()}))


def _made(
    arguments: argparse.Namespace, settings: Any, host: Any, place: Any, line: "Line", latent: tuple[int, ...]
) -> dict[str, Any]:
    from ..sampling.live import SimilarityFilter
    from ..shots.cache import file_digest
    from ..shots.live.control import ControlFile
    from ..shots.live.files import live_journal
    from ..shots.live.input import from_feed
    from ..shots.live.run import LiveRun
    from ..video.live.feed import feeding
    from ..video.live.sources import PictureFolder, VideoFile

    size, block = (PIXELS, PIXELS), settings.layout.block
    source = VideoFile(arguments.video, size, arguments.paced) if arguments.video else PictureFolder(arguments.folder, size)
    fps = source.check() if isinstance(source, VideoFile) else float(arguments.fps or USUAL_RATE)
    identity = file_digest(arguments.video) if arguments.video else "folder"
    others = {**host.settings(), "source": identity, "similarity": arguments.similarity}
    journal, _ = live_journal(place, settings, latent, others, host.made_with(), arguments.new)
    control = ControlFile(arguments.control, arguments.at_once) if arguments.control else None
    run = LiveRun(journal, settings, host, line, fps, arguments.frames, control=control)
    keeps = SimilarityFilter(arguments.similarity, seed=arguments.seed).keeps if arguments.similarity else None
    if isinstance(source, VideoFile):
        source = VideoFile(arguments.video, size, arguments.paced, run.place.source + 1)
    with feeding(source, block, keeps) as feed, from_feed(feed, host.encode, block, source.waits) as entering:
        made = run.run(entering)
    return {"video": str(made.video), "frames": made.frames, "resumed": made.resumed, "calls": made.calls}


def _replayed(
    arguments: argparse.Namespace, settings: Any, host: Any, place: Any, line: "Line", latent: tuple[int, ...]
) -> dict[str, Any]:
    from ..shots.journal import Journal
    from ..shots.live.files import replay
    from ..shots.live.run import LiveRun

    record = Journal.open(arguments.replay)
    others = {**host.settings(), "similarity": record.settings.get("similarity")}
    fps = float(arguments.fps or USUAL_RATE)
    found = replay(
        record,
        place,
        settings,
        others,
        host.made_with(),
        lambda journal, frames: LiveRun(journal, settings, host, line, fps, frames),
    )
    if found.differences:
        print(f"zoetrope: made elsewhere: {', '.join(found.differences)}", file=sys.stderr)
    return {"video": str(found.shot.video), "frames": found.shot.frames, "same_bits": found.same}


def _check(arguments: argparse.Namespace) -> None:
    """Raises ValueError for invalid arguments."""
    check_between("levels", arguments.levels, 1, MOST_LEVELS)
    check_between("block", arguments.block, 1, MOST_BLOCK)
    check_between("context", arguments.context, 0, MOST_CONTEXT)
    check_between("scale", arguments.scale, 0, HIGHEST_GUIDANCE)
    check_between("delta", arguments.delta, 0, 1)
    check_between("frames", arguments.frames, 0, MOST_FRAMES)
    check_seed(arguments.seed)
    rows = arguments.levels * arguments.block + arguments.context
    if rows > LONGEST and not arguments.no_motion:
        raise ValueError(
            f"levels * block + context: expected {LONGEST} frames or fewer in a call, which the motion module supports, got "
            f"{arguments.levels} * {arguments.block} + {arguments.context} = {rows}"
        )
    if arguments.paced and not arguments.video:
        raise ValueError("paced: this is for a video; a folder is read at the rate that it is written at")
    check_clip(1, rate=arguments.fps or USUAL_RATE)
    check_folder(arguments.output)
    if arguments.video:
        check_file("video", arguments.video)
    if arguments.replay and not arguments.replay.is_dir():
        raise ValueError(f"replay: there is no folder {arguments.replay}")


class Line:
    """Progress of a live shot in one line on stderr; implements `shots.live.host.LiveListener`."""

    def __init__(self) -> None:
        self._figures: LiveFigures | None = None
        self._next = 0.0

    def shown(self, frame: int, pictures: "Tensor") -> None:
        """Does nothing: frames are in the video."""

    def figures(self, figures: "LiveFigures") -> None:
        self._figures = figures
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + 0.25
            print(f"\r{figures.text():78}", end="", file=sys.stderr, flush=True)

    def note(self, text: str) -> None:
        print(f"\nzoetrope: {text}", file=sys.stderr)

    def close(self) -> None:
        if self._figures:
            print(f"\r{self._figures.text():78}", file=sys.stderr)

    def summary(self) -> dict[str, Any]:
        """The last figures, by name."""
        last = self._figures
        return {"fps": round(last.fps, 2), "delay": round(last.delay, 3), "dropped": last.dropped} if last else {}
