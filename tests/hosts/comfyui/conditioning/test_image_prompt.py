"""Image prompts in the real ComfyUI: beside text, motion, LoRAs, ControlNets and other packs' attention."""

from pathlib import Path
from typing import Any

import pytest
import torch
from layers import noise
from torch import Tensor

pytestmark = pytest.mark.host


def test_strength_0_is_the_model_without_the_node_bit_for_bit(tiny: Any, base: Any, vision: Any) -> None:
    plain, projector = tiny.sample(base), tiny.projector(base)
    assert torch.equal(tiny.sample(tiny.prompted(base, projector, vision, tiny.picture(), 0.0)), plain)
    patched = tiny.prompted(base, projector, vision, tiny.picture())
    assert not torch.allclose(tiny.sample(patched), plain, atol=1e-3)
    patched.model_options["transformer_options"]["zoetrope.picture.0"]["strength"] = 0.0  # in place, and told to do nothing
    assert torch.equal(tiny.sample(patched), plain)
    del patched
    tiny.unload()
    assert tiny.hooks_in(base) == 0
    assert torch.equal(tiny.sample(base), plain)


def test_guidance_in_one_call_or_in_two_is_the_same(tiny: Any, base: Any, vision: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    patched = tiny.prompted(base, tiny.projector(base), vision, tiny.picture())
    calls: list[int] = []

    def note(apply_model: Any, args: Any) -> Any:
        calls.append(len(args["cond_or_uncond"]))
        return apply_model(args["input"], args["timestep"], **args["c"])

    patched.set_model_unet_function_wrapper(note)
    together = tiny.sample(patched)
    assert set(calls) == {2}
    calls.clear()
    monkeypatch.setattr(patched.model, "memory_required", lambda *_, **__: 1 << 60, raising=False)
    apart = tiny.sample(patched)
    assert set(calls) == {1}
    assert (together - apart).abs().max() < 1e-6 * apart.abs().max()  # calls of other sizes round differently


def test_two_prompts_on_one_model_commute(tiny: Any, base: Any, vision: Any) -> None:
    one, two = tiny.projector(base, 1), tiny.projector(base, 2)
    first, second = tiny.picture(seed=1), tiny.picture(seed=2)
    a = tiny.sample(tiny.prompted(tiny.prompted(base, one, vision, first), two, vision, second, 0.5), steps=1)
    b = tiny.sample(tiny.prompted(tiny.prompted(base, two, vision, second, 0.5), one, vision, first), steps=1)
    assert (a - b).abs().max() <= 1e-6 * a.abs().max()
    assert not torch.allclose(a, tiny.sample(tiny.prompted(base, one, vision, first), steps=1), atol=1e-3)
    same = tiny.prompted(tiny.prompted(base, one, vision, first, 0.5), one, vision, first, 0.5)  # twice one projector
    whole = tiny.sample(tiny.prompted(base, one, vision, first), steps=1)
    assert (tiny.sample(same, steps=1) - whole).abs().max() <= 2e-6 * whole.abs().max()


@pytest.mark.parametrize("frames", [1, 16, 64])
def test_works_with_motion_lora_and_controlnet_for_any_number_of_frames(
    tiny: Any, base: Any, vision: Any, tmp_path: Path, frames: int
) -> None:
    """Motion of 16 frames a clip, a weight patch, a ControlNet; the picture acts on all of it."""
    motion = tiny.own_file(base, tmp_path / "m.safetensors", seed=1)
    model = tiny.applied(base, motion, 1.0, min(16, frames)).clone()
    key = "diffusion_model.input_blocks.1.1.transformer_blocks.0.attn2.to_q.weight"
    shape = dict(model.model.state_dict())[key].shape
    model.add_patches({key: ("diff", (noise(*shape, seed=5) * 0.1,))}, 0.5)
    control = tiny.controlnet()
    hint = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(9))
    told = [[tiny.text()[0][0], {"control": control.copy().set_cond_hint(hint, 0.7), "control_apply_to_uncond": True}]]
    plain = tiny.sample(model, frames, steps=2, positive=told)
    out = tiny.sample(tiny.prompted(model, tiny.projector(base), vision, tiny.picture()), frames, steps=2, positive=told)
    assert out.shape == (frames, 4, 8, 8)
    assert bool(out.isfinite().all())
    assert not torch.allclose(out, plain, atol=1e-3)


