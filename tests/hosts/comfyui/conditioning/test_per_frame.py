"""Every frame of a call gets its own prompt, range of noise, control picture, guidance and strength, as if it were alone."""

from pathlib import Path
from typing import Any

import pytest
import torch
from layers import noise
from torch import Tensor

pytestmark = pytest.mark.host

LEVELS = torch.tensor([0.2, 0.9, 3.0, 12.0])
FRAMES = [4, 5, 6, 7]


def denoised(*args: Any, **kwargs: Any) -> Tensor:
    import tiny_host

    return tiny_host.denoised(*args, **kwargs)


@pytest.fixture(scope="module")
def model() -> Any:
    import tiny_host

    yield (patcher := tiny_host.model())
    del patcher
    tiny_host.unload()


def timeline(text: str, tiny: Any) -> Any:
    """A timeline whose prompts are noise by their first letter."""
    from zoetrope.hosts.comfyui.conditioning.timeline import encode_timeline
    from zoetrope.sampling.timeline import read_timeline

    class TemporalContext:
        def tokenize(self, said: str) -> str:
            return said

        def encode_from_tokens_scheduled(self, said: str) -> Any:
            return prompt(said, tiny)

    return encode_timeline(TemporalContext(), read_timeline(text), 8)


def prompt(said: str, tiny: Any) -> Any:
    """`A` of 7 tokens, other letters too; a prompt of two letters has 14."""
    return [[torch.cat([tiny.text(seed=ord(letter))[0][0] for letter in said], 1), {"pooled_output": noise(1, 16)}]]


def test_each_frame_has_the_prompt_of_its_number(tiny: Any, model: Any) -> None:
    negative = tiny.text(seed=2)
    a, b = (denoised(model, prompt(letter, tiny), negative) for letter in "AB")
    cut = denoised(model, timeline("0: A / 6: B", tiny), negative)
    assert torch.allclose(cut[:2], a[:2], atol=1e-5)
    assert torch.allclose(cut[2:], b[2:], atol=1e-5)
    assert not torch.allclose(a, b, atol=1e-3)
    for text, same in (("0: A / 60: B", a), ("0: C / 2: B", b), ("A", a)):
        assert torch.allclose(denoised(model, timeline(text, tiny), negative), same, atol=1e-5)


def test_a_fade_mixes_embeddings_also_of_prompts_of_different_length(tiny: Any, model: Any) -> None:
    negative = tiny.text(seed=2)
    faded = denoised(model, timeline("0: A / 5: B ~1", tiny), negative)
    half = (prompt("A", tiny)[0][0] + prompt("B", tiny)[0][0]) / 2
    expected = denoised(model, [[half, prompt("A", tiny)[0][1]]], negative)
    assert torch.allclose(faded[1], expected[1], atol=1e-5)
    longer = denoised(model, timeline("0: A / 5: BC ~1", tiny), negative)
    twice = torch.cat([prompt("A", tiny)[0][0]] * 2, 1)
    half = (twice + prompt("BC", tiny)[0][0]) / 2
    assert torch.allclose(longer[1], denoised(model, [[half, {}]], negative)[1], atol=1e-5)
    assert torch.allclose(longer[0], denoised(model, prompt("A", tiny), negative)[0], atol=1e-5)


@pytest.mark.one_host
@pytest.mark.parametrize("size", [(8, 8), (10, 6), (24, 40)])
@pytest.mark.parametrize("fade", [0, 1, 2, 4])
def test_after_a_fade_the_new_prompt_holds_alone_at_any_size(tiny: Any, model: Any, size: tuple[int, int], fade: int) -> None:
    negative = tiny.text(seed=2)
    changed = denoised(model, timeline(f"0: A / 4: B ~{fade}", tiny), negative, frames=[0, 1, 2, 7], size=size)
    a, b = (denoised(model, prompt(letter, tiny), negative, size=size) for letter in "AB")
    assert torch.allclose(changed[:3], a[:3], atol=1e-4)
    after = b[3] if fade < 4 else denoised(model, timeline("0: A / 4: B ~4", tiny), negative, frames=[7] * 4, size=size)[3]
    assert torch.allclose(changed[3], after, atol=1e-4)


def test_one_timeline_twice_and_a_part_of_one(tiny: Any, model: Any) -> None:
    twice = timeline("0: A / 6: B", tiny)
    halves = []
    for left in (True, False):
        mask = torch.zeros(1, 8, 8)
        mask[:, :, slice(0, 4) if left else slice(4, 8)] = 1
        halves += [[tensor, {**about, "mask": mask}] for tensor, about in twice]
    negative = tiny.text(seed=2)
    assert torch.allclose(denoised(model, halves, negative), denoised(model, twice, negative), atol=1e-4)
    with pytest.raises(ValueError, match="a prompt timeline of 2 entries came with 1 of its conditions"):
        denoised(model, twice[:1], negative)


