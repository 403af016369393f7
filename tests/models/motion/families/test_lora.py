"""LoRAs for motion modules: merging, what fits, refusals."""

from pathlib import Path

import pytest
import torch
from layers import noise
from published_keys import animatediff
from safetensors.torch import save_file
from zoetrope.models.motion.families.animatediff.lora import factors_for, load_lora, lora_from, merged
from zoetrope.models.motion.families.animatediff.module import transformers
from zoetrope.models.motion.module import MotionModule

SITES = {"down.0.0.out": 32, "mid.attention": 64}


def small_motion(sites: dict[str, int]) -> MotionModule:
    shapes: dict[str, tuple[int, ...]] = {}
    for site, width in sites.items():
        shapes |= {f"{site}.norm.weight": (width,)}
        shapes |= {f"{site}.blocks.0.attentions.{n}.positions.pe": (1, 8, width) for n in (0, 1)}
    return MotionModule(transformers(shapes, "frame", torch.nn), 8).requires_grad_(False)


def small_lora(places: dict[str, int], rank: int = 2) -> dict[str, torch.Tensor]:
    tensors = {}
    for n, (place, width) in enumerate(places.items()):
        name = f"{place}.temporal_transformer.transformer_blocks.0.attention_blocks.1.processor.to_q_lora"
        tensors |= {f"{name}.down.weight": noise(rank, width, seed=n), f"{name}.up.weight": noise(width, rank, seed=n + 9)}
    return tensors


PLACES = {"down_blocks.0.motion_modules.0": 32, "mid_block.motion_modules.0": 64}


def test_merging_adds_the_scaled_product_to_a_copy() -> None:
    motion, tensors = small_motion(SITES), small_lora(PLACES)
    before = {key: value.clone() for key, value in motion.state_dict().items()}
    after = merged(motion, lora_from(tensors, "l"), -0.5).state_dict()
    key = "down.0.0.out.blocks.0.attentions.1.to_q.weight"
    place = "down_blocks.0.motion_modules.0.temporal_transformer.transformer_blocks.0.attention_blocks.1.processor.to_q_lora"
    product = tensors[f"{place}.up.weight"] @ tensors[f"{place}.down.weight"]
    assert torch.allclose(after[key], before[key] - 0.5 * product)
    changed = {key for key, value in after.items() if not torch.equal(value, before[key])}
    assert changed == {key, "mid.attention.blocks.0.attentions.1.to_q.weight"}
    assert all(torch.equal(value, before[key]) for key, value in motion.state_dict().items())


def test_v1_and_v3_have_no_mid_block_and_skip_its_part() -> None:
    lora = lora_from(small_lora(PLACES), "l")
    assert set(factors_for(small_motion({"down.0.0.out": 32}), lora)) == {"down.0.0.out.blocks.0.attentions.1.to_q.weight"}


@pytest.mark.parametrize(
    "places", [{"up_blocks.1.motion_modules.0": 32}, {"down_blocks.0.motion_modules.0": 64}, {"mid_block.motion_modules.0": 32}]
)
def test_a_lora_for_another_kind_of_module_is_refused(places: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"cam\.safetensors: this motion LoRA does not fit this motion module"):
        factors_for(small_motion({"down.0.0.out": 32}), lora_from(small_lora(places), "cam.safetensors"))


def test_half_a_pair_a_wrong_rank_and_other_files_are_refused(tmp_path: Path) -> None:
    tensors = small_lora(PLACES)
    down = next(key for key in tensors if ".down." in key)
    save_file({key: value for key, value in tensors.items() if key != down}, tmp_path / "half.safetensors")
    with pytest.raises(ValueError, match=r"half.safetensors: .*: expected a down and an up factor of one rank, got none and"):
        load_lora(tmp_path / "half.safetensors")
    with pytest.raises(ValueError, match="of one rank"):
        lora_from(tensors | {down: noise(3, 32)}, "l")
    save_file({"lora_unet_x.lora_down.weight": noise(2, 2)}, tmp_path / "still.safetensors")
    with pytest.raises(
        ValueError, match=r"still.safetensors: this is not a LoRA for AnimateDiff's motion modules but a LoRA .*Load LoRA"
    ):
        load_lora(tmp_path / "still.safetensors")
    module = {key: torch.zeros(1) for key in animatediff("v3")}
    with pytest.raises(ValueError, match="but a motion module .*load it with Load Motion Module"):
        lora_from(module, "mm")


def test_motion_directors_spelling_reaches_output_and_feed_forward() -> None:
    place = "down_blocks.0.motion_modules.0.temporal_transformer.transformer_blocks.0"
    tensors = {
        f"{place}.attention_blocks.0.to_out.processor.0_lora.down.weight": noise(2, 32),
        f"{place}.attention_blocks.0.to_out.processor.0_lora.up.weight": noise(32, 2),
        f"{place}.ff.net.0.processor.proj_lora.down.weight": noise(2, 32),
        f"{place}.ff.net.0.processor.proj_lora.up.weight": noise(256, 2),
    }
    found = factors_for(small_motion({"down.0.0.out": 32}), lora_from(tensors, "md"))
    assert set(found) == {
        "down.0.0.out.blocks.0.attentions.0.to_out.weight", "down.0.0.out.blocks.0.ff.proj_in.weight",
    }  # fmt: skip
