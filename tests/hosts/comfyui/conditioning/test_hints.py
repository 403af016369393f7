"""ControlNet hints of a video, of which only the frames in flight are in memory."""

from typing import Any

import pytest
import torch

pytestmark = pytest.mark.host


def pictures(count: int) -> torch.Tensor:
    """Values of 8 bits."""
    return (torch.rand(count, 3, 64, 64, generator=torch.Generator().manual_seed(3)) * 255).round() / 255


def test_stored_pictures_act_as_those_of_the_whole_clip(tiny: Any, base: Any) -> None:
    from zoetrope.hosts.comfyui.conditioning.hints import HintFrames, with_hints

    clip, hints = pictures(8), HintFrames()
    for number, picture in enumerate(clip):
        hints.add(number, picture)
    negative = tiny.text(seed=2)
    whole = tiny.text(control=tiny.controlnet().set_cond_hint(clip, 0.8), control_apply_to_uncond=True)
    any_picture = tiny.text(control=tiny.controlnet().set_cond_hint(clip[:1] * 0, 0.8), control_apply_to_uncond=True)
    streamed = tiny.denoised(base, with_hints(any_picture, hints), negative)
    assert torch.equal(streamed, tiny.denoised(base, whole, negative))
    assert not torch.allclose(streamed, tiny.denoised(base, any_picture, negative), atol=1e-3)
    assert len(any_picture[0][1]["control"].cond_hint_original) == 1, "the input is unchanged"


def test_padding_gets_the_reflected_pictures_and_old_ones_are_discarded() -> None:
    from zoetrope.hosts.comfyui.conditioning.hints import HintFrames

    clip, hints = pictures(6), HintFrames()
    for number, picture in enumerate(clip, 10):
        hints.add(number, picture)
    hints.end_at(16)
    assert torch.allclose(hints.at([14, 15, 16, 17]), clip[[4, 5, 4, 3]])
    hints.discard_before(14)
    with pytest.raises(KeyError):
        hints.at([13])
    hints.add(16, clip[0])  # the next scene
    assert torch.allclose(hints.at([15, 16]), clip[[5, 0]])


def test_without_a_control_net_or_with_several_it_is_refused(tiny: Any) -> None:
    from zoetrope.hosts.comfyui.conditioning.hints import HintFrames, with_hints

    with pytest.raises(ValueError, match="hints: the positive prompt has no ControlNet"):
        with_hints(tiny.text(), HintFrames())
    assert with_hints(tiny.text(), HintFrames(), needed=False)[0][1].get("control") is None
    chained = tiny.controlnet().set_cond_hint(pictures(1))
    chained.set_previous_controlnet(tiny.controlnet(8).set_cond_hint(pictures(1)))
    with pytest.raises(ValueError, match="several in a chain"):
        with_hints(tiny.text(control=chained), HintFrames())
