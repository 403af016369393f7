"""LVDM's own UNet against the original code, its transposed relative term included."""

from pathlib import Path
from typing import Any

import golden
import parity
import pytest
import torch
from layers import error_of, frames_first
from lvdm_unet import load_lvdm


@pytest.mark.parametrize("path", golden.claim("unet_lvdm_short*"))
@torch.inference_mode()
def test_whole_unet_gives_the_reference_output(path: Path) -> None:
    tensors, _ = golden.read(path)
    unet = load_lvdm({key[2:]: value for key, value in tensors.items() if key.startswith("w.")})
    frames = tensors["x"].shape[2]
    x = frames_first(tensors["x"])
    error = error_of(unet(x, tensors["timesteps"], frames), tensors["y"])
    assert parity.within("LVDM", path.stem, "core", error, 1e-4)
    per_frame = tensors["timesteps"].repeat_interleave(frames)
    assert error_of(unet(x, per_frame, frames), tensors["y"]) < 1e-4
    relative: Any = unet.get_submodule("middle.0.1.relative")
    relative.keys.data.zero_()
    assert error_of(unet(x, tensors["timesteps"], frames), tensors["y"]) > 1e-3


def test_other_files_are_refused_by_a_key() -> None:
    with pytest.raises(
        ValueError, match=r"expected LVDM's unconditional UNet, got keys such as model.diffusion_model.surprise"
    ):
        load_lvdm({"model.diffusion_model.surprise": torch.zeros(1)})
