"""`zoetrope metrics` and `zoetrope vae-study`: metrics of videos and VAEs, as tables and charts."""

import argparse
from itertools import islice
from pathlib import Path

from ..demo.words import PIXELS, RATES
from .checks import check_between, check_file, make_folder, names_of

STUDY_SEED = 9_000_000
"""First seed of the scenes of studies, which are not used in training."""
CHANGES = (
    "as it is", "every 2nd frame", "every 4th frame", "each frame twice", "each frame 4 times", "blended in between",
    "reversed", "shuffled", "time for height",
)  # fmt: skip
"""Names of `video.quality.resampling.RESAMPLINGS`, which imports torch."""


def add_metrics(metrics: argparse.ArgumentParser) -> None:
    """Adds the arguments of `zoetrope metrics`."""
    metrics.add_argument("files", nargs="+", type=Path, metavar="FILE", help="one video, or several to compare")
    metrics.add_argument("--truth", type=Path, metavar="FILE", help="the true frames to compare with, one by one")
    metrics.add_argument(
        "--window", type=int, default=0, metavar="N", help="measure seams where windows of N frames meet; default: none"
    )
    metrics.add_argument("--flow", action="store_true", help="add the warping error and the motion along OpenCV's flow")
    metrics.add_argument("--json", type=Path, metavar="FILE.json", help="write all metrics, also those of each frame")
    metrics.add_argument("--plot", type=Path, metavar="FILE.png", help="write a chart as well")
    metrics.set_defaults(run=_metrics, stopped="nothing was written")


def _metrics(arguments: argparse.Namespace) -> None:
    """Prints a table in Markdown, a row per metric, and writes the chart and JSON."""
    check_between("window", arguments.window, 0, 1_000_000)
    for path in (*arguments.files, *([arguments.truth] if arguments.truth else ())):
        check_file("metrics", path)
    from ..video.io.read import frames_of
    from ..video.io.whole_file import whole
    from ..video.quality.chart import curves, stacked
    from ..video.quality.clip_metrics import measure
    from ..video.quality.clip_tables import json_of, lines_of, table_of
    from ..video.quality.meters import FlowMeter, SignalMeter

    found = {}
    for name, path in zip(names_of(arguments.files), arguments.files, strict=True):
        truth = frames_of(arguments.truth) if arguments.truth else None
        meters = [SignalMeter(), *([FlowMeter()] if arguments.flow else [])]
        found[name] = measure(frames_of(path), truth, meters)
    print(table_of(found, arguments.window))
    if arguments.json:
        with whole(arguments.json) as unfinished:
            unfinished.write_text(json_of(found, arguments.window, frames=True))
    if arguments.plot:
        charts = [curves(title, "", lines) for title, lines in lines_of(found).items()]
        with whole(arguments.plot) as unfinished:
            stacked(charts).save(unfinished, "PNG")


def add_study(study: argparse.ArgumentParser) -> None:
    """Adds the arguments of `zoetrope vae-study`."""
    study.add_argument(
        "vaes", nargs="*", type=Path, metavar="VAE", help="files of VAEs; default: the embedded model's two decoders"
    )
    study.add_argument(
        "--video", type=Path, metavar="FILE", help="a clip to study; default: clips of the embedded model's world"
    )
    study.add_argument(
        "--clips", type=int, default=12, help="clips of the world, at 4, 8 and 16 fps in turn; default: %(default)s"
    )
    study.add_argument("--frames", type=int, default=16, help="frames of each clip; default: %(default)s")
    study.add_argument(
        "--changes", nargs="+", default=list(CHANGES), metavar="CHANGE", help=f"default: all; {', '.join(CHANGES)}"
    )
    study.add_argument(
        "--output", type=Path, default=Path("output/vae-study"), metavar="DIR",
        help="folder for study.md and study.png; default: %(default)s",
    )  # fmt: skip
    study.set_defaults(run=_study, stopped="no incomplete file is left")


def _study(arguments: argparse.Namespace) -> None:
    """Writes table and chart of every change of time with every VAE, averaged over the clips."""
    _check(arguments)
    import torch

    from ..demo.layout import TEMPORAL_VAE, part_path
    from ..demo.world import draw, film
    from ..hosts.diffusers.vae import open_vae, trip
    from ..video.io.read import frames_of
    from ..video.io.whole_file import whole, write_whole
    from ..video.quality.chart import chart_of
    from ..video.quality.study import averaged, study, table_of

    embedded = {"one frame at a time": part_path("vae"), "with the frames around": part_path(TEMPORAL_VAE)}
    files = dict(zip(names_of(arguments.vaes), arguments.vaes, strict=True)) or embedded
    opened = {name: open_vae(path) for name, path in files.items()}
    vaes = {name: (trip(loaded), loaded.side) for name, loaded in opened.items()}
    if arguments.video:
        clips = [torch.stack(list(islice(frames_of(arguments.video), arguments.frames)))]
    else:
        scenes = (draw(torch.Generator().manual_seed(STUDY_SEED + number)) for number in range(arguments.clips))
        clips = [film(scene, arguments.frames, PIXELS, RATES[n % len(RATES)]) for n, scene in enumerate(scenes)]
    results = averaged([study(clip, vaes, arguments.changes) for clip in clips])
    table = table_of(results)
    write_whole(arguments.output / "study.md", f"{table}\n".encode())
    with whole(arguments.output / "study.png") as unfinished:
        chart_of(results).save(unfinished)
    print(table)


def _check(arguments: argparse.Namespace) -> None:
    """Checks the arguments and makes the folder. Raises ValueError for invalid ones."""
    check_between("clips", arguments.clips, 1, 1000)
    check_between("frames", arguments.frames, 2, 1000)
    if unknown := [change for change in arguments.changes if change not in CHANGES]:
        raise ValueError(f"changes: expected some of {', '.join(CHANGES)}, got {unknown[0]!r}")
    for path in arguments.vaes:
        if not path.exists():
            raise ValueError(f"VAE: there is no file {path}")
    if arguments.video:
        check_file("video", arguments.video)
    make_folder(arguments.output)
