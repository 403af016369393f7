"""Attention across frames in the host: whole UNets of the original codes, strengths, windows, queues, ControlNets."""

from pathlib import Path
from typing import Any

import golden
import parity
import pytest
import torch
from golden_layers import weights_of
from layers import noise
from torch import Tensor

pytestmark = pytest.mark.host


@pytest.fixture
def model(tiny: Any) -> Any:
    yield (one := tiny.model())
    del one
    tiny.unload()


def looking(model: Any, pattern: str = "first and previous frame", **settings: Any) -> Any:
    from zoetrope.hosts.comfyui.conditioning.shared_attention import SharedSettings, apply_shared
    from zoetrope.models.edits.frame_table import FrameTable

    rule = {name: settings.pop(name) for name in ("every", "group", "own", "seed") if name in settings}
    return apply_shared(model, SharedSettings(FrameTable(pattern, **rule), **settings))[0]


def golden_unet(tiny: Any, c: dict[str, Any], weights: dict[str, Tensor]) -> Any:
    """The host's UNet with a diffusers state dict."""
    import comfy.utils
    import golden_video

    widths = c["block_out_channels"]
    attending = ["CrossAttn" in kind for kind in c["down_block_types"]]
    layout = golden_video.layout(
        widths[0], [width // widths[0] for width in widths], c["layers_per_block"], attending,
        context_dim=c["cross_attention_dim"], num_heads=c["attention_head_dim"], use_linear_in_transformer=False,
    )  # fmt: skip
    names = comfy.utils.unet_to_diffusers(layout)
    return tiny.model(layout, {names[key]: value for key, value in weights.items()}, groups=c["norm_num_groups"])


@pytest.mark.parametrize("path", golden.claim("cross_frame_unet"))
@pytest.mark.parametrize("replaced", [False, True], ids=["alone", "attn1_replace"])
@torch.inference_mode()
def test_a_whole_unet_of_text2video_zero(tiny: Any, path: Path, replaced: bool) -> None:
    """Also where another pack puts a function of its own in place of the attention."""
    from comfy.ldm.modules.attention import optimized_attention

    tensors, header = golden.read(path)
    c = golden.config(header)
    base = golden_unet(tiny, c, weights_of(tensors))
    x, context = tensors["in.sample"], tensors["in.encoder_hidden_states"]
    arguments = (x, tensors["in.timestep"].float().expand(len(x)), context)
    patched = looking(base, "first frame")
    if replaced:
        for block in (("input", 1), ("middle", 0), ("output", 2), ("output", 3)):
            patched.set_model_attn1_replace(lambda q, k, v, extra: optimized_attention(q, k, v, extra["n_heads"]), *block)
    tolerance = 2e-4 * tensors["out.out"].abs().max().item()
    error = (tiny.call_unet(patched, *arguments, chunks=2) - tensors["out.out"]).abs().max().item()
    assert parity.within("Attention across frames", f"{path.stem} {replaced}", tiny.NAME, error, tolerance)
    assert (tiny.call_unet(base, *arguments) - tensors["out.plain"]).abs().max() < tolerance
    tiny.unload()
    assert tiny.hooks_in(base) == 0


def test_strength_0_and_steps_outside_are_the_untouched_bits(tiny: Any, model: Any) -> None:
    plain = tiny.sample(model)
    assert torch.equal(tiny.sample(looking(model, strength=0.0)), plain)
    assert torch.equal(tiny.sample(looking(model, start=0.0, end=0.0)), plain)
    assert torch.equal(tiny.sample(looking(model, levels={"down": 0.0, "mid": 0.0, "up": 0.0})), plain)
    whole = tiny.sample(looking(model))
    assert (whole - plain).abs().max() > 1e-3
    assert torch.allclose(tiny.sample(looking(model, strength=torch.ones(4, 1, 1))), whole, atol=1e-3, rtol=1e-4)
    assert torch.equal(tiny.sample(model), plain)


def test_each_run_records_which_attentions_acted(tiny: Any, model: Any) -> None:
    from comfy.patcher_extension import WrappersMP

    patched = looking(model)
    ((wrapper,),) = patched.wrappers[WrappersMP.OUTER_SAMPLE].values()
    edit = wrapper.__self__.edit_of(model.model.diffusion_model)
    tiny.sample(patched)
    assert len(edit.acted) == 4
    settings = patched.model_options["transformer_options"]["zoetrope.shared.0"]
    settings["levels"] = {"down": 0.0, "mid": 0.0}
    tiny.sample(patched)
    assert {name.split(".")[0] for name in edit.acted} == {"up"}
    settings["end"] = 0.0
    tiny.sample(patched)
    assert edit.acted == set()


def test_places_are_counted_and_chosen(model: Any) -> None:
    from zoetrope.hosts.comfyui.conditioning.shared_attention import WHERE, SharedSettings, apply_shared
    from zoetrope.models.edits.frame_table import FIRST, FrameTable

    lines = [apply_shared(model, SharedSettings(FrameTable(FIRST), where))[1] for where in WHERE]
    counts = [line.split(" self-attentions")[0] for line in lines]
    assert counts == ["4 of 4", "2 of 4", "3 of 4"]  # one on the way down, one in the middle, two on the way up
    assert lines[0].endswith("attend to: first frame")
    with pytest.raises(ValueError, match="levels: this MODEL has no layer at 'down.7'"):
        apply_shared(model, SharedSettings(FrameTable(FIRST), levels={"down.7": 1.0}))


def test_frame_0_is_the_clips_in_every_window(tiny: Any, model: Any) -> None:
    """A clip of the same noise in all frames: with frame 0's keys each frame is the same, whatever window it is in."""
    from zoetrope.hosts.comfyui.sampling.windows import in_windows
    from zoetrope.sampling.windows import Windows

    for schedule in ("standard_static", "looped_uniform"):
        cut = Windows(schedule, 4, 2)
        clip = tiny.sample(in_windows(looking(model, "first frame"), cut), frames=10)
        whole = tiny.sample(looking(model, "first frame"), frames=10)
        assert torch.allclose(clip, whole, atol=1e-4), schedule
    apart = tiny.sample(in_windows(looking(model, "all frames"), Windows("standard_static", 4, 2)), frames=10)
    assert not torch.allclose(apart, tiny.sample(looking(model, "all frames"), frames=10), atol=1e-3)


def test_nothing_of_frame_0_is_left_after_a_run(tiny: Any, model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from zoetrope.hosts.comfyui.conditioning.shared_inputs import FirstFrameStore
    from zoetrope.hosts.comfyui.sampling.windows import in_windows
    from zoetrope.sampling.windows import Windows

    stores: list[dict[Any, Tensor]] = []
    most: list[int] = []
    at = FirstFrameStore.at

    def note(store: Any, options: Any) -> Any:
        stores.append(at(store, options))
        most.append(len(stores[-1]))
        return stores[-1]

    monkeypatch.setattr(FirstFrameStore, "at", note)
    tiny.sample(in_windows(looking(model, "first frame"), Windows("standard_static", 4, 2)), frames=6, steps=3)
    # keys and values of four attentions for two halves, under two names each, never more than one step of them
    assert max(most) == 4 * 2 * 2 * 2
    assert stores[-1] == {}


def test_a_queue_takes_the_previous_frame_and_groups_and_refuses_the_others(tiny: Any, model: Any) -> None:
    conditions = (tiny.text(), tiny.text(seed=2))
    plain = tiny.denoised(model, *conditions)
    for pattern in ("previous frame", "random groups"):
        assert not torch.allclose(tiny.denoised(looking(model, pattern), *conditions), plain, atol=1e-3)
    assert torch.equal(tiny.denoised(looking(model, "previous frame"), *conditions)[0], plain[0])  # the first has none before
    for pattern in ("first frame", "first and previous frame", "every n-th frame", "all frames"):
        with pytest.raises(ValueError, match=f"'{pattern}' does not work in a long shot.*previous frame or random groups"):
            tiny.denoised(looking(model, pattern), *conditions)


def test_frames_of_a_queue_act_at_their_own_levels(tiny: Any, model: Any) -> None:
    """Levels 0.2, 0.9, 3 and 12; half of the sampling ends between 0.9 and 3."""
    conditions = (tiny.text(), tiny.text(seed=2))
    plain = tiny.denoised(model, *conditions)
    early = tiny.denoised(looking(model, "previous frame", end=0.5), *conditions)
    assert torch.allclose(early[:2], plain[:2], atol=1e-5)
    assert not torch.allclose(early[2], plain[2], atol=1e-2)
    assert not torch.allclose(early[3], plain[3], atol=1e-2)


def test_halves_in_calls_of_their_own_give_the_same(tiny: Any, model: Any, monkeypatch: Any) -> None:
    """The host splits guidance where memory is short."""
    patched = looking(model, "random groups", group=2)
    halves: list[int] = []

    def note(apply_model: Any, args: Any) -> Any:
        halves.append(len(args["cond_or_uncond"]))
        return apply_model(args["input"], args["timestep"], **args["c"])

    patched.set_model_unet_function_wrapper(note)
    together = tiny.sample(patched)
    monkeypatch.setattr(type(model.model), "memory_required", lambda *args, **kwargs: 1e18)
    assert torch.allclose(tiny.sample(patched), together, atol=1e-4)
    assert set(halves) == {1, 2}


def test_controlnets_do_the_same_where_asked(tiny: Any, model: Any) -> None:
    from zoetrope.hosts.comfyui.sampling.windows import in_windows
    from zoetrope.sampling.windows import Windows

    hint = noise(4, 3, 64, 64).abs().clamp(0, 1)
    control = tiny.text(control=tiny.controlnet().set_cond_hint(hint, 1.0), control_apply_to_uncond=True)
    plain = tiny.sample(looking(model, "first frame"), positive=control)
    inside = tiny.sample(looking(model, "first frame", controlnet=True), positive=control)
    assert (inside - plain).abs().max() > 1e-4
    cut = Windows("standard_static", 4, 2)
    hint = hint[:1].expand(10, -1, -1, -1)
    control = tiny.text(control=tiny.controlnet().set_cond_hint(hint, 1.0), control_apply_to_uncond=True)
    whole = tiny.sample(looking(model, "first frame", controlnet=True), frames=10, positive=control)
    windowed = tiny.sample(in_windows(looking(model, "first frame", controlnet=True), cut), frames=10, positive=control)
    assert torch.allclose(windowed, whole, atol=1e-4)
    again = tiny.sample(looking(model, "first frame"), frames=10, positive=control)
    assert not torch.allclose(again, whole, atol=1e-4)  # the hooks are gone
