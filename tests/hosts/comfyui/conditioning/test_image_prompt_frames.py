"""Image prompts over frames and windows, digests of pictures, and what does not fit."""

from pathlib import Path
from typing import Any

import pytest
import torch
from layers import noise

pytestmark = pytest.mark.host


def test_cores_context_windows_count_the_frame_in_front_of_later_windows() -> None:
    """Newer hosts put an anchor before each window but the first."""
    from types import SimpleNamespace

    from zoetrope.hosts.comfyui.call import numbering

    later = SimpleNamespace(index_list=[4, 5, 6], causal_anchor_index=3, total_frames=8)
    assert numbering({"context_window": later}, 4) == ([3, 4, 5, 6], 8)
    first = SimpleNamespace(index_list=[0, 1, 2], causal_anchor_index=-1, total_frames=8)
    assert numbering({"context_window": first}, 3) == ([0, 1, 2], 8)
    assert numbering({"zoetrope.motion.0": {"frames": 2}}, 4) == ([0, 1, 0, 1], 2)
    assert numbering({"zoetrope.frames": [7, 8]}, 2) == ([7, 8], None)


def test_a_shot_knows_its_pictures_by_what_they_are(tiny: Any, base: Any, vision: Any, tmp_path: Path) -> None:
    """What a journal compares: the same picture is the same shot, another one, its strength or a guide is not."""
    from zoetrope.hosts.comfyui.conditioning.frame_guide import GuideImages, GuideSettings, apply_guide
    from zoetrope.hosts.comfyui.fingerprint import model_settings

    projector = tiny.projector(base)

    def settings(seed: int = 1, **more: Any) -> dict[str, str]:
        return model_settings(tiny.prompted(base, projector, vision, tiny.picture(seed=seed), **more))

    first = settings()
    assert settings() == first
    assert first != model_settings(base)
    for other in (settings(seed=2), settings(strength=0.5), settings(levels={"mid": 0.5})):
        assert [name for name in first if first[name] != other[name]] == ["image prompts"]
    motion = tiny.own_file(base, tmp_path / "m.safetensors", seed=1)
    latent, pictures = torch.zeros(4, 4, 8, 8), GuideImages(tiny.picture(), None)
    guided = model_settings(apply_guide(base, motion, tiny.PictureVae(), latent, pictures, GuideSettings()))
    again = model_settings(apply_guide(base, motion, tiny.PictureVae(), latent, pictures, GuideSettings()))
    assert guided == again
    assert [name for name, value in model_settings(base).items() if guided[name] != value] == ["given frames"]


@torch.inference_mode()
def test_dynamicrafters_tokens_go_to_their_frames_and_all_to_all_in_other_lengths(tiny: Any, base: Any, vision: Any) -> None:
    projector = tiny.projector(base, frames=4)
    patched = tiny.prompted(base, projector, vision, tiny.picture())
    own = patched.model_options["transformer_options"]["zoetrope.picture.0"]
    assert own["tokens"].shape == (1, 4, 4, 16)
    x, t, text = noise(4, 4, 8, 8), torch.full((4,), 500.0), noise(4, 7, 16)
    whole = tiny.call_unet(patched, x, t, text)
    kept = own["tokens"].clone()
    own["tokens"] = kept.clone()
    own["tokens"][:, 3] += 1
    changed = tiny.call_loaded_unet(patched, x, t, text)
    assert torch.equal(changed[:3], whole[:3])
    assert not torch.allclose(changed[3], whole[3], atol=1e-3)
    other = tiny.call_loaded_unet(patched, x[:3], t[:3], text[:3])
    own["tokens"] = kept
    assert not torch.allclose(other, tiny.call_loaded_unet(patched, x[:3], t[:3], text[:3]), atol=1e-3)


def test_alpha_and_size_do_not_matter(tiny: Any, base: Any, vision: Any) -> None:
    projector = tiny.projector(base)
    picture = tiny.picture(size=(32, 32))
    alpha = torch.cat([picture, torch.zeros(1, 32, 32, 1)], dim=-1)
    a, b = (
        tiny.prompted(base, projector, vision, one).model_options["transformer_options"]["zoetrope.picture.0"]["tokens"]
        for one in (picture, alpha)
    )
    assert torch.equal(a, b)
    for size in ((1, 1), (7, 900), (513, 31)):
        assert tiny.prompted(base, projector, vision, tiny.picture(size=size)) is not None


def test_what_does_not_fit_is_refused_with_both_sides_and_the_remedy(tiny: Any, base: Any, vision: Any, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="clip_vision: tiny.safetensors .* hidden_size is 24, this one's is 16"):
        tiny.prompted(base, tiny.projector(base, states=24), vision, tiny.picture())
    with pytest.raises(ValueError, match=r"image: expected at least one picture .* got \(0, 40, 56, 3\)"):
        tiny.prompted(base, tiny.projector(base), vision, tiny.picture()[:0])
    with pytest.raises(ValueError, match="image: expected pictures in RGB or RGBA, got 1 channels"):
        tiny.prompted(base, tiny.projector(base), vision, tiny.picture(channels=1))
    wider = tiny.model({**tiny.LAYOUT, "context_dim": 24})
    with pytest.raises(
        ValueError, match=r"does not fit this model: down.0.0.attention.0: 32 x 16 in the file, 32 x 24 in the UNet"
    ):
        tiny.prompted(wider, tiny.projector(base), vision, tiny.picture())
    with pytest.raises(ValueError, match="levels: the image projector has no layer at 'time'; it has layers at down.0.0"):
        tiny.prompted(base, tiny.projector(base), vision, tiny.picture(), levels={"time": 0.5})
    with pytest.raises(ValueError, match="expected 0 <= start <= end <= 1, got 0.5 and 0.2"):
        tiny.prompted(base, tiny.projector(base), vision, tiny.picture(), start=0.5, end=0.2)


@torch.inference_mode()
def test_open_clips_tower_and_the_hosts_say_the_same(tiny: Any, tmp_path: Path) -> None:
    """One set of weights in open_clip's class and, converted by the host, in the host's."""
    import comfy.clip_vision
    from open_clip.transformer import VisionTransformer
    from zoetrope.hosts.comfyui.conditioning.clip_vision import null_states, states
    from zoetrope.hosts.diffusers.image_prompt import null_states as open_null
    from zoetrope.hosts.diffusers.image_prompt import states_of
    from zoetrope.models.image_prompt.family import EncoderInput
    from zoetrope.models.image_prompt.pixels import pixels_of

    torch.manual_seed(3)
    tower = VisionTransformer(32, 8, 16, 3, 2, 4.0, output_dim=12).half().float().eval()  # the host keeps halves
    host = tiny.vision(tmp_path)
    weights = {f"visual.{key}": value.clone() for key, value in tower.state_dict().items()}
    missing, left = host.load_sd(dict(comfy.clip_vision.convert_to_transformers(weights, "visual.")))
    assert not missing
    assert not left
    images = tiny.picture(2)
    for look in (
        EncoderInput("embedding", True, "zero embedding"),
        EncoderInput("penultimate", True, "zero picture"),
        EncoderInput("last", False, "grey picture"),
    ):
        width = 12 if look.states == "embedding" else 16

        class Loaded:
            file = "x"

        Loaded.look, Loaded.states = look, width
        seen = states(host, images, Loaded)
        theirs = states_of(tower, pixels_of(images.movedim(-1, 1), 32, look.crop), look)
        assert (seen - theirs).abs().max() < 2e-4 * theirs.abs().max()
        assert (null_states(host, seen, Loaded) - open_null(tower, look, 32)).abs().max() < 1e-3
