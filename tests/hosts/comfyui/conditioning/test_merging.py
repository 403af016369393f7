"""Tokens merged across frames in the host: the golden UNet, ordinary samplers, windows, queues, other nodes."""

import logging
from pathlib import Path
from typing import Any

import golden
import parity
import pytest
import torch
from golden_layers import weights_of
from golden_merging import FIRST_TWO_LEVELS, unet_calls

pytestmark = pytest.mark.host


def merged(model: Any, **settings: Any) -> Any:
    from zoetrope.hosts.comfyui.conditioning.merging import MergeSettings, merge_across_frames

    return merge_across_frames(model, MergeSettings(**settings))[0]


def cut(model: Any, schedule: str = "moving borders", window: int = 4, **more: Any) -> Any:
    from zoetrope.hosts.comfyui.sampling.windows import in_windows
    from zoetrope.sampling.windows import Windows

    return in_windows(model, Windows(schedule, window, 2, **more))


class Everywhere(dict[Any, Any]):
    """A function of another pack in place of every attention."""

    def __contains__(self, key: object) -> bool:
        return True

    def __getitem__(self, key: Any) -> Any:
        from comfy.ldm.modules.attention import optimized_attention

        return lambda q, k, v, extra: optimized_attention(q, k, v, extra["n_heads"])