def test_ordinary_samplers_see_the_timeline_of_their_clip(tiny: Any, model: Any) -> None:
    cut = tiny.sample(model, frames=8, positive=timeline("0: A / 6: B", tiny))
    a, b = (tiny.sample(model, frames=8, positive=prompt(letter, tiny)) for letter in "AB")
    assert torch.allclose(cut[:6], a[:6], atol=1e-4)
    assert torch.allclose(cut[6:], b[6:], atol=1e-4)


def test_ranges_of_noise_count_for_each_frame(tiny: Any, model: Any) -> None:
    def ranged(letter: str, start: float, end: float) -> Any:
        ((tensor, about),) = prompt(letter, tiny)
        return [tensor, {**about, "start_percent": start, "end_percent": end}]

    both = [ranged("A", 0.0, 0.5), ranged("B", 0.5, 1.0)]
    negative = tiny.text(seed=2)
    together = denoised(model, both, negative)
    alone = denoised(model, both, negative, rows=[0, 1, 2, 3])
    assert torch.allclose(together, alone, atol=1e-5)
    a, b = (denoised(model, prompt(letter, tiny), negative) for letter in "AB")
    assert torch.allclose(together[3], a[3], atol=1e-5)
    assert torch.allclose(together[0], b[0], atol=1e-5)


def test_a_mask_of_the_artists_stays_and_is_joined_with_a_range(tiny: Any, model: Any) -> None:
    mask = torch.zeros(1, 8, 8)
    mask[:, :, :4] = 1
    ((tensor, about),) = prompt("A", tiny)
    masked = [[tensor, {**about, "mask": mask, "mask_strength": 1.0, "end_percent": 0.5}], *prompt("B", tiny)]
    negative = tiny.text(seed=2)
    together = denoised(model, masked, negative)
    assert torch.allclose(together, denoised(model, masked, negative, rows=[0, 1, 2, 3]), atol=1e-5)


def test_control_pictures_belong_to_frames_and_ranges_to_each(tiny: Any, model: Any) -> None:
    hint = torch.rand(6, 3, 64, 64, generator=torch.Generator().manual_seed(3))  # frames after the last keep it

    def controlled(pictures: Tensor, ranges: tuple[float, float] = (0.0, 1.0), before: Any = None) -> dict[str, Any]:
        control = tiny.controlnet().set_cond_hint(pictures, 0.8, ranges)
        if before is not None:
            control.set_previous_controlnet(before)
        return {"positive": tiny.text(control=control, control_apply_to_uncond=True), "negative": tiny.text(seed=2)}

    together = denoised(model, **controlled(hint))
    for row, frame in enumerate((4, 5, 5, 5)):
        alone = denoised(model, **controlled(hint[[frame]]), rows=[row])
        assert torch.allclose(together[row], alone[0], atol=1e-4), row
    without = denoised(model, tiny.text(), tiny.text(seed=2))
    half = denoised(model, **controlled(hint[:1], (0.0, 0.5)))
    whole = denoised(model, **controlled(hint[:1]))
    assert torch.allclose(half[3], whole[3], atol=1e-4)
    assert torch.allclose(half[0], without[0], atol=1e-4)
    assert not torch.allclose(whole, without, atol=1e-3)
    chained = denoised(model, **controlled(hint[:1], (0.0, 0.5), tiny.controlnet(8).set_cond_hint(hint[1:2], 0.5)))
    rows = denoised(
        model, **controlled(hint[:1], (0.0, 0.5), tiny.controlnet(8).set_cond_hint(hint[1:2], 0.5)), rows=[0, 1, 2, 3]
    )
    assert torch.allclose(chained, rows, atol=1e-4)
    assert not torch.allclose(chained, half, atol=1e-3)


def test_a_hook_with_keyframes_is_refused_with_a_reason(tiny: Any, model: Any) -> None:
    import comfy.hooks

    hooks = comfy.hooks.create_hook_lora({}, 1.0, 1.0)
    frames = comfy.hooks.HookKeyframeGroup()
    for share in (0.0, 0.5):
        frames.add(comfy.hooks.HookKeyframe(strength=1 - share, start_percent=share))
    hooks.set_keyframes_on_hooks(frames)
    with pytest.raises(ValueError, match=r"a hook with several keyframes .* Remove the keyframes"):
        denoised(model, tiny.text(hooks=hooks), tiny.text(seed=2))


