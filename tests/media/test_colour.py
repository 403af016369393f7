"""Colours of one picture with the detail of another."""

from pathlib import Path

import golden
import parity
import pytest
import torch
from layers import noise
from zoetrope.media.colour import adain, along, blur, blurred, matched, wavelet


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


def test_refusals() -> None:
    with pytest.raises(ValueError, match="method: expected one of wavelet, adain, got 'magic'"):
        matched(noise(1, 3, 8, 8), noise(1, 3, 8, 8), "magic")
    with pytest.raises(ValueError, match="reference: expected a picture or more"):
        along(noise(1, 3, 8, 8), noise(0, 3, 8, 8), "adain")
    with pytest.raises(ValueError, match="of one size"):
        wavelet(noise(1, 3, 8, 8), noise(1, 3, 8, 9))
