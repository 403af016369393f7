"""Motion modules in diffusers' UNet2DConditionModel: the golden UNets, strength, limits, and leaving no trace."""

import json
from pathlib import Path
from typing import Any

import golden
import parity
import pytest
import torch
from layers import diffusers_unet, error_of, motion_from, noise, own_motion
from zoetrope.hosts.diffusers.motion import motion_in, unet_places
from zoetrope.models.motion.families.animatediff.lora import lora_from, merged
from zoetrope.models.motion.module import MotionModule

TOLERANCE = 2e-5


@pytest.mark.parametrize(("path", "name"), golden.unet_cases())
@torch.inference_mode()
def test_whole_unet_gives_the_reference_output(path: Path, name: str) -> None:
    case = golden.unet_case(path, name)
    unet = diffusers_unet(case.layout)
    names = json.loads(golden.sibling(path, "cases", "names", ".json").read_text())
    unet.load_state_dict({names[key]: value for key, value in case.spatial.items()})
    arguments = (case.sample, case.timesteps, case.context)
    if not case.motion and not case.clip_norms:
        assert error_of(unet(*arguments).sample, case.output) < TOLERANCE
        return
    motion = golden.norms_alone(case)[0] if not case.motion else with_lora(unet, case, name)
    with motion_in(unet, motion, frames=case.frames):
        error = error_of(unet(*arguments).sample, case.output)
    assert parity.within("AnimateDiff", f"{path.stem} {name}", "diffusers", error, TOLERANCE)


def with_lora(unet: Any, case: golden.UNetCase, name: str) -> MotionModule:
    """The case's motion module, with its LoRA merged; a LoRA of the image model is added to the UNet's weights."""
    motion, report = motion_from(case.motion, name)
    assert report.variant.name == name.split(".")[1]
    if not case.lora:
        return motion
    lora = lora_from(case.lora, name)
    if not lora.spatial:
        return merged(motion, lora, case.lora_strength)
    weights = dict(unet.named_parameters())
    for key, down in lora.spatial.items():
        if ".down." in key:
            target = key.replace(".processor", "").replace("_lora.down", "").replace("to_out.", "to_out.0.")
            weights[target].data += case.lora_strength * lora.spatial[key.replace(".down.", ".up.")] @ down
    return motion


LAYOUT = {
    "model_channels": 32, "channel_mult": [1, 2], "num_res_blocks": [1, 1], "transformer_depth": [1, 0], "context_dim": 16,
    "num_heads": 4, "in_channels": 4, "out_channels": 4, "use_linear_in_transformer": False,
}  # fmt: skip


@pytest.fixture
def unet() -> Any:
    torch.manual_seed(0)
    return diffusers_unet(LAYOUT)


def sites(unet: Any) -> dict[str, int]:
    return unet_places(unet).widths


def call(unet: Any, frames: int = 4) -> torch.Tensor:
    context = noise(frames, 5, 16, seed=2)
    with torch.inference_mode():
        return unet(noise(frames, 4, 8, 8), torch.tensor(500), encoder_hidden_states=context).sample


def test_strength_0_is_the_image_model_bit_for_bit_and_1_is_not(unet: Any) -> None:
    motion, plain = own_motion(sites(unet)), call(unet)
    with motion_in(unet, motion, frames=4, strength=0.0):
        assert torch.equal(call(unet), plain)
    with motion_in(unet, motion, frames=4):
        assert (call(unet) - plain).abs().max() > 1e-3


def test_strength_grows_the_change_steadily(unet: Any) -> None:
    motion, plain = own_motion(sites(unet)), call(unet)
    changes = []
    for strength in (0.01, 0.1, 0.5, 1.0):
        with motion_in(unet, motion, frames=4, strength=strength):
            changes.append((call(unet) - plain).abs().mean().item())
    assert changes == sorted(changes)
    assert changes[0] < 0.05 * changes[-1]


def test_nothing_is_left_behind_even_after_an_error(unet: Any) -> None:
    motion, plain = own_motion(sites(unet)), call(unet)
    keys = list(unet.state_dict())
    with pytest.raises(RuntimeError, match="mine"), motion_in(unet, motion, frames=4):
        raise RuntimeError("mine")
    hooks = sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in unet.modules())
    assert hooks == 0
    assert list(unet.state_dict()) == keys
    assert torch.equal(call(unet), plain)


def test_two_clips_in_a_batch_do_not_see_each_other(unet: Any) -> None:
    motion = own_motion(sites(unet))
    x, text = noise(8, 4, 8, 8), noise(8, 5, 16, seed=2)
    with torch.inference_mode(), motion_in(unet, motion, frames=4):
        both = unet(x, torch.tensor(500), encoder_hidden_states=text).sample
        first = unet(x[:4], torch.tensor(500), encoder_hidden_states=text[:4]).sample
        second = unet(x[4:], torch.tensor(500), encoder_hidden_states=text[4:]).sample
    assert torch.allclose(both, torch.cat([first, second]), atol=1e-5)


def test_too_many_frames_are_refused_with_the_limit(unet: Any) -> None:
    motion = own_motion(sites(unet), frames=16)
    with motion_in(unet, motion, frames=0), pytest.raises(ValueError, match=r"16 frames, got a clip of 17"):
        call(unet, frames=17)


def test_a_batch_that_is_no_whole_number_of_clips_is_refused(unet: Any) -> None:
    with motion_in(unet, own_motion(sites(unet)), frames=3), pytest.raises(ValueError, match="whole clips of 3 frames"):
        call(unet, frames=4)


def test_a_module_for_another_unet_is_refused_by_name_and_width(unet: Any) -> None:
    wanted = sites(unet) | {"down.0.0.resnet": 320, "up.5.0.resnet": 64}
    message = r"up\.5\.0\.resnet: the UNet has no such place.*320 channels in the file, 32 in"
    with pytest.raises(ValueError, match=message), motion_in(unet, own_motion(wanted), frames=4):
        pass


def test_text_reaches_the_temporal_layers(unet: Any) -> None:
    """With spatial text attention silenced, only the temporal layers can tell two prompts apart."""
    motion = own_motion(sites(unet))
    for name, parameter in unet.named_parameters():
        if "attn2.to_out" in name:
            parameter.data.zero_()
    x, t = noise(4, 4, 8, 8), torch.tensor(500)
    with torch.inference_mode():
        plain = [unet(x, t, encoder_hidden_states=noise(4, 5, 16, seed=s)).sample for s in (2, 3)]
        with motion_in(unet, motion, frames=4):
            moved = [unet(x, t, encoder_hidden_states=noise(4, 5, 16, seed=s)).sample for s in (2, 3)]
    assert torch.equal(*plain)
    assert not torch.allclose(*moved, atol=1e-4)
