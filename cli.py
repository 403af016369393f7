"""The library without a graph: `zoetrope inspect FILE`, `zoetrope demo --prompt ...`, `zoetrope shot --frames ...`."""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor

from .demo.detector import watch
from .demo.layout import PIXELS, TEMPORAL_VAE, part_path
from .demo.world import COLOURS, MOTIONS, RATES, SHAPES, draw, film, read_caption, read_rate, write_caption
from .hosts.diffusers.vae import open_vae, trip
from .models.motion.loading import load_motion
from .models.motion.report import sha256
from .sampling.queue import PRESETS
from .sampling.timeline import read_numbers, read_timeline
from .shots.folder import Place, journal_for
from .shots.record import Recording
from .shots.sinks import Step
from .video.io.picture import picture_of
from .video.io.read import frames_of
from .video.io.whole_file import whole, write_whole
from .video.io.write import write_video
from .video.quality.chart import chart_of, curves, stacked
from .video.quality.clip_metrics import along_flow, lines_of, measure
from .video.quality.clip_metrics import table_of as quality_table
from .video.quality.resampling import RESAMPLINGS
from .video.quality.sheet import contact_sheet
from .video.quality.study import averaged, study, table_of

PROMPT = "a red circle moving right on black"
STUDY_SEED = 9_000_000
"""Scenes of studies are drawn from here on; training never sees them."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command. Returns the exit status: 0; 2 where the input was bad (the reason goes to stderr); 130 on Ctrl-C."""
    arguments = _parser().parse_args(argv)
    run: Callable[[argparse.Namespace], None] = arguments.run
    try:
        run(arguments)
    except (ValueError, OSError) as error:
        print(f"zoetrope: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"\nzoetrope: stopped; {arguments.stopped}", file=sys.stderr)
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="zoetrope", description="Any image checkpoint becomes an endless shot.")
    commands = parser.add_subparsers(dest="command", required=True)
    inspect = commands.add_parser("inspect", help="say what a motion file or folder is and what it fits")
    inspect.add_argument("file", type=Path)
    inspect.add_argument("--json", action="store_true", help="plain data instead of text")
    inspect.set_defaults(run=_inspect, stopped="nothing was written")
    demo = commands.add_parser("demo", help="a prompt to a video with the embedded model, no ComfyUI needed")
    demo.add_argument("--prompt", default=PROMPT, help=f"default: {PROMPT!r}")
    demo.add_argument("--picture", type=Path, metavar="FILE", help="the first frame: one coloured shape on a plain ground")
    demo.add_argument("--frames", type=int, default=16, help="1 to 64; trained on 16")
    demo.add_argument("--fps", type=int, help="4, 8 (default) or 16")
    demo.add_argument("--steps", type=int, default=25)
    demo.add_argument("--guidance", type=float, default=3.0, help="how strictly the prompt is followed; default 3")
    demo.add_argument("--seed", type=int, default=7)
    demo.add_argument("--output", type=Path, default=Path("output/demo"), metavar="DIR", help="for clip.mp4 and clip.png")
    demo.set_defaults(run=_demo, stopped="no half file is left")
    _add_shot(commands.add_parser("shot", help="a shot of any length with the embedded model; run again, it goes on"))
    _add_metrics(commands.add_parser("metrics", help="flicker, seams and drift of a video, in numbers and a chart"))
    _add_study(commands.add_parser("vae-study", help="what time does to a video VAE: a table and a chart"))
    return parser


def _add_shot(shot: argparse.ArgumentParser) -> None:
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


def _add_metrics(metrics: argparse.ArgumentParser) -> None:
    metrics.add_argument("files", nargs="+", type=Path, metavar="FILE", help="one video, or several to compare")
    metrics.add_argument("--truth", type=Path, metavar="FILE", help="what they should look like, frame by frame")
    metrics.add_argument("--window", type=int, default=0, metavar="N", help="windows meet every N frames: do seams show")
    metrics.add_argument("--flow", action="store_true", help="warping error along OpenCV's flow")
    metrics.add_argument("--plot", type=Path, metavar="FILE.png", help="write a chart")
    metrics.set_defaults(run=_metrics, stopped="nothing was written")


def _metrics(arguments: argparse.Namespace) -> None:
    """A table in Markdown, one row per file."""
    carry = along_flow if arguments.flow else None
    found = {}
    for path in arguments.files:
        truth = frames_of(arguments.truth) if arguments.truth else None
        found[path.name] = measure(frames_of(path), truth, carry)
    print(quality_table(found, arguments.window))
    if arguments.plot:
        charts = [curves(title, "", lines) for title, lines in lines_of(found).items()]
        with whole(arguments.plot) as unfinished:
            stacked(charts).save(unfinished, "PNG")


def _add_study(study: argparse.ArgumentParser) -> None:
    study.add_argument("vaes", nargs="*", type=Path, metavar="VAE", help="files; default: the embedded model's two decoders")
    study.add_argument("--video", type=Path, help="a clip to study; default: clips of the embedded model's world")
    study.add_argument("--clips", type=int, default=12, help="clips of the world, at 4, 8 and 16 fps in turn; default 12")
    study.add_argument("--frames", type=int, default=16, help="of each clip; default 16")
    study.add_argument("--changes", nargs="+", default=list(RESAMPLINGS), metavar="CHANGE", help=", ".join(RESAMPLINGS))
    study.add_argument("--output", type=Path, default=Path("output/vae-study"), metavar="DIR", help="for study.md and .png")
    study.set_defaults(run=_study, stopped="no half file is left")