@pytest.mark.parametrize("usual", [1.0, 5.0])
def test_guidance_by_frame(tiny: Any, model: Any, usual: float) -> None:
    from zoetrope.sampling.queue import Schedules
    from zoetrope.sampling.timeline import read_numbers

    positive, negative = tiny.text(), tiny.text(seed=2)
    schedules = Schedules(cfg=read_numbers("0: 3 / 6: 7", "cfg", 0, 9))
    by_frame = denoised(model, positive, negative, cfg=usual, schedules=schedules)
    three, seven = (denoised(model, positive, negative, cfg=scale) for scale in (3.0, 7.0))
    assert torch.allclose(by_frame[:2], three[:2], atol=1e-4)
    assert torch.allclose(by_frame[2:], seven[2:], atol=1e-4)


def test_motion_strength_and_lists_by_frame(tiny: Any, model: Any, tmp_path: Path) -> None:
    from zoetrope.sampling.queue import Schedules
    from zoetrope.sampling.timeline import read_numbers

    motion = tiny.own_file(model, tmp_path / "m.safetensors", seed=1)
    positive, negative = tiny.text(), tiny.text(seed=2)
    still, moving = denoised(model, positive, negative), denoised(tiny.applied(model, motion), positive, negative)
    assert not torch.allclose(still, moving, atol=1e-3)
    none = Schedules(strength=read_numbers("0: 1 / 4: 0", "strength", 0, 2))
    half = Schedules(strength=read_numbers("0: 0.5", "strength", 0, 2))
    patched = tiny.applied(model, motion)
    assert torch.allclose(denoised(patched, positive, negative, schedules=none), still, atol=1e-5)
    expected = denoised(tiny.applied(model, motion, 0.5), positive, negative)
    assert torch.allclose(denoised(patched, positive, negative, schedules=half), expected, atol=1e-5)
    listed = tiny.applied(model, motion, torch.tensor([1.0, 1, 1, 1, 0]).reshape(-1, 1, 1))  # frame 4 and all after it: none
    assert torch.allclose(denoised(listed, positive, negative), still, atol=1e-5)
    assert torch.allclose(denoised(listed, positive, negative, frames=[0, 1, 2, 3]), moving, atol=1e-5)


class Memory:
    """The host's memory management with another idea of what is free."""

    def __init__(self, real: Any, free: int):
        self._real, self._free = real, free

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def get_free_memory(self, *_: Any, **__: Any) -> int:
        return self._free


def test_rows_per_call_do_not_depend_on_free_memory(tiny: Any, model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import comfy.model_patcher
    import comfy.samplers

    rows: list[int] = []

    def counted(patcher: Any) -> Any:
        def note(apply_model: Any, args: Any) -> Any:
            rows.append(len(args["input"]))
            assert args["cond_or_uncond"] in ([0], [1])
            return apply_model(args["input"], args["timestep"], **args["c"])

        clone = patcher.clone()
        clone.set_model_unet_function_wrapper(note)
        return clone

    results = []
    real = getattr(comfy.samplers, "model_management", None)
    for free in (1, 1 << 24, 1 << 40):
        if real:
            monkeypatch.setattr(comfy.samplers, "model_management", Memory(real, free))
        if hasattr(comfy.model_patcher.ModelPatcher, "get_free_memory"):
            monkeypatch.setattr(comfy.model_patcher.ModelPatcher, "get_free_memory", lambda self, device, free=free: free)
        results.append(denoised(model, [*tiny.text(), *tiny.text(seed=4)], tiny.text(seed=2), wrap=counted))
    assert set(rows) == {4}
    assert torch.equal(results[0], results[1])
    assert torch.equal(results[0], results[2])


def test_guidance_by_frame_comes_before_our_own_rescale(tiny: Any, model: Any) -> None:
    from zoetrope.hosts.comfyui.motion.schedule import set_rescale
    from zoetrope.sampling.queue import Schedules
    from zoetrope.sampling.timeline import read_numbers

    rescaled = model.clone()
    set_rescale(rescaled, 0.7)
    wanted = denoised(rescaled, tiny.text(), tiny.text(seed=2), cfg=3.0)
    by_frame = Schedules(cfg=read_numbers("0: 3", "cfg", 0, 9))
    assert torch.allclose(denoised(rescaled, tiny.text(), tiny.text(seed=2), cfg=7.5, schedules=by_frame), wanted, atol=1e-4)
    assert not torch.allclose(denoised(model, tiny.text(), tiny.text(seed=2), cfg=3.0), wanted, atol=1e-3)


def test_guidance_by_frame_is_refused_where_it_would_be_wrong(tiny: Any, model: Any) -> None:
    from zoetrope.sampling.queue import Schedules
    from zoetrope.sampling.timeline import read_numbers

    schedules = Schedules(cfg=read_numbers("0: 3", "cfg", 0, 9))
    rescaled = model.clone()
    rescaled.set_model_sampler_cfg_function(lambda args: args["cond"])
    with pytest.raises(ValueError, match=r"cfg_by_frame works with .* not with a node that rescales guidance"):
        denoised(rescaled, tiny.text(), tiny.text(seed=2), schedules=schedules)
