"""Film damage: exact masks, and the same damage in every part of a film."""

from dataclasses import fields, replace

import pytest
import torch
from demo_jobs import world
from torch import Tensor
from zoetrope.video.damage.film import VISIBLE_DUST, VISIBLE_LINES, DamagedFrame, damaged, damaged_frame
from zoetrope.video.damage.marks import dust
from zoetrope.video.damage.medium import offset_at, shifted
from zoetrope.video.damage.scratches import LONGEST, SHORTEST, lines_at
from zoetrope.video.damage.settings import PRESETS, FilmDamage

ALL = replace(PRESETS["all kinds"], dust=20.0, blotches=1.0)


def clip(frames: int = 12, size: int = 64) -> Tensor:
    return world(frames, fps=8, size=size, background="grey")


def run(frames: Tensor, damage: FilmDamage, seed: int = 3, first: int = 0) -> list[DamagedFrame]:
    return list(damaged(frames, damage, seed, first))


def test_a_part_of_a_film_has_the_damage_of_the_whole_film() -> None:
    frames = clip()
    whole, part = run(frames, ALL), run(frames[5:8], ALL, first=5)
    for one, other in zip(whole[5:8], part, strict=True):
        assert torch.equal(one.picture, other.picture)
        assert torch.equal(one.mask, other.mask)
        assert one.offset == other.offset
    assert not torch.equal(whole[5].picture, run(frames, ALL, seed=4)[5].picture)
    assert torch.equal(run(frames[:2], ALL, first=-1)[1].picture, run(frames[1:2], ALL)[0].picture), "frames before 0 too"


def test_masks_are_exactly_the_pixels_that_dust_and_lines_change() -> None:
    damage = replace(ALL, compression=0.0)
    seen_dust = seen_lines = 0
    for number, frame in enumerate(clip(16)):
        both, lined = (damaged_frame(frame, one, 7, number) for one in (damage, replace(damage, dust=0.0, blotches=0.0)))
        plain = damaged_frame(frame, replace(damage, dust=0.0, blotches=0.0, lines=0.0), 7, number)
        assert torch.equal(both.dust, (both.picture - lined.picture).abs().amax(0) > VISIBLE_DUST)
        assert torch.equal(both.lines, (lined.picture - plain.picture).abs().amax(0) > VISIBLE_LINES)
        assert torch.equal(both.undamaged, plain.picture)
        assert torch.equal(both.picture[:, ~both.mask], both.picture[:, ~(both.dust | both.lines)])
        seen_dust, seen_lines = seen_dust + int(both.dust.sum()), seen_lines + int(both.lines.sum())
    assert seen_dust > 500
    assert seen_lines > 500


def test_nothing_is_the_input_bit_for_bit_and_each_kind_changes_it() -> None:
    frame = clip(1)[0]
    assert torch.equal(damaged_frame(frame, FilmDamage(), 1, 0).picture, frame)
    assert FilmDamage().changes_nothing
    for one in fields(FilmDamage):
        amount = {"dust": 40.0, "lines": 40.0, "blotches": 40.0, "blur": 4.0, "bleed": 4.0}.get(one.name, 0.3)
        changed = damaged_frame(frame, FilmDamage(**{one.name: amount}), 1, 0)
        assert not torch.equal(changed.picture, frame), one.name
        assert 0 <= changed.picture.min() <= changed.picture.max() <= 1
        assert bool(changed.mask.any()) == (one.name in ("dust", "lines", "blotches")), one.name


def test_the_density_of_dust_does_not_depend_on_the_size_of_the_picture() -> None:
    def covered(size: tuple[int, int]) -> float:
        shares = [sum(float(opacity.mean()) for opacity, _ in dust(1, frame, 6.0, size)) for frame in range(40)]
        return sum(shares) / len(shares)

    small, large, tall = covered((96, 128)), covered((384, 512)), covered((192, 128))
    assert 0.6 < small / large < 1.6
    assert 0.6 < tall / large < 1.6


def test_lines_stay_and_wander() -> None:
    counts = [len(list(lines_at(seed, 300, 3.0))) for seed in range(400)]
    assert 2.5 < sum(counts) / len(counts) < 3.5
    here, there = list(lines_at(5, 500, 3.0)), list(lines_at(5, 501, 3.0))
    same = [(one, other) for one in here for other in there if one.tilt == other.tilt]
    assert same
    for one, other in same:
        assert one.position != other.position
        assert abs(one.position - other.position) < 2 / 256
        assert one.amplitude == other.amplitude
    first = next(frame for frame in range(400, 900) if any(line.tilt == here[0].tilt for line in lines_at(5, frame, 3.0)))
    lives = sum(any(line.tilt == here[0].tilt for line in lines_at(5, frame, 3.0)) for frame in range(first, first + 250))
    assert SHORTEST <= lives <= LONGEST


def test_the_offset_is_that_of_the_picture() -> None:
    frame = clip(1, 96)[0]
    one = damaged_frame(frame, FilmDamage(weave=4.0), 2, 0)
    inside = (slice(None), slice(16, -16), slice(16, -16))
    assert (one.picture - shifted(frame, *one.offset))[inside].abs().max() < 0.12
    offsets = torch.tensor([offset_at(2, number, 1.0, "camera") for number in range(400)])
    assert 0.9 < float(offsets.std()) < 1.3


def test_amounts_are_checked_and_multiplied() -> None:
    half = PRESETS["old film"].times(dust=0.5, fading=9.0, compression=2.0)
    assert half.dust == 3.0
    assert half.fading == 1.0
    assert half.compression == 0.0
    for amount in (-1.0, 1e9):
        with pytest.raises(ValueError, match="dust: expected 0 to 1000, got"):
            FilmDamage(dust=amount)
    with pytest.raises(ValueError, match="8x8 pixels or more, got 64x4"):
        damaged_frame(torch.zeros(3, 4, 64), FilmDamage(), 0, 0)
