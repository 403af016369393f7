"""Detection and repair of film damage against classical methods, with exact truth.

    python benchmarks/film.py [--pictures FOLDER] [--reference FILE] [--clips 7] [--worlds 7] [--output DIR] [--own-flow]
    python benchmarks/film.py --long FRAMES

Clips of 32 frames of 192 x 256 with a camera that pans and zooms over photographs (FOLDER), and clips of the procedural world,
get dust, scratches, flicker, weave, or all of the first three, as in the reference script (FILE, `restoration_baselines.py`),
which also has the classical methods. --own-flow: without OpenCV's optical flow in our methods. Sheets go to DIR.
"""

import argparse
import importlib.util
import statistics
import sys
from collections.abc import Callable, Iterator
from glob import glob
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).parents[1] / folder) for folder in ("tools", "tests/support")]
from naming import name_the_checkout  # noqa: E402

name_the_checkout()

import numpy as np  # noqa: E402
import torch  # noqa: E402
from zoetrope.demo.lively_world import draw, film  # noqa: E402
from zoetrope.shots.measure import ram  # noqa: E402
from zoetrope.video.damage.film import damaged  # noqa: E402
from zoetrope.video.damage.settings import PRESETS  # noqa: E402
from zoetrope.video.quality.sheet import contact_sheet  # noqa: E402
from zoetrope.video.restore import motion  # noqa: E402
from zoetrope.video.restore.film import RestoreSettings, detected, restored  # noqa: E402

INNER = slice(1, -1)
REFERENCE = Path(__file__).parents[2] / "shared" / "reference" / "restoration_baselines.py"
Figures = dict[str, list[float]]
ALONE: dict[str, float] = {"weave": 0.0, "flicker": 0.0, "lines": 0.0, "dust": 0.0}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=Path, help="folder of photographs")
    parser.add_argument("--reference", type=Path, default=REFERENCE)
    parser.add_argument("--clips", type=int, default=7, help="photographs")
    parser.add_argument("--worlds", type=int, default=7, help="clips of the procedural world")
    parser.add_argument("--output", type=Path, default=Path("benchmarks/sheets"))
    parser.add_argument("--own-flow", action="store_true")
    parser.add_argument("--long", type=int, default=0, help="only restore a film of this many frames, for its memory")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    arguments.output.mkdir(parents=True, exist_ok=True)
    if arguments.long:
        return long_film(arguments.long)
    reference = loaded(arguments.reference)
    if arguments.own_flow:
        motion.has_flow = lambda: False
    if arguments.pictures:
        files = sorted(glob(f"{arguments.pictures}/*.png") + glob(f"{arguments.pictures}/*.jpg"))[: arguments.clips]
        clips = [reference.scene(path, files[(n + 2) % len(files)], n) for n, path in enumerate(files)]
        report("photographs", clips, reference, arguments.output)
    if arguments.worlds:
        report("procedural world", [worldly(n) for n in range(arguments.worlds)], reference, arguments.output)


