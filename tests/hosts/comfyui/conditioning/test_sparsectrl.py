"""SparseCtrl in the real ComfyUI."""

from pathlib import Path
from typing import Any

import golden
import parity
import pytest
import torch
from einops import rearrange, repeat
from given_frames import square
from layers import clip_of
from torch import Tensor

pytestmark = pytest.mark.host

SPARSE = golden.claim("unet_tiny_sparsectrl_*")


@pytest.mark.parametrize("path", SPARSE)
@torch.inference_mode()
def test_sparsectrl_gives_the_reference_residuals_and_the_unet_its_output(tiny: Any, path: Path) -> None:
    import comfy.ops
    from zoetrope.hosts.comfyui.call import host_attention
    from zoetrope.hosts.comfyui.conditioning.sparsectrl import SparseNetwork
    from zoetrope.models.layers.temporal import TemporalContext
    from zoetrope.models.motion.families.animatediff.sparsectrl import sparsectrl_from
    from zoetrope.models.motion.loading import take_apart

    tensors, header = golden.read(path)
    scale = float(header["conditioning_scale"])
    weights = {key[2:]: value for key, value in tensors.items() if key.startswith("w.")}
    network = SparseNetwork(sparsectrl_from(weights, path.name, comfy.ops.manual_cast), torch.float32)
    frames = tensors["sample"].shape[2]

    def rows(name: str) -> Tensor:
        return rearrange(tensors[name], "b c f h w -> (b f) c h w")

    hint = torch.cat([rows("controlnet_cond"), rows("conditioning_mask")], dim=1)
    steps = repeat(tensors["timestep"], "b -> (b f)", f=frames).float()
    text = repeat(tensors["encoder_hidden_states"], "b n d -> (b f) n d", f=frames)
    clip = TemporalContext(frames, 1.0, None, host_attention({}), size=(8, 8))
    found = network(rows("sample"), hint, steps, text, clip)
    residuals = [
        *((f"down_residual.{n:02d}", out) for n, out in enumerate(found["output"])),
        ("mid_residual", found["middle"][0]),
    ]
    for name, out in residuals:
        error = (scale * out - rows(name)).abs().max().item()
        assert parity.within("SparseCtrl", f"{path.stem} {name}", tiny.NAME, error, 1e-4)
    cases = golden.sibling(path, path.stem.removeprefix("unet_tiny_"), "cases")
    case = golden.unet_case(cases, "out.v3")
    motion = take_apart(golden.member_weights(cases, "v3"), {}, "v3", 0)
    patched = tiny.applied(tiny.model(case.layout, case.spatial), tiny.host_motion(motion.motion, motion.report), 1.0, frames)
    tiny.load_unet(patched)
    options = {**patched.model_options["transformer_options"], "wrappers": patched.wrappers, "cond_or_uncond": [0]}
    control = {kind: [scale * out for out in outputs] for kind, outputs in found.items()}
    out = patched.model.diffusion_model(rows("sample"), steps, context=text, control=control, transformer_options=options)
    error = (out - rows("unet_v3_out_with_residuals")).abs().max().item()
    assert parity.within("SparseCtrl", f"{path.stem} unet_v3_out_with_residuals", tiny.NAME, error, 1e-4)
    tiny.unload()


def sparse_file(tiny: Any, path: Path, kind: str) -> Path:
    """The golden network's weights as a file, cut to the tiny UNet's width of text."""
    found = [parameter.values[0] for parameter in SPARSE if parameter.values[0] and kind in parameter.values[0].stem]
    if not found:
        pytest.skip("there is no golden SparseCtrl here")
    from safetensors.torch import save_file

    tensors, _ = golden.read(found[0])
    weights = {key[2:]: value.contiguous() for key, value in tensors.items() if key.startswith("w.")}
    save_file(weights, path)
    return path


@pytest.mark.parametrize("kind", ["rgb", "scribble"])
def test_apply_controlnet_takes_it_and_pictures_stand_on_their_frames(tiny: Any, tmp_path: Path, kind: str) -> None:
    from zoetrope.hosts.comfyui.conditioning.sparsectrl import load

    model = tiny.model({**tiny.LAYOUT, "context_dim": 32})
    path = str(sparse_file(tiny, tmp_path / "s.safetensors", kind))
    image = square(tiny, 2)

    def control(frames: str, image: Tensor = image, **more: Any) -> Any:
        vae = tiny.PictureVae() if kind == "rgb" else None
        return load(path, frames).copy().set_cond_hint(image.movedim(-1, 1), **{"strength": 1.0, "vae": vae, **more})

    def sample(control: Any, frames: int = 6) -> Tensor:
        told = [[tiny.text(width=32)[0][0], {"control": control, "control_apply_to_uncond": True}]]
        return tiny.sample(model, frames, positive=told, negative=tiny.text(seed=2, width=32))

    plain = tiny.sample(model, 6, positive=tiny.text(width=32), negative=tiny.text(seed=2, width=32))
    spread, named = sample(control("")), sample(control("0, 5"))
    assert torch.equal(spread, named)
    assert not torch.allclose(spread, plain, atol=1e-3)
    assert not torch.allclose(spread, sample(control("0, 2")), atol=1e-3)
    assert torch.allclose(sample(control("", strength=0.0)), plain, atol=1e-5)
    hint = control("1, 4")._hint(torch.zeros(6, 4, 8, 8), list(range(6)), 6)
    assert hint[:, -1].amax((1, 2)).tolist() == [0, 1, 0, 0, 1, 0]
    assert bool((hint[[0, 2, 3, 5]] == 0).all())
    with pytest.raises(ValueError, match="expected a number for each of 2 pictures, got 3"):
        sample(control("0, 1, 2"))
    with pytest.raises(ValueError, match="has positions for 32 frames, got a clip of 36"):
        sample(control("0, 5"), 36)
    from zoetrope.hosts.comfyui.fingerprint import digest

    used = control("0, 5")
    before = digest(used)
    sample(used)
    assert digest(used) == before, "a run leaves nothing of itself in what a shot is made of"
    if kind == "rgb":
        with pytest.raises(ValueError, match="connect the checkpoint's VAE to Apply ControlNet too"):
            sample(control("", vae=None))
    tiny.unload()


def test_a_copy_for_another_gpu_has_temporal_layers_of_its_own(tiny: Any, tmp_path: Path) -> None:
    """Newer hosts deep-copy a ControlNet's network for each GPU."""
    import copy

    from zoetrope.hosts.comfyui.conditioning.sparsectrl import load

    network = load(str(sparse_file(tiny, tmp_path / "s.safetensors", "scribble")), "").control_model
    copied = copy.deepcopy(network)
    x, hint = torch.zeros(4, 4, 8, 8), torch.rand(4, 4, 64, 64)
    inputs = {"timesteps": torch.full((4,), 500.0), "context": torch.rand(4, 7, 32), "clip": clip_of(4, 1.0)}
    expected = network(x, hint, **inputs)["middle"][0]
    assert torch.equal(copied(x, hint, **inputs)["middle"][0], expected)
    for parameter in copied.motion.parameters():
        parameter.data.zero_()
    assert torch.equal(network(x, hint, **inputs)["middle"][0], expected)
    assert not torch.equal(copied(x, hint, **inputs)["middle"][0], expected)
