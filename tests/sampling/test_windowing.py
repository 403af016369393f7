"""Windows over long clips: nothing lost, nothing twice, the same however long the clip is."""

from collections.abc import Iterator

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from zoetrope.sampling.windowing import TimeRatio, WindowSpec, blend, cut_stream, decode_stream, encode_stream

RATIOS = (TimeRatio(), TimeRatio(4, 1), TimeRatio(4, 4), TimeRatio(8, 1), TimeRatio(4, 1, 5))
"""Image and SVD; causal (CV-VAE, Wan); LVDM; LTX; Open-Sora 1.2."""


def numbers(count: int) -> Iterator[Tensor]:
    return (torch.tensor([float(n)]) for n in range(count))


def positions(ratio: TimeRatio) -> tuple:
    """Networks that turn a latent into the numbers of its frames, and frames into the number of their latent."""

    def decode(latents: Tensor) -> Tensor:
        first = ratio.start(int(latents[0]))
        return torch.arange(first, first + ratio.frames(len(latents)))[:, None].float()

    def encode(frames: Tensor) -> Tensor:
        count = ratio.latents(len(frames))
        assert ratio.frames(count) == len(frames), "only whole latents"
        first = next(n for n in range(1_000) if ratio.start(n) >= int(frames[0]))
        assert ratio.start(first) == int(frames[0]), "windows begin where a latent does"
        return torch.arange(first, first + count)[:, None].float()

    return decode, encode


@given(st.sampled_from(RATIOS), st.integers(1, 60), st.integers(1, 12), st.integers(0, 6), st.booleans())
@settings(max_examples=300, deadline=None)
def test_every_frame_comes_once_and_in_order(ratio: TimeRatio, latents: int, size: int, overlap: int, fade: bool) -> None:
    cut = WindowSpec(size, min(overlap, size // 2), fade)
    decode, _ = positions(ratio)
    frames = torch.cat(list(decode_stream(decode, numbers(latents), ratio, cut)))
    assert torch.equal(frames, torch.arange(ratio.frames(latents)).float())


@given(st.sampled_from(RATIOS), st.integers(1, 200), st.integers(1, 12), st.integers(0, 6), st.booleans())
@settings(max_examples=300, deadline=None)
def test_every_latent_comes_once_and_in_order(ratio: TimeRatio, frames: int, size: int, overlap: int, fade: bool) -> None:
    cut = WindowSpec(size, min(overlap, size // 2), fade)
    _, encode = positions(ratio)
    latents = torch.cat(list(encode_stream(encode, numbers(frames), ratio, cut)))
    assert torch.equal(latents, torch.arange(ratio.latents(frames)).float())


@pytest.mark.parametrize("ratio", RATIOS, ids=str)
def test_frames_and_latents_count_each_other(ratio: TimeRatio) -> None:
    for latents in range(1, 40):
        frames = ratio.frames(latents)
        assert ratio.latents(frames) == latents
        assert ratio.latents(frames + 1) == latents + 1
    assert (ratio.frames(0), ratio.latents(0)) == (0, 0)


def test_overlapping_windows_are_all_of_one_length() -> None:
    """What a network sees shapes what it makes, so the last window reaches back."""
    windows = list(cut_stream(numbers(15), WindowSpec(8, 2), TimeRatio()))
    assert [(start, len(items)) for start, items in windows] == [(0, 8), (6, 8), (7, 8)]
    assert [len(items) for _, items in cut_stream(numbers(15), WindowSpec(8, 0), TimeRatio())] == [8, 7]


def test_a_longer_clip_begins_as_the_shorter_one() -> None:
    def work(window: Tensor) -> Tensor:
        return window - window.mean(0, keepdim=True)

    shorter, longer = (torch.cat(list(decode_stream(work, numbers(n), TimeRatio(), WindowSpec(8, 2)))) for n in (50, 80))
    assert torch.equal(shorter[:36], longer[:36])


def test_the_join_takes_each_side_where_it_knows_more() -> None:
    before, after = torch.zeros(4, 1), torch.ones(4, 1)
    assert torch.allclose(blend(before, after, fade=True)[:, 0], torch.tensor([0.2, 0.4, 0.6, 0.8]))
    assert blend(before, after, fade=False)[:, 0].tolist() == [0, 0, 1, 1]
    assert blend(before[:3], after[:3], fade=False)[:, 0].tolist() == [0, 0, 1]


def test_no_more_than_two_windows_are_held() -> None:
    """Constant memory: frames leave as soon as no later window can change them."""
    asked = 0

    def source() -> Iterator[Tensor]:
        nonlocal asked
        for asked in range(1, 201):  # noqa: B007  read by the loop outside
            yield torch.zeros(1)

    for done, _ in enumerate(decode_stream(lambda x: x, source(), TimeRatio(), WindowSpec(8, 2)), 1):
        assert asked - done <= 2 * 8


@pytest.mark.parametrize(("size", "overlap"), [(0, 0), (4, 3), (4, -1)])
def test_a_cut_that_cannot_be_is_refused(size: int, overlap: int) -> None:
    with pytest.raises(ValueError, match="window|overlap"):
        WindowSpec(size, overlap)
