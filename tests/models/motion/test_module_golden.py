"""Motion modules against the original AnimateDiff code, one module at a time."""

from dataclasses import replace
from pathlib import Path

import golden
import parity
import pytest
import torch
from layers import clip_of, error_of, frames_first, motion_from
from zoetrope.models.layers.temporal import TemporalLayer

TOLERANCE = 2e-5  # golden/animatediff/README.md: a single module in float32

FILES = golden.claim("motion_module_v1*", "motion_module_v2*", "motion_module_v3*", unless=("motion_module_v1_controls*",))


@pytest.mark.parametrize("path", FILES)
@torch.inference_mode()
def test_module_gives_the_reference_output(path: Path) -> None:
    tensors, _ = golden.read(path)
    published = {f"down_blocks.0.motion_modules.0.{k[2:]}": v for k, v in tensors.items() if k.startswith("w.")}
    motion, _ = motion_from(published, path.name)
    inputs = [key for key in tensors if key.startswith("input")]
    assert inputs
    for key in inputs:
        clip = clip_of(tensors[key].shape[2])
        out = motion.layer("down.0.0.out")(frames_first(tensors[key]), clip)
        error = error_of(out, tensors[key.replace("input", "output")])
        assert parity.within("AnimateDiff", path.stem, "core", error, TOLERANCE), key


@pytest.mark.parametrize("path", FILES)
@torch.inference_mode()
def test_every_stage_gives_the_reference_activations(path: Path) -> None:
    """Where a file records activations: norm, proj_in, both attentions, feed-forward, proj_out, in that order."""
    tensors, _ = golden.read(path)
    published = {f"down_blocks.0.motion_modules.0.{k[2:]}": v for k, v in tensors.items() if k.startswith("w.")}
    layer = motion_from(published, path.name)[0].layer("down.0.0.out")
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


@pytest.mark.parametrize("path", golden.claim("motion_module_sdxl_beta*", "motion_module_hotshotxl*"))
@torch.inference_mode()
def test_sdxls_modules_give_the_reference_output(path: Path) -> None:
    """A file is known as SDXL's by its three levels, so the one module of the golden file is put at each of them."""
    tensors, _ = golden.read(path)
    name = "temporal_attentions" if "hotshot" in path.stem else "motion_modules"
    layer = {k[2:]: v for k, v in tensors.items() if k.startswith("w.")}
    published = {f"down_blocks.{n}.{name}.0.{k}": v for n in range(3) for k, v in layer.items()}
    motion, report = motion_from(published, path.name)
    assert report.family == ("hotshotxl" if "hotshot" in path.stem else "animatediff")
    for level in range(3):
        out = motion.layer(f"down.{level}.0.out")(frames_first(tensors["input"]), clip_of(tensors["input"].shape[2]))
        title = "Hotshot-XL" if report.family == "hotshotxl" else "AnimateDiff"
        assert parity.within(title, path.stem, "core", error_of(out, tensors["output"]), TOLERANCE)


def controls_of(path: Path) -> tuple[dict[str, torch.Tensor], TemporalLayer]:
    """The controls' file and the module whose weights and input it was computed with, which lie in the file beside it."""
    tensors = golden.read(golden.sibling(path, "_controls", ""))[0] | golden.read(path)[0]
    published = {f"down_blocks.0.motion_modules.0.{k[2:]}": v for k, v in tensors.items() if k.startswith("w.")}
    return tensors, motion_from(published, path.name)[0].layer("down.0.0.out")


@pytest.mark.parametrize("path", golden.claim("motion_module_v1_controls*"))
@torch.inference_mode()
def test_amount_and_strength_are_the_controls_people_know(path: Path) -> None:
    """`scale` multiplies keys: a number, one per attention, or a mask; `effect` blends the module: a number or a mask."""
    tensors, layer = controls_of(path)
    x = frames_first(tensors["input"])
    clip = clip_of(tensors["input"].shape[2])
    seen = 0
    for key, expected in tensors.items():
        _, _, name = key.partition("output_")
        kind, _, value = name.partition("_")
        if kind == "scale":
            numbers = tuple(float(part) for part in value.removeprefix("list_").split("_") if part != "mask")
            amount = tensors["scale_mask"] if value == "mask" else numbers if len(numbers) != 1 else float(value)
            told = replace(clip, amount=amount)
        elif kind == "effect":
            told = replace(clip, strength=tensors["effect_mask"] if value == "mask" else float(value))
        else:
            continue
        seen += 1
        assert parity.within("AnimateDiff", path.stem, "core", error_of(layer(x, told), expected), TOLERANCE), key
    assert seen >= 4


@pytest.mark.parametrize("path", golden.borrow("motion_module_v1_controls*"))
@torch.inference_mode()
def test_slices_of_pixels_do_not_change_a_masked_amount(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from zoetrope.models.layers import temporal

    tensors, layer = controls_of(path)
    b, _, f, _, _ = tensors["input"].shape
    monkeypatch.setattr(temporal, "WIDEST_ON_CPU", b * f * 8 * layer.channels * 7)  # 7 pixels at a time
    told = replace(clip_of(f), amount=tensors["scale_mask"])
    assert error_of(layer(frames_first(tensors["input"]), told), tensors["output_scale_mask"]) < TOLERANCE
