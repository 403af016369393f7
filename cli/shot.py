"""`zoetrope shot`: a shot of any length with the embedded model, or the plan of one."""

import argparse
import json
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..demo.world import read_rate, write_caption
from ..sampling.queue import PRESETS
from ..sampling.timeline import read_numbers, read_timeline
from ..shots.folder import Place, journal_for
from ..shots.record import Recording
from ..shots.sinks import Step
from .demo import PROMPT, meaning, open_demo


def add_shot(shot: argparse.ArgumentParser) -> None:
    """Adds the arguments of `zoetrope shot`."""
    shot.add_argument("--prompt", default=PROMPT, help=f"or by frame: '0: {PROMPT} / 48: a blue square moving up on white ~12'")
    shot.add_argument("--frames", type=int, default=96)
    shot.add_argument("--fps", type=int, help="4, 8 (default) or 16")
    shot.add_argument("--guidance", default="3", help="a number, or by frame: '0: 3 / 48: 5 ~12'")
    shot.add_argument(
        "--preset", choices=list(PRESETS), default="recommended", help="paper: twice the time; fast: no lookahead"
    )
    shot.add_argument("--windows-per-call", type=int, default=1, metavar="N", help="--plan says what pays")
    shot.add_argument("--seed", type=int, default=7)
    shot.add_argument("--output", type=Path, default=Path("output/shots"), metavar="DIR", help="for the shot's folder")
    shot.add_argument("--plan", action="store_true", help="only say what it will take, from a measured window")
    shot.set_defaults(run=_shot, stopped="the same command goes on from the same frame")


def _shot(arguments: argparse.Namespace) -> None:
    """Films on until there are as many frames as asked for, and prints one line of JSON; or prints the plan."""
    if not 1 <= arguments.frames <= 1_000_000 or not 1 <= arguments.windows_per_call <= 64:
        got = f"{arguments.frames} and {arguments.windows_per_call}"
        raise ValueError(f"expected 1 to 1000000 frames and 1 to 64 windows per call, got {got}")
    demo, bar_of = open_demo()
    from ..hosts.diffusers.demo.shot import DemoShot

    queue = replace(PRESETS[arguments.preset], windows_per_call=arguments.windows_per_call)
    cues = read_timeline(arguments.prompt, "prompt")
    fps = next(rate for rate in (arguments.fps, read_rate(cues[0].said)[1], 8) if rate is not None)
    demo.check(1, fps=fps)
    cues = tuple(replace(cue, said=demo.told(write_caption(meaning(cue.said)[0]), fps)) for cue in cues)
    shot = DemoShot(demo, cues, read_numbers(arguments.guidance, "guidance", 0, 30), arguments.seed, fps, queue)
    if arguments.plan:
        print(shot.plan(arguments.frames, arguments.output).text())
        return
    journal, news = journal_for(Place(arguments.output, "shot"), shot.sizes, shot.settings(), shot.made_with())
    with bar_of(total=1, unit="frame", file=sys.stderr) as bar:
        recording = Recording(journal, _shown_by(bar, shot, arguments.frames), arguments.frames, fps, tail=1)
        with closing(recording):
            for _ in recording:
                pass
    made = recording.shot
    print(json.dumps({"video": str(made.video), "frames": arguments.frames, "story": made.story(arguments.frames, news)}))


def _shown_by(bar: Any, shot: Any, frames: int) -> Any:
    """Makes the sampler of a shot, whose steps move a progress bar."""
    from ..hosts.diffusers.demo.shot import DemoSampler

    class Shown(DemoSampler):
        def starting(self, step: int, steps: int) -> None:
            bar.set_description(f"first clip, step {step} of {steps}")

        def counted(self, steps: Iterator[Step]) -> Iterator[Step]:
            for step in steps:
                if not bar.n:
                    bar.total = frames - min(step.frame, frames) + 1
                bar.set_description("frames" if step.frame > 0 else "warm-up")
                bar.update()
                yield step

    return Shown(shot)