@pytest.mark.parametrize("path", golden.borrow("vidtome_unet"))
@torch.inference_mode()
def test_the_hosts_own_unet_against_vidtomes(tiny: Any, path: Path) -> None:
    import golden_video
    from zoetrope.hosts.comfyui.unet import unet_places
    from zoetrope.models.edits.merging import TokenMerging
    from zoetrope.models.formats.ldm import diffusers_table

    tensors, header = golden.read(path)
    c = golden.config(header)
    weights = weights_of(tensors)
    widths = c["block_out_channels"]
    layout = golden_video.layout(
        widths[0], [width // widths[0] for width in widths], c["layers_per_block"], [True] * 3,
        context_dim=c["cross_attention_dim"], num_heads=c["attention_head_dim"], use_linear_in_transformer=False,
    )  # fmt: skip
    renamed, _ = diffusers_table(weights).rename(weights)
    spatial = {key.removeprefix("unet:"): value for key, value in renamed.items()}
    unet = tiny.model(layout, spatial, groups=c["norm_num_groups"]).model.diffusion_model
    for replaced in ({}, {"patches_replace": {"attn1": Everywhere()}}):
        edit = TokenMerging()
        edit.install(None, unet_places(unet))
        for name, inputs, (x, time, text) in unet_calls(tensors, c):
            edit.acted.clear()
            edit.give(inputs)
            out = unet(x, time.expand(len(x)).float(), context=text, transformer_options=dict(replaced))
            error, tolerance = (out - tensors[f"out.{name}.out"]).abs().max().item(), 2e-4 * out.abs().max().item()
            what = f"{path.stem} {name}{', attention replaced' if replaced else ''}"
            assert parity.within("Tokens merged across frames", what, tiny.NAME, error, tolerance)
            assert edit.acted == FIRST_TWO_LEVELS
        edit.remove()


def test_steps_outside_the_range_and_no_levels_are_the_model_bit_for_bit(tiny: Any, base: Any) -> None:
    plain, out = tiny.sample(base), tiny.sample(merged(base))
    assert bool(out.isfinite().all())
    assert not torch.allclose(out, plain, atol=1e-3)
    assert torch.equal(tiny.sample(merged(base, levels=0)), plain)
    assert torch.equal(tiny.sample(merged(base, end=0.0)), plain)
    assert torch.equal(tiny.sample(merged(base, start=1.0)), plain)
    assert not torch.equal(tiny.sample(merged(base, start=0.5)), plain)
    assert torch.equal(tiny.sample(base), plain)
    tiny.unload()
    assert tiny.hooks_in(base) == 0


def test_a_run_that_merges_logs_no_warning(tiny: Any, base: Any, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        tiny.sample(merged(base))
        assert not caplog.messages
        tiny.sample(merged(base).clone(), steps=1)
        assert not caplog.messages
        odd = merged(base)
        odd.model_options["transformer_options"]["zoetrope.merged.0"]["levels"] = 0
        tiny.sample(odd)
    assert [line for line in caplog.messages if "has merged no tokens" in line]


def test_draws_are_those_of_the_seed_the_step_and_the_frames(tiny: Any, base: Any) -> None:
    from zoetrope.hosts.comfyui.conditioning.merging import drawn

    out = tiny.sample(merged(base, seed=1))
    assert torch.equal(tiny.sample(merged(base, seed=1)), out)
    assert not torch.equal(tiny.sample(merged(base, seed=2)), out)
    several = [drawn(*key) for key in ((1, 0, (0, 1)), (2, 0, (0, 1)), (1, 1, (0, 1)), (1, 0, (1, 2)), (1, 0, (-1, 0)))]
    assert len({tuple(one) for one in several}) == 5
    assert all(0 <= number < 1 for one in several for number in one)
    assert drawn(1, 0, [0, 1]) == several[0]


def test_halves_of_the_guidance_come_out_alike_in_one_call_and_in_two(tiny: Any, base: Any) -> None:
    """Sliding Windows calls the model for each half by itself."""
    assert torch.allclose(tiny.sample(cut(merged(base))), tiny.sample(merged(base)), atol=1e-4)


def test_motion_modules_before_and_after(tiny: Any, base: Any, motion: Any) -> None:
    out = tiny.sample(merged(tiny.applied(base, motion, own_schedule=False)))
    assert torch.equal(tiny.sample(tiny.applied(merged(base), motion, own_schedule=False)), out)
    assert not torch.allclose(out, tiny.sample(merged(base)), atol=1e-3)
    two = tiny.sample(merged(tiny.applied(base, motion, frames=4, own_schedule=False)), frames=8)  # two clips in one batch
    assert torch.allclose(two[:4], tiny.sample(merged(tiny.applied(base, motion, own_schedule=False))), atol=0.5)
    assert two.shape[0] == 8


def test_image_prompts_and_controlnets_act_as_well(tiny: Any, base: Any, vision: Any) -> None:
    prompted = tiny.prompted(merged(base), tiny.projector(base), vision, tiny.picture())
    assert not torch.allclose(tiny.sample(prompted), tiny.sample(merged(base)), atol=1e-3)
    hint = torch.rand(4, 3, 64, 64, generator=torch.Generator().manual_seed(3))
    control = {"control": tiny.controlnet().set_cond_hint(hint, 1.0), "control_apply_to_uncond": True}
    guided = tiny.sample(merged(base), positive=tiny.text(**control), negative=tiny.text(seed=2, **control))
    assert not torch.allclose(guided, tiny.sample(merged(base)), atol=1e-3)


def test_nodes_that_call_the_model_once_more_leave_tokens_of_windows_alone(tiny: Any, base: Any) -> None:
    """Of PAG's further call the answer is used; tokens of other windows are those of the ordinary calls."""
    from other_nodes import PATCHES

    for node in ("Perturbed-Attention Guidance", "Self-Attention Guidance"):
        level = {"levels": 1}  # Self-Attention Guidance reads the middle block
        out = tiny.sample(PATCHES[node](cut(merged(base, **level), "standard_static")), frames=6)
        assert torch.equal(tiny.sample(cut(merged(PATCHES[node](base), **level), "standard_static"), frames=6), out)
        assert bool(out.isfinite().all())
        assert not torch.allclose(out, tiny.sample(cut(merged(base, **level), "standard_static"), frames=6), atol=1e-3)


def test_token_merging_of_core_is_refused_and_hypertile_has_no_effect(
    tiny: Any, base: Any, caplog: pytest.LogCaptureFixture
) -> None:
    from other_nodes import PATCHES

    for model in (PATCHES["Token Merging"](merged(base)), merged(PATCHES["Token Merging"](base))):
        with pytest.raises(ValueError, match="Merge Across Frames and Token Merging both merge tokens"):
            tiny.sample(model)
    with caplog.at_level(logging.WARNING):
        tiled = tiny.sample(PATCHES["HyperTile"](merged(base)))
    assert torch.equal(tiled, tiny.sample(merged(base)))
    assert any("HyperTile has no effect" in line for line in caplog.messages)


def test_self_attention_guidance_is_refused_where_the_middle_block_merges(tiny: Any, base: Any) -> None:
    from other_nodes import PATCHES

    guided = PATCHES["Self-Attention Guidance"]
    options = merged(base, levels=8).model_options["transformer_options"]
    (middle,) = (own["depth"] for key, own in options.items() if str(key).startswith("zoetrope.merged"))
    tiny.sample(guided(merged(base, levels=middle - 1)))
    for model in (guided(merged(base, levels=middle)), merged(guided(base), levels=8)):
        with pytest.raises(ValueError, match="Self-Attention Guidance measures the attention of each frame"):
            tiny.sample(model)


def test_attention_to_other_frames_is_refused(tiny: Any, base: Any) -> None:
    from types import SimpleNamespace

    from zoetrope.models.motion.module import MotionModule

    variant = SimpleNamespace(frames=4, schedule=None, notes=(), guide=None)
    report = SimpleNamespace(file="f", name="LaVie interpolation", fits=(), variant=variant)
    lavie = tiny.host_motion(MotionModule({}, None, sparse_causal=True), report)
    from zoetrope.hosts.comfyui.conditioning.shared_attention import SharedSettings, apply_shared
    from zoetrope.models.edits.frame_table import FrameTable

    looking, _ = apply_shared(merged(base), SharedSettings(FrameTable("first frame")))
    with pytest.raises(ValueError, match="Merge Across Frames and Look Across Frames both change the self-attentions"):
        tiny.sample(looking)
    with pytest.raises(ValueError, match=r"Merge Across Frames: the motion module on this MODEL \(LaVie interpolation\)"):
        tiny.sample(merged(tiny.applied(base, lavie, own_schedule=False)))


def test_what_cannot_merge_is_refused_in_words(tiny: Any, base: Any) -> None:
    with pytest.raises(ValueError, match=r"expected a clip of 2 or more frames, got a latent of 1.*batch_size"):
        tiny.sample(merged(base), frames=1)
    with pytest.raises(ValueError, match="has Merge Across Frames already"):
        merged(merged(base))
    for settings, message in (
        ({"ratio": 1.5}, "local_merge_ratio: expected 0 to 1, got 1.5"), ({"window_ratio": -1}, "global_merge_ratio: expected"),
        ({"group": 1}, "group: expected 2 or more frames, got 1"), ({"start": 0.6, "end": 0.5}, "start and end"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=message):
            merged(base, **settings)
    deep = tiny.model(tiny.LAYOUT | {"transformer_depth": [0, 1], "transformer_depth_output": [0, 0, 1, 1]})
    with pytest.raises(ValueError, match=r"levels: expected 2 or more, got 1. The finest self-attention .* is at level 2"):
        merged(deep, levels=1)


def test_the_settings_are_those_of_a_shot(base: Any) -> None:
    from zoetrope.hosts.comfyui.fingerprint import model_settings

    plain, one, same, other = (model_settings(model) for model in (base, merged(base), merged(base), merged(base, seed=3)))
    assert one == same
    assert {name for name in one if one[name] != other[name]} == {"merged tokens"}
    assert set(one) - set(plain) == {"merged tokens"}


def test_the_node_reports_how_many_attentions_merge(tiny: Any, base: Any) -> None:
    from zoetrope.nodes.restyle import MergeAcrossFrames

    model, report = MergeAcrossFrames.execute(base, 0.9, 0.8, 1, 4, 0).args
    assert report == "3 of 4 self-attentions merge tokens of different frames (levels up to 1)"
    assert torch.equal(tiny.sample(model), tiny.sample(merged(base, levels=1)))