def test_an_attention_replacement_that_is_there_already_stays_at_work(tiny: Any, base: Any, vision: Any) -> None:
    """The slot belongs to whoever took it; here one that doubles what the text says."""
    from comfy.ldm.modules.attention import optimized_attention

    def doubled(q: Tensor, k: Tensor, v: Tensor, extra: Any) -> Tensor:
        return 2 * optimized_attention(q, k, v, extra["n_heads"])

    projector = tiny.projector(base)
    replaced = base.clone()
    replaced.set_model_attn2_replace(doubled, "middle", 0, 0)
    plain = tiny.sample(replaced, steps=1)
    assert not torch.allclose(plain, tiny.sample(base, steps=1), atol=1e-3)
    both = tiny.prompted(replaced, projector, vision, tiny.picture())
    seen = tiny.sample(both, steps=1)
    assert not torch.allclose(seen, plain, atol=1e-3)
    key = both.model_options["transformer_options"]["patches_replace"]["attn2"]
    assert list(key) == [("middle", 0, 0)]
    later = tiny.prompted(base, projector, vision, tiny.picture()).clone()
    later.set_model_attn2_replace(doubled, "middle", 0, 0)
    assert torch.allclose(tiny.sample(later, steps=1), seen, atol=1e-6)


@torch.inference_mode()
def test_the_unconditional_side_sees_no_picture(tiny: Any, base: Any, vision: Any) -> None:
    """Half of a call alone against the half in it: the conditional one with the picture's tokens, the other with a zero
    picture's."""
    projector = tiny.projector(base)
    patched = tiny.prompted(base, projector, vision, tiny.picture())
    own = patched.model_options["transformer_options"]["zoetrope.picture.0"]
    x, t, text = noise(4, 4, 8, 8), torch.full((4,), 500.0), noise(4, 7, 16)
    both = tiny.call_unet(patched, torch.cat([x, x]), torch.cat([t, t]), torch.cat([text, text]), chunks=2)
    told = tiny.call_loaded_unet(patched, x, t, text)
    assert torch.allclose(both[:4], told, atol=1e-5)
    own["tokens"] = own["null"]
    assert torch.allclose(both[4:], tiny.call_loaded_unet(patched, x, t, text), atol=1e-5)
    assert not torch.allclose(both[:4], both[4:], atol=1e-3)


def test_guiders_with_more_than_two_conditions_show_it_to_all_but_the_negative(tiny: Any, base: Any, vision: Any) -> None:
    """DualCFGGuider hands negative, middle and positive to the model in that order."""
    import comfy.sample
    from comfy_extras.nodes_custom_sampler import Guider_DualCFG

    patched = tiny.prompted(base, tiny.projector(base), vision, tiny.picture())
    seen: list[tuple[list[bool], list[int]]] = []
    hooks = patched.wrappers["diffusion_model"]["zoetrope.picture.0"][0].__self__
    real = hooks._unconditional

    def note(options: Any, chunks: list[int]) -> list[bool]:
        seen.append((real(options, chunks), list(chunks)))
        return seen[-1][0]

    hooks._unconditional = note
    guider = Guider_DualCFG(patched)
    guider.set_conds(tiny.text(), tiny.text(seed=3), tiny.text(seed=2))
    guider.set_cfg(2.0, 3.0)
    latent = torch.zeros(4, 4, 8, 8)
    sampler = comfy.samplers.sampler_object("euler")
    with torch.inference_mode():
        guider.sample(noise(4, 4, 8, 8), latent, sampler, torch.tensor([14.0, 0.0]), disable_pbar=True, seed=1)
    assert seen
    for nothing, chunks in seen:
        assert nothing == [chunk == 0 for chunk in chunks]  # the negative comes first


