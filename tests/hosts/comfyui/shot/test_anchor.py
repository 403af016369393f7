"""The anchor of a long shot: its own finished frames as an image prompt, the same after every stop."""

from pathlib import Path
from typing import Any

import pytest
import torch
from host_shots import WINDOW, all_latents, guider_for, interrupting
from host_vaes import host_vae
from torch import Tensor

pytestmark = pytest.mark.host


@pytest.fixture
def anchor(tiny: Any, tmp_path: Path) -> Any:
    """anchor(**settings): with a random projector and image encoder."""
    from zoetrope.hosts.comfyui.conditioning.anchor import Anchor, AnchorSettings

    def make(**settings: Any) -> Any:
        return Anchor(tiny.projector(tiny.model()), tiny.vision(tmp_path), AnchorSettings(**settings))

    return make


def test_a_shot_is_as_without_an_anchor_until_its_block_is_finished(film: Any, anchor: Any) -> None:
    plain = all_latents(film(12, "plain")[0], 12)
    held = all_latents(film(12, "held", anchor=anchor(strength=1.0, frame=4, frames=4))[0], 12)
    assert torch.equal(held[:8], plain[:8])
    assert not torch.allclose(held[8:], plain[8:], atol=1e-3)
    off = all_latents(film(12, "off", anchor=anchor(strength=0.0))[0], 12)
    assert torch.equal(off, plain)


@pytest.mark.one_host
def test_the_model_gets_the_moving_average_of_the_blocks_tokens(
    film: Any, anchor: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from zoetrope.hosts.comfyui.conditioning.image_prompt import encode
    from zoetrope.hosts.comfyui.shot import anchor as module

    entries: list[Tensor] = []
    update = module.ShotAnchor.update

    def recorded(self: Any, frame: int, *args: Any) -> None:
        update(self, frame, *args)
        entry = self.inputs.guider.model_options["transformer_options"][self._key]
        entries.append(entry.get("tokens"))

    monkeypatch.setattr(module.ShotAnchor, "update", recorded)
    vae, made = host_vae("sd"), anchor(strength=0.7, frame=1, frames=2, refresh=0.25)
    shot, _ = film(16, vae=vae, anchor=made)
    latents = all_latents(shot, 16) / 0.18215
    with torch.inference_mode():
        pictures = vae.decode(latents)
        tokens = [
            encode(made.projector, made.vision, pictures[start : start + 2])[0].mean(0, keepdim=True) for start in (1, 6, 10)
        ]
    assert entries[0] is None
    first, second = tokens[0], 0.75 * tokens[0] + 0.25 * tokens[1]
    third = 0.75 * second + 0.25 * tokens[2]
    seen = [entry for entry in entries if entry is not None]
    for expected in (first, second, third):
        assert any(torch.allclose(entry, expected, atol=1e-5) for entry in seen)
    assert torch.allclose(seen[-1], third, atol=1e-5)
    assert (first - third).abs().max() > 1e-3


@pytest.mark.parametrize("refresh", [0.0, pytest.param(0.5, marks=pytest.mark.slow)])
def test_an_interrupted_or_longer_shot_has_the_bits_of_an_undisturbed_one(film: Any, anchor: Any, refresh: float) -> None:
    import comfy.model_management as management

    settings = {"strength": 1.0, "frames": 3, "refresh": refresh}
    whole = all_latents(film(18, "whole", anchor=anchor(**settings))[0], 18)
    for at in (WINDOW + 5, 2, 4):
        with pytest.raises(management.InterruptProcessingException):
            film(18, anchor=anchor(**settings), tell=interrupting(at))
    assert torch.equal(all_latents(film(18, anchor=anchor(**settings))[0], 18), whole)
    longer, reason = film(21, anchor=anchor(**settings))
    assert (reason, longer.resumed) == ([], 18)
    assert torch.equal(all_latents(longer, 18), whole)
    assert film(18, anchor=anchor(**{**settings, "frames": 2}))[1] == ["anchor"]


@pytest.mark.one_host
def test_a_guider_that_is_queued_again_has_one_anchor_only(film: Any, anchor: Any, tiny: Any, tmp_path: Path) -> None:
    guider, one = guider_for(tiny, tmp_path), anchor(strength=1.0)
    before = set(guider.model_options["transformer_options"])
    first = all_latents(film(9, "first", guider=guider, anchor=one)[0], 9)
    assert set(guider.model_options["transformer_options"]) == before
    assert torch.equal(all_latents(film(9, "second", guider=guider, anchor=one)[0], 9), first)


@pytest.mark.one_host
def test_anchors_that_cannot_be_are_refused(film: Any, anchor: Any) -> None:
    with pytest.raises(ValueError, match=r"anchor: this VAE makes 2 frames of each latent, but one latent per frame is needed"):
        film(8, vae=host_vae("cv_vae"), anchor=anchor())
    with pytest.raises(ValueError, match="frame: expected 0 or more, got -1"):
        anchor(frame=-1)
    with pytest.raises(ValueError, match="frames: expected 1 to 16, got 0"):
        anchor(frames=0)
    with pytest.raises(ValueError, match=r"refresh: expected 0 to 1, got 1\.5"):
        anchor(refresh=1.5)