def _inspect(arguments: argparse.Namespace) -> None:
    _, report = load_motion(arguments.file)
    digest = sha256(arguments.file)
    as_json = {**report.as_dict(), "sha256": digest}
    print(json.dumps(as_json, indent=1) if arguments.json else f"{report.text()}\nsha256      {digest}")


@dataclass(frozen=True)
class Wish:
    """What a prompt means in the embedded model's world."""

    prompt: str
    fps: int
    asked: dict[str, str]
    ignored: list[str]


def _demo(arguments: argparse.Namespace) -> None:
    """Prompt to clip.mp4, clip.png and one line of JSON with what the detector sees in the clip."""
    wish = _understand(arguments)
    arguments.output.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    demo, bar_of = _load_demo()
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


def _shot(arguments: argparse.Namespace) -> None:
    """Films on until there are as many frames as asked for, and prints one line of JSON; or prints the plan."""
    if not 1 <= arguments.frames <= 1_000_000 or not 1 <= arguments.windows_per_call <= 64:
        got = f"{arguments.frames} and {arguments.windows_per_call}"
        raise ValueError(f"expected 1 to 1000000 frames and 1 to 64 windows per call, got {got}")
    demo, bar_of = _load_demo()
    from .hosts.diffusers.demo.shot import DemoShot

    queue = replace(PRESETS[arguments.preset], windows_per_call=arguments.windows_per_call)
    cues = read_timeline(arguments.prompt, "prompt")
    fps = next(rate for rate in (arguments.fps, read_rate(cues[0].said)[1], 8) if rate is not None)
    demo.check(1, fps=fps)
    cues = tuple(replace(cue, said=demo.told(write_caption(_meaning(cue.said)[0]), fps)) for cue in cues)
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
    """The sampler of a shot, whose steps move a progress bar."""
    from .hosts.diffusers.demo.shot import DemoSampler

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


def _study(arguments: argparse.Namespace) -> None:
    """Table and chart of every change of time through every VAE, averaged over the clips."""
    if not 1 <= arguments.clips <= 1000 or not 2 <= arguments.frames <= 1000:
        raise ValueError(f"expected 1 to 1000 clips of 2 to 1000 frames, got {arguments.clips} of {arguments.frames}")
    embedded = {"one frame at a time": part_path("vae"), "with the frames around": part_path(TEMPORAL_VAE)}
    files = {path.stem: path for path in arguments.vaes} or embedded
    opened = {name: open_vae(path) for name, path in files.items()}
    vaes = {name: (trip(loaded), loaded.side) for name, loaded in opened.items()}
    if arguments.video:
        clips = [torch.stack(list(islice(frames_of(arguments.video), arguments.frames)))]
    else:
        scenes = (draw(torch.Generator().manual_seed(STUDY_SEED + number)) for number in range(arguments.clips))
        clips = [film(scene, arguments.frames, PIXELS, RATES[n % len(RATES)]) for n, scene in enumerate(scenes)]
    results = averaged([study(clip, vaes, arguments.changes) for clip in clips])
    arguments.output.mkdir(parents=True, exist_ok=True)
    table = table_of(results)
    write_whole(arguments.output / "study.md", f"{table}\n".encode())
    with whole(arguments.output / "study.png") as unfinished:
        chart_of(results).save(unfinished)
    print(table)


def _load_demo() -> tuple[Any, Any]:
    """The model and the progress bar, imported only here: they need more than ComfyUI brings."""
    try:
        from tqdm import tqdm

        from .hosts.diffusers.demo.model import load_demo
    except ImportError as error:
        remedy = "pip install -e '.[standalone]' in the checkout"
        raise ValueError(f"`zoetrope demo` runs on diffusers ({error}); install it with: {remedy}") from error
    return load_demo(), tqdm


def _understand(arguments: argparse.Namespace) -> Wish:
    """Raises ValueError where no word of the prompt means anything, and for frame rates that were never learned."""
    prompt, told = read_rate(arguments.prompt)
    asked, ignored = _meaning(prompt)
    fps = next(rate for rate in (arguments.fps, told, 8) if rate is not None)
    if not 0 <= arguments.seed < 2**63:
        raise ValueError(f"seed: expected 0 to 2^63 - 1, got {arguments.seed}")
    return Wish(write_caption(asked), fps, asked, ignored)


def _meaning(prompt: str) -> tuple[dict[str, str], list[str]]:
    """What a prompt asks for; words that mean nothing are named, and a prompt of nothing else is refused."""
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
    """What the detector sees, and whether it is what was asked for: null where nothing of it shows in one frame."""
    sight = watch(clip)
    kinds = ("colour", "shape", "motion", "background") if len(clip) > 1 else ("colour", "shape", "background")
    seen = {kind: getattr(sight, kind) for kind in kinds}
    judged = asked.keys() & seen
    return {"seen": seen, "as_asked": all(seen[kind] == asked[kind] for kind in judged) if judged else None}


if __name__ == "__main__":
    sys.exit(main())
