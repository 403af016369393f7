"""Windows at every step, one frame at a time in and out."""

from collections.abc import Iterator
from pathlib import Path

import golden
import parity
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from layers import noise
from torch import Tensor
from zoetrope.sampling.diffusion import spaced_sigmas
from zoetrope.sampling.stream import euler_stream
from zoetrope.sampling.upscale import WINDOWS, X4_SIGMAS, late_steps, low_res_noised
from zoetrope.sampling.windowing import WindowSpec

SIGMAS = torch.tensor([8.0, 3.0, 1.0, 0.0])


def model(x: Tensor, sigma: float, numbers: range) -> Tensor:
    """Frames see each other, their neighbours' number, the level, and what goes along."""
    mean = x[:, :2].mean(0, keepdim=True).tanh()
    count = torch.tensor(list(numbers)).reshape(-1, 1, 1, 1)
    return 0.3 * x[:, :2] + 0.5 * mean + 0.1 * x[:, 2:4] + 0.01 * count / (1 + sigma)


def windows_of(frames: int, cut: WindowSpec) -> list[tuple[int, int]]:
    """(first frame, end) of every window of a clip, by the plain definition."""
    onwards = cut.size - cut.overlap
    if frames <= cut.size:
        return [(0, frames)] if frames else []
    starts = [*range(0, frames - cut.size, onwards), frames - cut.size if cut.overlap else None]
    if starts[-1] is None:  # nothing shared: the last window is what is left
        starts[-1] = starts[-2] + onwards
    return [(start, min(start + cut.size, frames)) for start in starts]


def whole_clip(x: Tensor, sigmas: Tensor, cut: WindowSpec) -> Tensor:
    """The same averaged over the whole clip at each step, by the plain definition."""
    spans = windows_of(len(x), cut)
    x = x.clone()
    for now, after in zip(sigmas[:-1].tolist(), sigmas[1:].tolist(), strict=True):
        clean, filled = torch.zeros_like(x[:, :2]), 0
        for start, end in spans:
            made = model(x[start:end], now, range(start, end))
            kept = min(filled - start, cut.overlap) if filled else 0
            for n in range(kept):  # the last frames that the window before made
                frame = filled - kept + n
                clean[frame] = torch.lerp(clean[frame], made[frame - start], (n + 1) / (kept + 1))
            clean[filled:end] = made[filled - start :]
            filled = end
        x[:, :2] += (x[:, :2] - clean) * (after - now) / now
    return x


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 40), st.integers(1, 9), st.data())
def test_the_chain_is_the_whole_clip_averaged_at_every_step(frames: int, size: int, data: st.DataObject) -> None:
    cut = WindowSpec(size, data.draw(st.integers(0, size // 2)))
    x = noise(frames, 4, 2, 3, seed=frames) * 8
    out = torch.stack(list(euler_stream(model, x, SIGMAS, cut)))
    assert out.shape == x.shape
    assert torch.allclose(out, whole_clip(x, SIGMAS, cut), atol=1e-4)
    assert torch.equal(out[:, 2:], x[:, 2:])


def test_no_window_is_run_twice_and_frames_are_taken_when_they_are_needed() -> None:
    seen: list[tuple[int, int, float]] = []
    taken: list[int] = []

    def source() -> Iterator[Tensor]:
        for n in range(1000):
            taken.append(n)
            yield noise(4, 2, 2, seed=n)

    def work(x: Tensor, sigma: float, numbers: range) -> Tensor:
        seen.append((numbers[0], len(x), sigma))
        return model(x, sigma, numbers)

    cut = WindowSpec(8, 2)
    stream = euler_stream(work, source(), SIGMAS, cut)
    ahead = []
    for number, _ in enumerate(stream):
        ahead.append(len(taken) - number)
    assert len(seen) == len(set(seen)) == 3 * 167
    assert max(ahead) <= 3 * 8 + 1
    assert {length for _, length, _ in seen} == {8}


@pytest.mark.parametrize("path", golden.claim("uav_windows*"))
def test_windows_are_upscale_a_videos_without_the_repeated_one(path: Path) -> None:
    """Where it averages half and half, ours is a ramp that adds up to one; what it runs twice, ours runs once."""
    tensors, _ = golden.read(path)
    for key in (key for key in tensors if key.startswith("out.windows_")):
        frames = int(key.rpartition("_")[2])
        theirs = list(dict.fromkeys(tuple(span) for span in tensors[key].int().tolist()))
        assert seen_of(frames) == theirs
        counted = tensors[f"out.weights_{frames}"]
        weights = torch.stack([share_of(frames, span) for span in theirs], dim=1)
        assert torch.allclose(weights.sum(1), torch.ones(frames))
        alone = (counted > 0).sum(1) == 1
        assert torch.equal(weights[alone][:, : len(theirs)].max(1).values, torch.ones(int(alone.sum())))


def seen_of(frames: int) -> list[tuple[int, int]]:
    """The windows that a clip is really shown in."""
    seen: list[tuple[int, int]] = []

    def work(x: Tensor, sigma: float, numbers: range) -> Tensor:
        seen.append((numbers[0], numbers[-1] + 1))
        return x

    list(euler_stream(work, torch.zeros(frames, 1, 1, 1), torch.tensor([1.0, 0.0]), WINDOWS))
    return seen


def share_of(frames: int, span: tuple[int, int]) -> Tensor:
    """How much one window counts for each frame: what comes out where it alone says 1."""

    def work(x: Tensor, sigma: float, numbers: range) -> Tensor:
        return torch.full_like(x, float((numbers[0], numbers[-1] + 1) == span))

    zeros = torch.zeros(frames, 1, 1, 1)
    return torch.stack(list(euler_stream(work, zeros, torch.tensor([1.0, 0.0]), WINDOWS))).flatten()


@pytest.mark.parametrize("path", golden.claim("x4_lowres_noise*"))
def test_small_pictures_are_noised_as_published(path: Path) -> None:
    tensors, _ = golden.read(path)
    kept = 1 / (1 + X4_SIGMAS.double() ** 2)
    assert (kept - tensors["out.alphas_cumprod"]).abs().max() < 1e-6
    image, drawn = (tensors[f"in.{name}"][0].movedim(1, 0) for name in ("image", "noise"))
    for key in (key for key in tensors if key.startswith("out.noised_")):
        level = torch.full((len(image),), int(key.rpartition("_")[2]))
        out = low_res_noised(image, drawn, level)
        error = (out - tensors[key][0].movedim(1, 0)).abs().max().item()
        assert parity.within("SD x4 upscaler", f"{path.stem} {key}", "core", error, 1e-6)


def test_steps_that_follow_a_flow_are_those_of_the_paper() -> None:
    sigmas = torch.arange(30, -1, -1).float()
    assert late_steps(sigmas) == [30.0 - step for step in (24, 26, 28)]
    assert late_steps(torch.tensor([2.0, 1.0, 0.0])) == [2.0]
    assert late_steps(torch.tensor([1.0, 0.0])) == []
    assert all(1.0 not in late_steps(torch.arange(steps, -1, -1).float()) for steps in range(2, 40))  # never the very last


def test_refusals() -> None:
    with pytest.raises(ValueError, match="sigmas: expected two or more, falling"):
        euler_stream(model, noise(3, 4, 2, 2), torch.tensor([1.0, 2.0]), WindowSpec(4))
    assert list(euler_stream(model, [], SIGMAS, WindowSpec(4))) == []
    assert len(spaced_sigmas(7, X4_SIGMAS)) == 8
