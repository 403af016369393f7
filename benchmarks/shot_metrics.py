"""Metrics of long shots of the procedural world: object, motion, drift, jerk and seams, and tables of them."""

import random
from dataclasses import dataclass, fields
from pathlib import Path
from statistics import mean

import torch
from torch import Tensor
from torch.nn.functional import max_pool2d
from zoetrope.demo.detector import detect
from zoetrope.demo.prompt import read_prompt
from zoetrope.demo.world import MOTIONS
from zoetrope.video.quality.sheet import contact_sheet

BLOCK = 16
NEAR, AWAY = 0.1, 3
"""Distance in colour up to which a pixel is background; pixels around the shape and its trail that do not count."""
AROUND = 8
"""Number of moves over which the motion at a frame is averaged."""
SPEEDS = (0.25, 0.55)
"""Picture widths per second of the world's moving shapes; with a tolerance of a quarter."""
RIGHT_ENOUGH = 0.8
"""Least share of frames with the right motion for drift and jerk to count, which are low for a frozen shot."""


@dataclass(frozen=True)
class Figures:
    """Metrics of one shot."""

    object: float
    """Share of frames with the right colour and shape."""
    motion: float
    """Share of frames with the right direction and speed."""
    early: float
    """The same over the first 32 frames."""
    late: float
    """Over the last 32 frames."""
    identity: float
    """Share of frames with the colour and shape that are most frequent in the first block."""
    colour_drift: float
    """Mean over blocks of 16 frames of the distance in RGB between a block's mean shape colour and the first block's."""
    ground_drift: float
    """The same for the background."""
    jerk: float
    """Second difference of the track over the speed."""
    seam: float
    """Mean difference of neighbouring frames at window borders, divided by that elsewhere."""
    flicker: float
    """Mean difference of neighbouring frames in the plain background, which should not change, in levels of 255."""


def figures(clip: Tensor, prompt: str, fps: int, border: int) -> Figures:
    """Measures a shot `(f, 3, h, w)` in [0, 1]; `border`: frames between window borders."""
    expected = read_prompt(prompt).named
    detection = detect(clip)
    right = torch.tensor(
        [c == expected["colour"] and s == expected["shape"] for c, s in zip(detection.colours, detection.shapes, strict=True)]
    )
    moving = motion_right(detection.track, expected["motion"], fps)
    pairs = list(zip(detection.colours, detection.shapes, strict=True))
    usual = max(set(pairs[:BLOCK]), key=pairs[:BLOCK].count)
    same = torch.tensor([pair == usual for pair in pairs])
    inks, grounds = ink_and_ground(clip)
    move = (detection.track.diff(dim=0) + 0.5) % 1 - 0.5
    speed = float(move.norm(dim=-1).mean())
    return Figures(
        object=share(right), motion=share(moving), early=share(moving[:32]), late=share(moving[-32:]), identity=share(same),
        colour_drift=drift(inks), ground_drift=drift(grounds),
        jerk=float(move.diff(dim=0).square().sum(-1).mean().sqrt()) / max(speed, 1e-6),
        seam=seam_ratio(clip, border), flicker=ground_flicker(clip, grounds),
    )  # fmt: skip


def share(truth: Tensor) -> float:
    return float(truth.float().mean())


