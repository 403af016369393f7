"""AnimateDiff at full size, from the layout alone: members are told apart, and key maps lose nothing in either direction."""

import pytest
from layers import motion_from
from published_keys import ANIMATEDIFF_MEMBERS, TABLE, animatediff
from zoetrope.models.motion.families import detect
from zoetrope.models.motion.families.animatediff.module import ANIMATEDIFF


@pytest.mark.parametrize("member", ANIMATEDIFF_MEMBERS)
def test_members_made_from_the_design_are_detected_and_mapped_back(member: str) -> None:
    tensors = animatediff(member)
    count, length, norms = ANIMATEDIFF_MEMBERS[member]
    assert len(tensors) == count
    assert detect(tensors) is ANIMATEDIFF
    motion, report = motion_from(tensors, "any name.safetensors")  # strict: raises on missing or unexpected keys
    assert (report.variant.name, report.variant.max_frames, report.variant.clip_norms) == (member, length, norms)
    assert motion.clip_norms == norms
    assert report.fits == ("SD1.x",)
    assert {TABLE.published(key) for key in motion.state_dict()} == set(tensors)


def test_the_tables_two_directions_undo_each_other() -> None:
    for key in animatediff("v2"):
        ours = TABLE.ours(key)
        assert ours
        assert TABLE.published(ours) == key


def test_a_file_saved_with_its_image_unet_gives_its_motion_module() -> None:
    """PIA's published file may hold the whole fine-tuned UNet."""
    import torch

    extra = {"down_blocks.0.resnets.0.norm1.weight": (320,), "up_blocks.3.attentions.2.proj_out.bias": (320,)}
    extra |= {"down_blocks.3.resnets.1.conv2.bias": (1280,), "conv_norm_out.bias": (320,)}
    tensors = animatediff("v3") | {key: torch.empty(shape, device="meta") for key, shape in extra.items()}
    motion, report = motion_from(tensors, "whole.ckpt")
    assert dict(report.parts) == {"unet": 4}
    assert len(motion.state_dict()) == 560