def loaded(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location("restoration_baselines", path)
    if spec is None or spec.loader is None or not path.is_file():
        raise SystemExit(f"{path}: the reference script is missing; give its path with --reference")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def worldly(number: int) -> np.ndarray:
    """A clip of the procedural world, `(32, 192, 256, 3)`."""
    frames = film(draw(torch.Generator().manual_seed(9_000_000 + number), count=2), 32, 256, 16)
    return frames[:, :, 32:224].movedim(1, -1).numpy()


def report(title: str, clips: list[np.ndarray], reference: Any, output: Path) -> None:
    rows: Figures = {}
    for number, clip in enumerate(clips):
        for part in (dust, lines, flicker, weave, everything, undamaged):
            for name, value in part(reference, clip, number, output / f"film_{title.split()[0]}_{number}_{part.__name__}.png"):
                rows.setdefault(name, []).append(value)
        print(f"{title}, clip {number} done", file=sys.stderr, flush=True)
    print(f"\n{title}, {len(clips)} clips\n\n| | before | classical | Zoetrope |\n|---|---:|---:|---:|")
    for name in dict.fromkeys(key.rpartition("/")[0] for key in rows):
        shown = [statistics.mean(rows[f"{name}/{column}"]) if f"{name}/{column}" in rows else None for column in COLUMNS]
        print(f"| {name} | {' | '.join('' if value is None else f'{value:.3f}'.rstrip('0') for value in shown)} |", flush=True)


COLUMNS = ("before", "classical", "ours")
Named = Iterator[tuple[str, float]]


def compared(name: str, measure: Callable[[Any], float], *values: Any) -> Named:
    """Figures of a measure for what was before, the classical result and ours; None is left out."""
    for column, value in zip(COLUMNS, values, strict=True):
        if value is not None:
            yield f"{name}/{column}", float(measure(value))


def of_masks(kind: str, reference: Any, truth: np.ndarray, classical: np.ndarray, found: np.ndarray) -> Named:
    for n, name in enumerate(("IoU", "precision", "recall")):
        yield from compared(f"{kind}: mask {name}", lambda m, n=n: reference.scores(m, truth)[n], None, classical, found)


def dust(reference: Any, clip: np.ndarray, number: int, sheet: Path) -> Named:
    random = np.random.default_rng(100 + number)
    base = reference.grain(clip, random)
    damaged, truth = reference.dust(base, random)
    classical, masks = damaged.copy(), np.zeros_like(truth)
    for t in range(1, len(clip) - 1):
        before, after = reference.neighbours(damaged, t, "median")
        masks[t] = reference.cleaned(reference.responses(damaged[t], before, after)["srod"] > 0.15)
        filling = reference.cleaned(reference.responses(damaged[t], before, after)["srod"] > 0.1)
        classical[t] = reference.filled(damaged[t], filling, before, after, "temporal")
    mine, found = ours(damaged, dust=1.0), found_masks(damaged, True, False)
    yield from of_masks("dust", reference, truth[INNER], masks[INNER], found[INNER])
    parts = [one[INNER] for one in (damaged, classical, mine)]
    yield from compared("dust: PSNR in damage", lambda c: reference.psnr(c, base[INNER], truth[INNER]), *parts)
    yield from compared("dust: PSNR", lambda c: reference.psnr(c, base[INNER]), *parts)
    yield from compared("dust: PSNR, first and last frame too", lambda c: reference.psnr(c, base), damaged, classical, mine)
    save(sheet, damaged, classical, mine, base)


def lines(reference: Any, clip: np.ndarray, number: int, sheet: Path) -> Named:
    random = np.random.default_rng(200 + number)
    base = reference.grain(clip, random)
    damaged, truth = reference.scratches(base, random)
    masks = np.stack([grown_sideways(mask) for mask in reference.lines_of(damaged)])
    classical, mine, found = reference.lines_filled(damaged, masks), ours(damaged, lines=1.0), found_masks(damaged, False, True)
    yield from of_masks("lines", reference, truth, masks, found)
    yield from compared("lines: PSNR in damage", lambda c: reference.psnr(c, base, truth), damaged, classical, mine)
    yield from compared("lines: PSNR", lambda c: reference.psnr(c, base), damaged, classical, mine)
    save(sheet, damaged, classical, mine, base)


def flicker(reference: Any, clip: np.ndarray, number: int, sheet: Path) -> Named:
    random = np.random.default_rng(300 + number)
    base = reference.grain(clip, random)
    damaged, _ = reference.flicker(base, random)
    classical = reference.steady_affine(reference.steady_affine(damaged), 8, (3, 4))
    mine = ours(damaged, flicker=1.0)
    yield from compared("flicker: jump error", lambda c: reference.jump(c, base), damaged, classical, mine)
    yield from compared("flicker: PSNR", lambda c: reference.psnr(c, base), damaged, classical, mine)
    save(sheet, damaged, classical, mine, base)


def weave(reference: Any, clip: np.ndarray, number: int, sheet: Path) -> Named:
    random = np.random.default_rng(500 + number)
    base = reference.grain(clip, random)
    damaged, offsets = reference.weave(base, random)
    classical, found = reference.unweaved(damaged)
    mine, removed = ours_with_offsets(damaged)
    rms = lambda left: float(np.sqrt((left**2).mean()))
    yield from compared("weave: offset left, px", rms, offsets, offsets - found, offsets - removed)
    inside = (slice(None), slice(8, -8), slice(8, -8))
    yield from compared("weave: jump error", lambda c: reference.jump(c[inside], base[inside]), damaged, classical, mine)
    yield from compared("weave: PSNR", lambda c: reference.psnr(c[inside], base[inside]), damaged, classical, mine)


def everything(reference: Any, clip: np.ndarray, number: int, sheet: Path) -> Named:
    random = np.random.default_rng(400 + number)
    base = reference.grain(clip, random)
    damaged, _ = reference.flicker(base, random)
    damaged, of_dust = reference.dust(damaged, random)
    damaged, of_lines = reference.scratches(damaged, random)
    truth, classical = of_dust | of_lines, classically(reference, damaged)
    mine = ours(damaged, flicker=1.0, lines=1.0, dust=1.0)
    yield from compared("all: jump error", lambda c: reference.jump(c, base), damaged, classical, mine)
    yield from compared("all: PSNR", lambda c: reference.psnr(c, base), damaged, classical, mine)
    yield from compared("all: PSNR in damage", lambda c: reference.psnr(c, base, truth), damaged, classical, mine)
    yield from compared("all: SSIM", lambda c: reference.ssim(c, base), damaged, classical, mine)
    save(sheet, damaged, classical, mine, base)


def undamaged(reference: Any, clip: np.ndarray, number: int, sheet: Path) -> Named:
    base = reference.grain(clip, np.random.default_rng(600 + number))
    classical = classically(reference, base)
    mine = ours(base, weave=1.0, flicker=1.0, lines=1.0, dust=1.0)
    yield from compared("undamaged: PSNR to itself", lambda c: reference.psnr(c, base), None, classical, mine)
    yield from compared("undamaged: PSNR to the clip without grain", lambda c: reference.psnr(c, clip), base, classical, mine)
    save(sheet, base, classical, mine, clip)


def classically(reference: Any, clip: np.ndarray) -> np.ndarray:
    """Flicker, lines, dust, flicker again: the best order of the reference."""
    even = lambda one: reference.steady_affine(reference.steady_quantiles(one), 8, (3, 4))
    clip = even(clip)
    rows = zip(clip, reference.lines_of(clip), strict=True)
    clip = np.stack([reference.filled(frame, grown_sideways(mask), None, None, "row") for frame, mask in rows])
    result = clip.copy()
    for t in range(1, len(clip) - 1):
        before, after = reference.neighbours(clip, t, "median")
        mask = reference.cleaned(reference.responses(clip[t], before, after)["srod"] > 0.1)
        result[t] = reference.filled(clip[t], mask, before, after, "temporal")
    return even(result)


def grown_sideways(mask: np.ndarray) -> np.ndarray:
    padded = np.pad(mask, ((0, 0), (1, 1)))
    return padded[:, :-2] | padded[:, 1:-1] | padded[:, 2:]


def frames_of(clip: np.ndarray) -> Iterator[torch.Tensor]:
    return (torch.from_numpy(frame).movedim(-1, 0) for frame in clip.astype(np.float32))


def ours(clip: np.ndarray, **strengths: float) -> np.ndarray:
    result = restored(frames_of(clip), RestoreSettings(**{**ALONE, **strengths}))
    return np.stack([frame.movedim(0, -1).numpy() for frame in result])


def ours_with_offsets(clip: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The steadied clip, and the offsets that were removed from it."""
    from zoetrope.video.restore import weave as module

    offsets, plain = [], module._moved

    def noted(frame: Any, offset: torch.Tensor, last: torch.Tensor) -> Any:
        offsets.append(offset.numpy())
        return plain(frame, offset, last)

    module._moved = noted
    try:
        return ours(clip, weave=1.0), np.stack(offsets)
    finally:
        module._moved = plain


def found_masks(clip: np.ndarray, dusty: bool, lined: bool) -> np.ndarray:
    return np.stack([one.mask.numpy() for one in detected(frames_of(clip), dusty, lined, RestoreSettings())])


def save(path: Path, *clips: np.ndarray) -> None:
    """A sheet: damaged, classical, ours, truth; every sixth frame."""
    contact_sheet([torch.from_numpy(clip[3::6].astype(np.float32)).movedim(-1, 1) for clip in clips]).save(path)


def long_film(count: int) -> None:
    """Prints the memory after 200 frames and every 600 more of a damaged film of 64 x 64 pixels."""
    scene = draw(torch.Generator().manual_seed(9_000_000), count=2, background="sea")
    clean = (film(scene, 1, 64, 16, first=number)[0] for number in range(count))
    spoilt = (one.picture for one in damaged(clean, PRESETS["old film"], 1))
    for number, _ in enumerate(restored(spoilt, RestoreSettings()), 1):
        if number % 600 == 200 or number == count:
            print(f"{number} frames: {ram() / 2**20:.0f} MiB", flush=True)


if __name__ == "__main__":
    main()