def motion_right(track: Tensor, motion: str, fps: int) -> Tensor:
    """Mask of frames with the right direction and a speed of the world, averaged over neighbouring moves `(f,)` bool."""
    move = (track.diff(dim=0) + 0.5) % 1 - 0.5
    mean_move = torch.stack([move[max(0, f - AROUND // 2) : f + AROUND // 2].mean(0) for f in range(len(track))])
    direction = torch.tensor(MOTIONS[motion])
    along = mean_move @ direction
    slow, fast = (0.75 * SPEEDS[0] / fps, 1.25 * SPEEDS[1] / fps)
    return (along > 0.9 * mean_move.norm(dim=-1)) & (along > slow) & (along < fast)


def ink_and_ground(clip: Tensor) -> tuple[Tensor, Tensor]:
    """The mean of each frame's most saturated pixels, and the median of its least saturated half `(f, 3)` each."""
    pixels = clip.flatten(2).mT  # (f, hw, 3)
    order = (pixels.amax(-1) - pixels.amin(-1)).argsort(dim=1)
    ranked = pixels.gather(1, order[..., None].expand(-1, -1, 3))
    few = max(8, pixels.shape[1] // 40)
    return ranked[:, -few:].mean(1), ranked[:, : pixels.shape[1] // 2].median(1).values


def drift(colours: Tensor) -> float:
    blocks = torch.stack([block.mean(0) for block in colours.split(BLOCK)])
    return float((blocks[1:] - blocks[0]).norm(dim=-1).mean()) if len(blocks) > 1 else 0.0


def seam_ratio(clip: Tensor, border: int) -> float:
    apart = clip.diff(dim=0).abs().flatten(1).mean(1)  # (f - 1,)
    at_border = torch.arange(1, len(clip)) % border == 0
    return float(apart[at_border].mean() / apart[~at_border].mean().clamp(min=1e-9))


def ground_flicker(clip: Tensor, grounds: Tensor) -> float:
    """As `Figures.flicker`. grounds: colour of each frame's background `(f, 3)`."""
    inked = (clip - grounds[:, :, None, None]).abs().amax(1, keepdim=True) > NEAR
    inked = max_pool2d(inked.float(), 2 * AWAY + 1, 1, AWAY) > 0
    plain = ~(inked[1:] | inked[:-1])
    return float(255 * (clip.diff(dim=0).abs() * plain).sum() / (3 * plain.sum()).clamp(min=1))


SIGN = {
    "object": 1,
    "motion": 1,
    "late": 1,
    "identity": 1,
    "colour_drift": -1,
    "ground_drift": -1,
    "jerk": -1,
    "seam": -1,
    "flicker": -1,
}
"""Whether a higher value is better."""
OF_RIGHT_SHOTS = ("colour_drift", "ground_drift", "identity", "jerk", "seam")


def report(judged: dict[str, list[Figures]], calls: dict[str, float], strips: dict[str, Tensor], sheet: Path | None) -> None:
    """Prints one row per method, and each method's difference to the paper's setting with its 95 % interval."""
    names = [field.name for field in fields(Figures)]
    print("\n| method | windows per frame | shots | of them right | " + " | ".join(names) + " |\n|" + "---|" * (len(names) + 4))
    for method, shots in judged.items():
        good = [one for one in shots if one.motion >= RIGHT_ENOUGH]
        cells = []
        for name in names:
            counted = good if name in OF_RIGHT_SHOTS else shots
            cells.append(f"{mean(getattr(one, name) for one in counted):.3f}" if counted else "none")
        print(f"| {method} | {calls[method]:g} | {len(shots)} | {len(good)} | " + " | ".join(cells) + " |")
    if "paper" in judged:
        print("\nDifference to `paper`, 95 % interval over shots (bootstrap, paired); + is better:")
        for method, shots in judged.items():
            if method != "paper":
                print(f"| {method} | " + " | ".join(f"{n} {interval(judged['paper'], shots, n)}" for n in SIGN) + " |")
    if sheet:
        length = min(len(strip) for strip in strips.values())
        chosen = torch.linspace(0, length - 1, min(24, length)).long()
        contact_sheet([strip[chosen] for strip in strips.values()]).save(sheet, quality=88)
        print(f"{sheet}: rows {', '.join(strips)}; frames {chosen.tolist()}")


def interval(paper: list[Figures], other: list[Figures], name: str) -> str:
    pairs = [(a, b) for a, b in zip(paper, other, strict=True)]
    if name in OF_RIGHT_SHOTS:
        pairs = [(a, b) for a, b in pairs if min(a.motion, b.motion) >= RIGHT_ENOUGH]
    if len(pairs) < 2:
        return "too few"
    gains = [SIGN[name] * (getattr(b, name) - getattr(a, name)) for a, b in pairs]
    chance = random.Random(0)
    means = sorted(mean(chance.choices(gains, k=len(gains))) for _ in range(2000))
    return f"{means[50]:+.3f} to {means[1949]:+.3f}"