@torch.inference_mode()
def test_several_pictures_together_averaged_or_in_turn(tiny: Any, base: Any, vision: Any) -> None:
    projector = tiny.projector(base)
    images = torch.cat([tiny.picture(seed=1), tiny.picture(seed=2)])
    x, t, text = noise(5, 4, 8, 8), torch.full((5,), 500.0), noise(1, 7, 16).repeat(5, 1, 1)

    def answer(images: Tensor, **more: Any) -> Tensor:
        return tiny.call_unet(tiny.prompted(base, projector, vision, images, **more), x, t, text)

    first, second = answer(images[:1]), answer(images[1:])
    turns = answer(images, batch="one after another")
    assert torch.allclose(turns[:3], first[:3], atol=1e-5)  # frame 2 of 5 is still the first half's
    assert torch.allclose(turns[3:], second[3:], atol=1e-5)
    assert torch.allclose(answer(images[:1].repeat(3, 1, 1, 1), batch="together"), first, atol=1e-5)
    assert torch.allclose(answer(images[:1].repeat(3, 1, 1, 1), batch="average"), first, atol=1e-5)
    together = answer(images)
    assert (together - first).abs().max() > 1e-4
    assert (together - answer(images, batch="average")).abs().max() > 1e-5


@torch.inference_mode()
def test_strength_by_frame_by_level_and_in_a_range_of_steps(tiny: Any, base: Any, vision: Any) -> None:
    from zoetrope.sampling.timeline import read_numbers

    projector = tiny.projector(base)
    x, t, text = noise(4, 4, 8, 8), torch.full((4,), 500.0), noise(4, 7, 16)

    def answer(model: Any) -> Tensor:
        return tiny.call_unet(model, x, t, text)

    plain, whole = answer(base), answer(tiny.prompted(base, projector, vision, tiny.picture()))
    faded = answer(tiny.prompted(base, projector, vision, tiny.picture(), by_frame=read_numbers("0: 1 / 2: 0", "s", 0, 1)))
    assert torch.allclose(faded[:2], whole[:2], atol=1e-5)
    assert torch.equal(faded[2:], plain[2:])
    everywhere = {"down": 0.0, "mid": 0.0, "up": 0.0}
    assert torch.equal(answer(tiny.prompted(base, projector, vision, tiny.picture(), levels=everywhere)), plain)
    late = tiny.prompted(base, projector, vision, tiny.picture(), start=0.9)
    early = tiny.prompted(base, projector, vision, tiny.picture(), end=0.0)
    assert torch.equal(tiny.sample(early), tiny.sample(base))
    assert not torch.equal(tiny.sample(late, steps=6), tiny.sample(base, steps=6))


def test_a_prompt_holds_for_a_long_shot_or_for_a_part_of_it(tiny: Any, base: Any, vision: Any) -> None:
    """Frames 4 to 7 of a shot in one call, each at a noise level of its own: strength and pictures by absolute frame."""
    from zoetrope.sampling.timeline import read_numbers

    projector, words = tiny.projector(base), (tiny.text(), tiny.text(seed=2))
    plain = tiny.denoised(base, *words)
    whole = tiny.denoised(tiny.prompted(base, projector, vision, tiny.picture()), *words)
    assert not torch.allclose(whole, plain, atol=1e-3)
    until = read_numbers("0: 1 / 6: 0", "s", 0, 1)
    part = tiny.denoised(tiny.prompted(base, projector, vision, tiny.picture(), by_frame=until), *words)
    assert torch.allclose(part[:2], whole[:2], atol=1e-5)
    assert torch.allclose(part[2:], plain[2:], atol=1e-5)
    many = torch.cat([tiny.picture(seed=seed) for seed in range(6)])
    turns = tiny.denoised(tiny.prompted(base, projector, vision, many, batch="one after another"), *words)
    for row, number in enumerate((4, 5, 5, 5)):  # the last picture holds on
        alone = tiny.denoised(tiny.prompted(base, projector, vision, many[[number]]), *words)
        assert torch.allclose(turns[row], alone[row], atol=1e-5)
