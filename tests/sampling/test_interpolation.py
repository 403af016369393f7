"""Frames in between: which are given, what they are numbered, what comes back."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import golden
import golden_video
import pytest
import torch
from layers import noise
from torch import Tensor
from zoetrope.models.motion.frame_guide import LAVIE_INTERPOLATION, GivenLatents, pack
from zoetrope.sampling.interpolation import InterpolationSpec, fill, takes
from zoetrope.sampling.noise import FrameNoise

SIGMAS = torch.tensor([5.0, 2.0, 0.0])


def asked(keys: int, plan: InterpolationSpec, first: int = 0) -> tuple[list[tuple[list[int], list[int]]], Tensor]:
    """(frames, given frames) of every call, and the result of a model that says 1."""
    calls = []

    def filler(x: Tensor, sigma: float, numbers: Sequence[int], given: Mapping[int, Tensor]) -> Tensor:
        calls.append((list(numbers), sorted(given)))
        return torch.ones_like(x)

    latents = noise(keys, 4, 2, 2, seed=keys)
    out = torch.stack(list(fill(filler, iter(latents), plan, SIGMAS, FrameNoise(3, (4, 2, 2)), first)))
    assert torch.equal(out[:: plan.factor], latents)  # bit for bit
    made = torch.arange(len(out)) % plan.factor != 0
    assert (out[made] - 1).abs().max() < 1e-5
    return calls, out


def test_keys_stand_where_they_belong_and_come_back_to_the_bit() -> None:
    calls, out = asked(9, InterpolationSpec(4, 16))
    assert len(out) == 33
    assert len(calls) == 2 * 4
    for numbers, given in calls:
        assert len(numbers) == 13
        assert given == [number for number in numbers if number % 4 == 0]
        assert numbers[0] % 4 == numbers[-1] % 4 == 0
    shifted, _ = asked(3, InterpolationSpec(4, 16), first=40)
    assert shifted[0] == (list(range(40, 49)), [40, 44, 48])


def test_ends_only_windows_go_from_key_to_key() -> None:
    calls, _ = asked(4, InterpolationSpec(5, 16, ends=True))
    assert [numbers for numbers, _ in calls][:3] != []
    assert {tuple(given) for _, given in calls} == {(0, 5), (5, 10), (10, 15)}


def test_plans() -> None:
    assert (InterpolationSpec(4, 61).cut.size, InterpolationSpec(4, 61).steps) == (61, 15)
    assert InterpolationSpec(4, 16).cut.overlap == 5
    assert InterpolationSpec(4, 16, shared=0).cut.overlap == 1
    assert InterpolationSpec(15, 16).cut == InterpolationSpec(15, 16, ends=True).cut
    assert [InterpolationSpec(4, 16).frames(keys) for keys in (0, 1, 2, 5)] == [0, 1, 5, 17]
    with pytest.raises(ValueError, match="factor: expected at most 15"):
        InterpolationSpec(16, 16)
    with pytest.raises(ValueError, match="with 1 there is no frame in between"):
        InterpolationSpec(1, 16)


@pytest.mark.parametrize("path", golden.borrow("lavie_interp_unet*"))
def test_lavies_key_frames_are_copied_as_published(path: Path) -> None:
    tensors, _ = golden.read(path)
    assert torch.equal(golden_video.interpolation_pack(tensors), tensors["out.packed"])
    keys = {frame: torch.full((4, 1, 1), float(frame)) for frame in range(0, 61, 4)}
    copied = pack(LAVIE_INTERPOLATION, GivenLatents(keys), range(61))[:, 0, 0, 0]
    assert copied.tolist() == tensors["out.key_index_of_frame"].tolist()
    given = (tensors["out.tsr_mask"] == 0).nonzero().flatten().tolist()
    assert given == list(keys)


def test_takes_are_read_one_after_another_and_never_ahead_by_more_than_a_frame() -> None:
    taken: list[int] = []

    def source() -> Iterator[Tensor]:
        for n in range(12):
            taken.append(n)
            yield torch.tensor([float(n // 5)])

    lengths = []
    for part in takes(source(), lambda a, b: bool(a != b)):
        count = 0
        for _ in part:
            count += 1
            assert len(taken) <= sum(lengths) + count + 1
        lengths.append(count)
    assert lengths == [5, 5, 2]
    skipped = [next(part).item() for part in takes(source(), lambda a, b: bool(a != b))]  # unread rests are passed over
    assert skipped == [0.0, 1.0, 2.0]
    assert list(takes([], lambda a, b: True)) == []


@pytest.mark.parametrize("clip", [16, 61])
def test_every_factor_that_a_clip_allows_can_be_cut(clip: int) -> None:
    for factor in range(2, clip):
        plan = InterpolationSpec(factor, clip)
        assert plan.cut.size <= clip
        assert plan.cut.size % factor == plan.cut.overlap % factor == 1
