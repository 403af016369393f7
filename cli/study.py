"""`zoetrope metrics` and `zoetrope vae-study`: videos and VAEs in numbers and charts."""

import argparse
from itertools import islice
from pathlib import Path

import torch

from ..demo.layout import PIXELS, TEMPORAL_VAE, part_path
from ..demo.world import RATES, draw, film
from ..hosts.diffusers.vae import open_vae, trip
from ..video.io.read import frames_of
from ..video.io.whole_file import whole, write_whole
from ..video.quality.chart import chart_of, curves, stacked
from ..video.quality.clip_metrics import along_flow, lines_of, measure
from ..video.quality.clip_metrics import table_of as quality_table
from ..video.quality.resampling import RESAMPLINGS
from ..video.quality.study import averaged, study, table_of

STUDY_SEED = 9_000_000
"""Scenes of studies are drawn from here on; training never sees them."""


def add_metrics(metrics: argparse.ArgumentParser) -> None:
    """Adds the arguments of `zoetrope metrics`."""
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


def add_study(study: argparse.ArgumentParser) -> None:
    """Adds the arguments of `zoetrope vae-study`."""
    study.add_argument("vaes", nargs="*", type=Path, metavar="VAE", help="files; default: the embedded model's two decoders")
    study.add_argument("--video", type=Path, help="a clip to study; default: clips of the embedded model's world")
    study.add_argument("--clips", type=int, default=12, help="clips of the world, at 4, 8 and 16 fps in turn; default 12")
    study.add_argument("--frames", type=int, default=16, help="of each clip; default 16")
    study.add_argument("--changes", nargs="+", default=list(RESAMPLINGS), metavar="CHANGE", help=", ".join(RESAMPLINGS))
    study.add_argument("--output", type=Path, default=Path("output/vae-study"), metavar="DIR", help="for study.md and .png")
    study.set_defaults(run=_study, stopped="no half file is left")


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
