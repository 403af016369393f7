"""`zoetrope shot`: a shot of any length with the embedded model, or the plan of one."""

import argparse
import json
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..demo.prompt import read_prompt
from ..demo.words import EXAMPLE, GRAMMAR, check_clip
from ..sampling.timeline import Cue, Numbers, read_numbers, read_timeline
from .checks import check_between, check_folder, check_seed
from .demo import HIGHEST_GUIDANCE, add_fps, open_demo
from .prompts import understand

if TYPE_CHECKING:
    from ..shots.sinks import Step

PRESET_NAMES = ("recommended", "paper", "fast")
"""Names of `sampling.queue.PRESETS`, which imports torch."""
DECODER_NAMES = ("temporal", "image")
"""Names of `hosts.diffusers.demo.decoder.DECODERS`, which imports torch."""
MOST_FRAMES, MOST_WINDOWS = 1_000_000, 64


def add_shot(shot: argparse.ArgumentParser) -> None:
    """Adds the arguments of `zoetrope shot`."""
    shot.description = f"Writes a shot of any length, frame by frame. Words of a prompt: {GRAMMAR}."
    shot.add_argument(
        "--prompt", default=EXAMPLE,
        help=f"one prompt, or several by frame: '0: {EXAMPLE} / 48: a blue circle moving up on white ~12'; "
        "the words of an entry 'always: on grey' are appended to all; default: %(default)r",
    )  # fmt: skip
    shot.add_argument(
        "--frames", type=int, default=96, help="length of the shot; raise it to continue a shot; default: %(default)s"
    )
    add_fps(shot)
    shot.add_argument(
        "--guidance", default="3",
        help=f"a number from 0 to {HIGHEST_GUIDANCE}, or numbers by frame: '0: 3 / 48: 5 ~12'; default: %(default)s",
    )  # fmt: skip
    shot.add_argument(
        "--preset", choices=PRESET_NAMES, default="recommended",
        help="paper: twice the time; fast: no lookahead; default: %(default)s",
    )  # fmt: skip
    shot.add_argument(
        "--windows-per-call", type=int, default=1, metavar="N",
        help=f"windows per model call, 1 to {MOST_WINDOWS}; --plan shows which is fastest; default: %(default)s",
    )  # fmt: skip
    shot.add_argument(
        "--decoder", choices=DECODER_NAMES, default=DECODER_NAMES[0],
        help="temporal: less flicker, and up to 13 more frames are sampled than the video has; image: frame by frame; "
        "default: %(default)s",
    )  # fmt: skip
    shot.add_argument("--seed", type=int, default=0, help="another seed, another shot; default: %(default)s")
    shot.add_argument(
        "--output",
        type=Path,
        default=Path("output/shots"),
        metavar="DIR",
        help="folder for the shot's folder; default: %(default)s",
    )
    shot.add_argument("--loop", action="store_true", help="closed loop: the last frame leads back to the first")
    shot.add_argument("--plan", action="store_true", help="only print time, memory and disk, from a measured window")
    shot.set_defaults(run=_shot, stopped="the same command continues from the same frame")


def _shot(arguments: argparse.Namespace) -> None:
    """Extends the shot to the requested length and prints one line of JSON; or prints the plan."""
    cues, guidance, fps = _checked(arguments)
    demo, bar_of = open_demo()
    from ..hosts.diffusers.demo.decoder import DemoDecoder
    from ..hosts.diffusers.demo.shot import DemoShot
    from ..sampling.queue import PRESETS
    from ..shots.folder import ShotFolder, journal_for
    from ..shots.record import Recording

    queue = replace(PRESETS[arguments.preset], windows_per_call=arguments.windows_per_call)
    decoder = DemoDecoder(demo, arguments.decoder)
    shot = DemoShot(demo, cues, guidance, arguments.seed, fps, queue, decoder, arguments.frames * arguments.loop)
    if arguments.plan:
        print(shot.plan(arguments.frames, arguments.output).text())
        return
    place, video = ShotFolder(arguments.output, "shot"), {"decoding": decoder.decoding}
    journal, reason = journal_for(place, shot.sizes, shot.settings(), shot.made_with(), apart=("fps",))
    with closing(Bars(bar_of, arguments.frames, decoder.pieces.latents(arguments.frames))) as bars:
        sampler = _with_bars(shot, bars)
        sampler.resume(journal)
        recording = Recording(journal, sampler, arguments.frames, fps, tail=1, video=video)
        bars.finished = max(0, recording.next_frame or 0)
        with closing(recording):
            for _ in recording:
                pass
    made = recording.shot
    print(json.dumps({"video": str(made.video), "frames": arguments.frames, "story": made.message(arguments.frames, reason)}))


def _checked(arguments: argparse.Namespace) -> tuple[tuple[Cue, ...], Numbers, int]:
    """Prompts in the vocabulary of the text encoder, guidance and frame rate. Raises ValueError for invalid arguments."""
    check_between("frames", arguments.frames, 1, MOST_FRAMES)
    check_between("windows per call", arguments.windows_per_call, 1, MOST_WINDOWS)
    check_seed(arguments.seed)
    check_folder(arguments.output)
    cues = read_timeline(arguments.prompt, "prompt")
    guidance = read_numbers(arguments.guidance, "guidance", 0, HIGHEST_GUIDANCE)
    fps = read_prompt(cues[0].text, arguments.fps).fps
    check_clip(1, rate=fps)
    return tuple(replace(cue, text=understand(cue.text, fps).prompt) for cue in cues), guidance, fps


class Bars:
    """Progress bars of a shot: one each for the base clip, the warm-up of the queue, frames, and what the decoder needs."""

    def __init__(self, bar_of: Any, frames: int, latents: int):
        """latents: number of latents that the frames need."""
        self._bar_of, self._frames, self._latents, self._bar, self._part, self._first = bar_of, frames, latents, None, "", 0
        self.finished = 0
        """Latents that an earlier run finished."""

    def first_clip(self, step: int, steps: int) -> None:
        """Updates the bar of the base clip."""
        self._show("first clip", "step", steps, step)

    def frame(self, number: int) -> None:
        """Updates the bar of warm-up or frames. number: of the next frame, negative during warm-up."""
        if number <= 0:
            self._show("warm-up", "step", 0, number)
        elif number <= self._frames:
            self._show("frames", "frame", self._frames, number, min(self.finished, self._frames))
        else:
            ahead = self._frames
            self._show("later frames, for the decoder", "frame", self._latents - ahead, min(number, self._latents) - ahead)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()

    def _show(self, part: str, unit: str, total: int, done: int, initial: int = 0) -> None:
        if part != self._part:
            self.close()
            self._first = done if part == "warm-up" else 0
            self._part = part
            self._bar = self._bar_of(
                total=total - self._first, initial=initial, desc=part, unit=unit, file=sys.stderr, leave=part == "frames",
                mininterval=0, miniters=1,  # draws every step, which takes long enough
            )  # fmt: skip
        assert self._bar is not None
        self._bar.update(done - self._first - self._bar.n)


def _with_bars(shot: Any, bars: Bars) -> Any:
    """The sampler of a shot, with progress bars."""
    from ..hosts.diffusers.demo.shot import DemoSampler

    class WithBars(DemoSampler):
        def starting(self, step: int, steps: int) -> None:
            bars.first_clip(step, steps)

        def counted(self, steps: "Iterator[Step]") -> "Iterator[Step]":
            for step in steps:
                bars.frame(step.frame)
                yield step

    return WithBars(shot)
