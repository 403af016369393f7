"""Motion modules against the original AnimateDiff code, one module at a time."""

from pathlib import Path

import golden
import pytest
import torch
from layers import clip_of, error_of, frames_first
from torch import nn
from zoetrope.models.families.animatediff import ANIMATEDIFF, transformer
from zoetrope.models.loading import motion_from

TOLERANCE = 2e-5  # golden/animatediff/README.md: a single module in float32

FILES = golden.claim("motion_module_v1*", "motion_module_v2*", "motion_module_v3*", unless=golden.AWAITED["every family"])


@pytest.mark.parametrize("path", FILES)
@torch.inference_mode()
def test_module_gives_the_reference_output(path: Path) -> None:
    tensors, _ = golden.read(path)
    published = {f"down_blocks.0.motion_modules.0.{k[2:]}": v for k, v in tensors.items() if k.startswith("w.")}
    motion, _ = motion_from(published, {}, path.name, 0)
    inputs = [key for key in tensors if key.startswith("input")]
    assert inputs
    for key in inputs:
        clip = clip_of(tensors[key].shape[2])
        out = motion.layer("down.0.0.out")(frames_first(tensors[key]), clip)
        assert error_of(out, tensors[key.replace("input", "output")]) < TOLERANCE, key


@pytest.mark.parametrize("path", FILES)
@torch.inference_mode()
def test_every_stage_gives_the_reference_activations(path: Path) -> None:
    """Where a file records activations: norm, proj_in, both attentions, feed-forward, proj_out, in that order."""
    tensors, _ = golden.read(path)
    published = {f"down_blocks.0.motion_modules.0.{k[2:]}": v for k, v in tensors.items() if k.startswith("w.")}
    layer = motion_from(published, {}, path.name, 0)[0].layer("down.0.0.out")
    block = layer.get_submodule("blocks.0")
    stages = {
        "norm": layer.get_submodule("norm"),
        "proj_in": layer.get_submodule("proj_in"),
        "attn0": block.get_submodule("attentions.0"),
        "attn1": block.get_submodule("attentions.1"),
        "ff": block.get_submodule("ff"),
        "proj_out": layer.get_submodule("proj_out"),
    }
    seen: dict[str, torch.Tensor] = {}
    for name, stage in stages.items():
        stage.register_forward_hook(lambda module, args, out, name=name: seen.__setitem__(name, out))
    b, _, f, h, w = tensors["input"].shape
    layer(frames_first(tensors["input"]), clip_of(f))
    for name, ours in seen.items():
        if (theirs := tensors.get(f"act.{name}")) is None:
            continue
        if name != "norm":  # ours: (b h w) f c; theirs: (b f) (h w) c
            ours = ours.reshape(b, h * w, f, -1).transpose(1, 2).reshape(theirs.shape)
        assert (ours - theirs).abs().max().item() < TOLERANCE, name


@pytest.mark.parametrize("path", golden.borrow("motion_module_sdxl_beta*"))
@torch.inference_mode()
def test_sdxl_betas_norm_spans_the_clip(path: Path) -> None:
    """One module alone does not show its three levels, so the scope that a whole file would be given is given here."""
    tensors, _ = golden.read(path)
    table = ANIMATEDIFF.key_table.ours
    prefix = "down_blocks.0.motion_modules.0."
    ours = {str(table(prefix + k[2:])): v for k, v in tensors.items() if k.startswith("w.")}
    layer = transformer("down.0.0.out", {k: tuple(v.shape) for k, v in ours.items()}, "clip", nn)
    layer.load_state_dict({k.removeprefix("down.0.0.out."): v for k, v in ours.items()})
    out = layer(frames_first(tensors["input"]), clip_of(tensors["input"].shape[2]))
    assert error_of(out, tensors["output"]) < TOLERANCE
