"""Which models take a level per frame, and what is said of the others."""

from typing import Any

import pytest
import torch

pytestmark = pytest.mark.host

ONE_LEVEL = "takes one noise level per clip"
REFUSED = {
    "WAN21_Vace": (ONE_LEVEL, "Use the Wan 2.1 text-to-video model"),
    "WAN21_Camera": (ONE_LEVEL, "Use the Wan 2.1 text-to-video model"),
    "WAN22_Camera": (ONE_LEVEL, "Use the Wan 2.1 text-to-video model"),
    "WAN21_HuMo": ("bound to the frames of one clip", "Use Wan 2.1 text to video"),
    "WAN22_S2V": ("bound to the frames of one clip", "Use Wan 2.1 text to video"),
    "WAN22_Animate": ("bound to the frames of one clip", "Use Wan 2.1 text to video"),
    "WAN21_CausalAR_T2V": ("block after block with a cache", "Use core's sampler"),
    "WAN21_SCAIL": ("is not one of the video models", "Models that work"),
    "CosmosT2V": (ONE_LEVEL, "Use Cosmos Predict2 Video2World"),
    "CosmosI2V": (ONE_LEVEL, "Use Cosmos Predict2 Video2World"),
    "CogVideoX_T2V": (ONE_LEVEL, "Use Wan 2.1 text to video"),
    "GenmoMochi": (ONE_LEVEL, "Use Wan 2.1 text to video"),
    "HunyuanVideo": (ONE_LEVEL, "Use Wan 2.1 text to video"),
    "HunyuanVideoI2V": (ONE_LEVEL, "Use Wan 2.1 text to video"),
    "HunyuanVideo15": (ONE_LEVEL, "Use Wan 2.1 text to video"),
    "LTXAV": ("the sound's noise levels are not supported", "Use LTX-Video"),
}
"""Configuration class of the host -> parts of the message; newer hosts have all of them."""
OLDEST = {"WAN21_Vace", "WAN21_Camera", "WAN22_Camera", "WAN21_HuMo", "WAN22_S2V", "WAN22_Animate", "CosmosT2V", "CosmosI2V",
          "GenmoMochi", "HunyuanVideo", "HunyuanVideoI2V"}  # fmt: skip


def refused(cls: str) -> str:
    import comfy.supported_models as supported
    from zoetrope.hosts.comfyui.dit.model import dit_of

    config = getattr(supported, cls)({"disable_unet_model_creation": True})
    with pytest.raises(ValueError, match=r"^model: \w+ cannot make a long shot: ") as error:
        dit_of(_Patcher(config.get_model({}, "", device=torch.device("cpu"))))
    return str(error.value)


class _Patcher:
    def __init__(self, base: Any):
        self.model = base
        if not hasattr(base, "diffusion_model"):
            base.diffusion_model = torch.nn.Identity()


def test_every_refused_model_of_this_host_is_refused_with_a_reason_and_a_remedy(dits: Any) -> None:
    here = [cls for cls in REFUSED if hasattr(dits.supported, cls)]
    assert set(here) >= OLDEST
    for cls in here:
        message = refused(cls)
        assert all(part in message for part in REFUSED[cls]), message


def test_pictures_to_concatenate_and_models_of_single_pictures_are_refused(dits: Any) -> None:
    from zoetrope.hosts.comfyui.dit.model import dit_of

    i2v = dits.built("WAN21_I2V", {**dits.WAN, "model_type": "i2v", "in_dim": 36, "out_dim": 16})
    with pytest.raises(ValueError, match="it needs a picture at the head of every clip"):
        dit_of(i2v)
    control = dits.built("WAN21_FunControl2V", {**dits.WAN, "in_dim": 48, "out_dim": 16})
    with pytest.raises(ValueError, match="its conditions are bound to the frames of one clip"):
        dit_of(control)
    with pytest.raises(ValueError, match="trained on single pictures. Use Cosmos Predict2 Video2World"):
        dit_of(dits.built("CosmosT2IPredict2", {**dits.COSMOS, "in_channels": 16}))


def test_supported_models_and_image_models(dits: Any, base: Any) -> None:
    from zoetrope.hosts.comfyui.dit.model import dit_of

    names = {name: dit_of(dits.model(name)) for name in dits.MODELS}
    assert {name: dit.name for name, dit in names.items() if dit} == {
        "wan21": "Wan text to video", "wan22": "Wan 2.2 5B", "ltxv": "LTX-Video", "cosmos": "Cosmos Predict2 Video2World",
    }  # fmt: skip
    assert dit_of(base) is None


@pytest.mark.parametrize(
    ("added", "message"),
    [
        ({"control": object()}, "a ControlNet does not work"),
        ({"start_percent": 0.2}, "needs one noise level per clip"),
        ({"reference_latents": [torch.zeros(1)]}, "belongs to frames of one clip"),
    ],
)
@pytest.mark.one_host
def test_conditions_of_one_clip_are_refused(added: dict[str, Any], message: str) -> None:
    from zoetrope.hosts.comfyui.dit.conditions import check_conditions

    with pytest.raises(ValueError, match=message):
        check_conditions({"positive": [{}], "negative": [added]})
    check_conditions({"positive": [{"start_percent": 0.0, "end_percent": 1.0}], "negative": None})


@pytest.mark.one_host
def test_first_frames_of_latents() -> None:
    from zoetrope.hosts.comfyui.dit.conditions import first_frames, prompt_frames

    assert first_frames([-2, -1, 0, 1, 2, 3], 4) == [-8, -4, 0, 1, 5, 9]
    assert prompt_frames([0, 1, 5, 9, 13, 17], 3) == [1, 13]
