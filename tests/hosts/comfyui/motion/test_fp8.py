"""Files in fp8 through the host: what comes out is what the same numbers in float32 give."""

from pathlib import Path
from typing import Any

import golden
import pytest
import torch
from layers import own_motion
from safetensors.torch import save_file
from small_files import ip_adapter, lora, vae
from torch import Tensor

pytestmark = pytest.mark.host
FP8 = torch.float8_e4m3fn


def both(tensors: dict[str, Tensor], folder: Path) -> tuple[str, str]:
    """The tensors in fp8, and the same numbers in float32."""
    narrow = {key: value.to(FP8).contiguous() for key, value in tensors.items()}
    save_file(narrow, folder / "narrow.safetensors")
    save_file({key: value.float() for key, value in narrow.items()}, folder / "wide.safetensors")
    return str(folder / "narrow.safetensors"), str(folder / "wide.safetensors")


def test_a_motion_module(tiny: Any, base: Any, comfyui: Any, tmp_path: Path) -> None:
    files = both(dict(own_motion(tiny.widths_of(base)).state_dict()), tmp_path)
    plain = tiny.sample(base)
    narrow, wide = (tiny.sample(tiny.applied(base, comfyui.load(file))) for file in files)
    assert torch.allclose(narrow, wide, atol=1e-4)
    assert not torch.allclose(narrow, plain, atol=1e-2)


def test_a_lora_on_a_motion_module(comfyui: Any, tmp_path: Path) -> None:
    from mangled import sound
    from zoetrope.models.motion.families.animatediff.lora import lora_from

    files = both(sound(), tmp_path)
    key = "down.0.0.out.blocks.0.attentions.0.to_q.weight"
    for file in files:
        motion = comfyui.with_lora(comfyui.load(file), lora_from(lora(), "l", {"ss_network_alpha": "1"}), 1.0)
        motion.patcher.patch_model()
        pair = lora_from(lora(), "l").factors[key]
        before = comfyui.load(file).patcher.model.state_dict()[key].float()
        change = motion.patcher.model.state_dict()[key].float() - before
        assert torch.allclose(change, 0.5 * pair[1] @ pair[0], atol=0.3 if "narrow" in file else 1e-4)
        motion.patcher.unpatch_model()


def test_a_projector(tiny: Any, tmp_path: Path) -> None:
    from zoetrope.hosts.comfyui.conditioning.image_prompt import load

    states, made = torch.randn(2, 1, 6, generator=torch.Generator().manual_seed(0)), []
    for file in both(ip_adapter(), tmp_path):
        network = load(file).loaded.network
        with torch.inference_mode():
            tokens = network.projector(states)
            made.append(network.image.at("mid.attention.0").to_k(tokens))
    assert torch.allclose(*made, atol=1e-5)


def test_a_vae(tiny: Any, tmp_path: Path) -> None:
    from zoetrope.hosts.comfyui.vae.from_file import load_temporal_vae

    latents = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    narrow, wide = (load_temporal_vae(file).decode(latents) for file in both(vae(), tmp_path))
    assert torch.allclose(narrow, wide, atol=2e-2)


@pytest.mark.parametrize("path", golden.claim("unet_tiny_sparsectrl_rgb*"))
def test_a_sparsectrl(tiny: Any, tmp_path: Path, path: Path) -> None:
    from zoetrope.hosts.comfyui.conditioning.sparsectrl import load

    tensors, _ = golden.read(path)
    model = tiny.model({**tiny.LAYOUT, "context_dim": 32})
    made = []
    for file in both({key[2:]: value for key, value in tensors.items() if key.startswith("w.")}, tmp_path):
        control = load(file, "0").copy().set_cond_hint(tiny.picture(1).movedim(-1, 1), strength=1.0, vae=tiny.PictureVae())
        told = [[tiny.text(width=32)[0][0], {"control": control, "control_apply_to_uncond": True}]]
        made.append(tiny.sample(model, 3, positive=told, negative=tiny.text(seed=2, width=32)))
    plain = tiny.sample(model, 3, positive=tiny.text(width=32), negative=tiny.text(seed=2, width=32))
    assert torch.allclose(*made, atol=2e-2)
    assert not torch.allclose(made[0], plain, atol=0.1)
