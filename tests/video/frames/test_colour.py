"""Colours of one picture with the detail of another."""

from collections.abc import Iterator
from pathlib import Path

import golden
import parity
import pytest
import torch
from layers import noise
from zoetrope.video.frames.colour import adain, along, blur, blurred, carried, matched, wavelet


@pytest.mark.parametrize("path", golden.claim("color_fix*"))
def test_as_the_reference(path: Path) -> None:
    tensors, _ = golden.read(path)
    content, style = tensors["in.content"], tensors["in.style"]
    found = {
        "wavelet": wavelet(content, style), "adain": adain(content, style), "blur_r1": blur(content, 1),
        "blur_r8": blur(content, 8), "content_low": blurred(content), "content_high": content - blurred(content),
    }  # fmt: skip
    for name, out in found.items():
        error = (out - tensors[f"out.{name}"]).abs().max().item()
        assert parity.within("colour match", f"{path.stem} {name}", "core", error, 1e-5), name


def test_the_reference_may_be_of_another_size_and_have_fewer_frames() -> None:
    clip, style = noise(5, 3, 24, 32).sigmoid() * 0.2 + 0.4, noise(2, 3, 6, 8, seed=1).sigmoid() * 0.2 + 0.3
    for method in ("wavelet", "adain"):
        out = along(clip, style, method)
        assert out.shape == clip.shape
        assert (out[4:].mean((2, 3)) - style[1:].mean((2, 3))).abs().max() < 0.02
        assert (out[:1].mean((2, 3)) - style[:1].mean((2, 3))).abs().max() < 0.02
        assert torch.equal(out[3:4], matched(clip[3:4], style[1:], method))


def test_a_clip_matched_to_itself_stays_and_flat_pictures_are_no_trouble() -> None:
    clip, flat = noise(2, 3, 16, 16).sigmoid(), torch.full((2, 3, 16, 16), 0.25)
    assert (matched(clip, clip, "wavelet") - clip).abs().max() < 1e-6
    assert (matched(clip, clip, "adain") - clip).abs().max() < 1e-5
    assert (matched(flat, clip, "adain").mean((2, 3)) - clip.mean((2, 3))).abs().max() < 1e-5


def test_a_steady_match_leaves_grain_behind_and_keeps_to_its_scene() -> None:
    large = torch.full((30, 3, 64, 64), 0.5)
    clean = torch.full((30, 3, 16, 16), 0.4)
    clean[15:] = 0.9
    small = clean + 0.1 * noise(30, 3, 16, 16)
    pairs = list(zip(large, small, strict=True))
    steady, plain = (torch.stack(list(carried(pairs, method))) for method in ("steady", "wavelet"))
    assert steady.shape == large.shape
    assert (steady[1:15] - steady[:14]).abs().mean() < 0.3 * (plain[1:15] - plain[:14]).abs().mean()
    assert (steady[:15].mean((1, 2, 3)) - 0.4).abs().max() < 0.02
    assert (steady[15:].mean((1, 2, 3)) - 0.9).abs().max() < 0.02
    assert torch.equal(torch.stack(list(carried(pairs[:1], "steady")))[0], torch.stack(list(carried(pairs[:1], "wavelet")))[0])
    assert list(carried([], "steady")) == []


def test_a_steady_match_takes_a_few_frames_ahead_and_no_more() -> None:
    taken: list[int] = []

    def pairs() -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        for n in range(40):
            taken.append(n)
            yield torch.full((3, 32, 32), 0.5), torch.full((3, 8, 8), 0.4)

    ahead = [len(taken) - number for number, _ in enumerate(carried(pairs(), "steady"))]
    assert len(ahead) == 40
    assert max(ahead) == 5


def test_refusals() -> None:
    with pytest.raises(ValueError, match="method: expected one of wavelet, adain, got 'magic'"):
        matched(noise(1, 3, 8, 8), noise(1, 3, 8, 8), "magic")
    with pytest.raises(ValueError, match="reference: expected a picture or more"):
        along(noise(1, 3, 8, 8), noise(0, 3, 8, 8), "adain")
    with pytest.raises(ValueError, match="of one size"):
        wavelet(noise(1, 3, 8, 8), noise(1, 3, 8, 9))
