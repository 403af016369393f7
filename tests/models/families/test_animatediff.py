"""AnimateDiff at full size: detection by keys, and key maps that lose nothing in either direction."""

import formats
import pytest
from published_keys import ANIMATEDIFF_MEMBERS, animatediff
from zoetrope.models.families import detect
from zoetrope.models.families.animatediff import ANIMATEDIFF
from zoetrope.models.loading import motion_from


@pytest.mark.parametrize("source", ["file list", "design"])
@pytest.mark.parametrize("member", ANIMATEDIFF_MEMBERS)
def test_full_size_keys_are_detected_mapped_and_mapped_back(member: str, source: str) -> None:
    tensors = animatediff(member) if source == "design" else formats.published(f"animatediff_{member}")
    count, table, norms = ANIMATEDIFF_MEMBERS[member]
    assert len(tensors) == count
    assert detect(tensors) is ANIMATEDIFF
    motion, report = motion_from(tensors, {}, "any name.safetensors", 0)  # strict: raises on missing or unexpected keys
    assert (report.variant.name, report.variant.max_frames, report.variant.spatial_norms) == (member, table, norms)
    assert report.fits == ("SD1.x", "SD2.x")
    assert {ANIMATEDIFF.key_table.published(key) for key in motion.state_dict()} == set(tensors)


def test_the_tables_two_directions_undo_each_other() -> None:
    for key in animatediff("v2"):
        ours = ANIMATEDIFF.key_table.ours(key)
        assert ours
        assert ANIMATEDIFF.key_table.published(ours) == key


def test_sdxl_beta_is_told_apart_by_its_levels_and_has_its_own_schedule_and_norms() -> None:
    motion, report = motion_from(formats.published("animatediff_sdxl_beta"), {}, "any name.ckpt", 0)
    assert (report.variant.name, report.fits, report.variant.max_frames) == ("SDXL beta", ("SDXL",), 32)
    assert report.variant.schedule
    assert (report.variant.schedule.curve, report.variant.schedule.end) == ("root", 0.020)
    assert getattr(motion.layer("down.0.0.out"), "scope") == "clip"  # noqa: B009


@pytest.mark.parametrize(
    "name", ["pia", "sparsectrl_rgb_v3", "hotshotxl", "animatelcm_i2v", "motion_lora_v2", "sd_vae_kl", "svd_xt"]
)
def test_relatives_and_strangers_are_not_taken_for_it(name: str) -> None:
    assert detect(formats.published(name)) is None
