"""Image prompts in the real ComfyUI: golden UNets, strength, company of other nodes, the unconditional side, refusals."""

from pathlib import Path
from typing import Any

import golden
import golden_pictures
import parity
import pytest
import torch
from layers import noise
from torch import Tensor

pytestmark = pytest.mark.host


@pytest.fixture
def vision(tiny: Any, tmp_path: Path) -> Any:
    return tiny.vision(tmp_path)


@pytest.mark.parametrize(("path", "output"), golden_pictures.parameters())
@torch.inference_mode()
def test_whole_unet_with_pictures_gives_the_reference_output(tiny: Any, path: Path, output: str) -> None:
    """The host's own UNet, motion as a node applies it, pictures by the hooks that the nodes put in."""
    import comfy.ops
    from zoetrope.hosts.comfyui.unet import unet_places
    from zoetrope.models.edits.features import FeatureEdit
    from zoetrope.models.edits.image_attention import ImageAttention, ImageInputs
    from zoetrope.models.layers.attention import scaled_dot_product

    whole = golden_pictures.read(path, output)
    tensors, _ = golden.read(path)
    rates = [float(rate) for rate in tensors["fs"]] if output == "y" else [whole.video.fps or 0.0]
    for clip, rate in enumerate(rates):
        case = golden_pictures.one_clip(whole, clip) if output == "y" else whole
        video, layout = case.video, dict(case.video.layout)
        base = tiny.model(layout, video.spatial, groups=layout.pop("groups", 32))
        motion = tiny.host_motion(video.opened.motion, video.opened.report)
        patched = tiny.applied(base, motion, 1.0, video.frames, fps=rate)
        arguments = (video.sample, video.timesteps.float(), video.context)
        tiny.load_unet(patched)
        places = unet_places(base.model.diffusion_model)
        words, frames = ImageAttention(), FeatureEdit()
        without = tiny.call_loaded_unet(patched, *arguments)
        if case.loaded is not None and case.tokens is not None and case.rows is not None:
            words.install(case.loaded.network.image, places)
            words.give(ImageInputs(case.tokens, case.rows, 1.0, scaled_dot_product))
        network: Any = case.guide(comfy.ops.manual_cast)
        if network is not None and case.channels is not None:
            frames.install(network, places)
            frames.give(network.features(case.channels, video.frames))
        out = tiny.call_loaded_unet(patched, *arguments)
        error = (out - video.output).abs().max().item()
        what = f"{path.stem} {output}"
        assert parity.within(video.opened.report.title, what, tiny.NAME, error, video.tolerance)
        assert (without - video.output).abs().max() > 10 * video.tolerance
        words.remove(), frames.remove()
        assert torch.equal(tiny.call_loaded_unet(patched, *arguments), without)
        del base, patched, motion
        tiny.unload()


@pytest.mark.parametrize("path", golden.claim("ddim_v_zero_snr_trajectory*"))
@torch.inference_mode()
def test_dynamicrafters_sampling_step_by_step(tiny: Any, path: Path) -> None:
    """v-prediction from pure noise on, latents whose scale follows the level, guidance rescaled: the reference's DDIM (eta 1).

    As in the test of VideoCrafter's, the sampler sees the host's variable and the MODEL's own sigmas alone. The first step
    starts where nothing of the clean latent is left; there the MODEL keeps 5e-8 of it, so that sigma is a number.
    """
    from zoetrope.hosts.comfyui.motion.schedule import _rescaled, set_schedule
    from zoetrope.models.motion.families.videocrafter import ZERO_SNR
    from zoetrope.models.motion.family import InputScale, Variant

    tensors, header = golden.read(path)
    settings = golden.config(header)
    patched = tiny.model()
    scale = InputScale(settings["base_scale"], 400)
    set_schedule(patched, Variant("m", 16, None, ZERO_SNR, (), (), (), "v", scale), "v", True)
    sampling = patched.get_model_object("model_sampling")

    class Model:
        model_sampling = sampling

    def rows(video: Tensor) -> Tensor:
        return video[0].movedim(1, 0).double()

    steps = tensors["ddim_timesteps"].long()
    table = sampling.sigmas.double() * sampling.scales.double()
    kept = 1 / (1 + table**2)
    alphas = kept[steps]
    exact = torch.where(steps == 999, 0.0, alphas)  # the sampler's own, in which the last level is pure noise
    before = torch.cat([kept[:1], exact[:-1]])
    scales = tensors["ddim_scale_arr"].double()
    cond, uncond = rows(tensors["cond"]), rows(tensors["uncond"])
    x = rows(tensors["x_inter"][0])
    for done, index in enumerate(reversed(range(len(steps)))):
        t = float(steps[index])
        y = x / alphas[index].sqrt() / scales[index]
        sigma = sampling.sigma(steps[index : index + 1].float()).double()

        def predicted(c: Tensor, y: Tensor = y, sigma: Tensor = sigma, t: float = t) -> Tensor:
            seen = sampling.calculate_input(sigma, y)
            v = 0.3 * seen + 0.1 * seen.mean(dim=0, keepdim=True).tanh() - 0.2 * (1 - t / 1000) * c
            return sampling.calculate_denoised(sigma, v, y)

        told, untold = predicted(cond), predicted(uncond)
        guided = untold + settings["cfg"] * (told - untold)
        args = {"input": y, "denoised": guided, "cond_denoised": told, "sigma": sigma, "model": Model, "model_options": {}}
        clean = _rescaled(args, settings["guidance_rescale"])
        expected = rows(tensors["pred_x0"][done + 1])
        after = float(tensors["ddim_scale_arr_prev"][index])
        assert (clean * after - expected).abs().max() < (2e-3 if done < 2 else 5e-4)
        own = (x - exact[index].sqrt() * scales[index] * clean) / (1 - exact[index]).sqrt()
        up = ((1 - before[index]) / (1 - exact[index]) * (1 - exact[index] / before[index])).sqrt()
        x = (
            before[index].sqrt() * after * clean
            + (1 - before[index] - up**2).clamp(min=0).sqrt() * own
            + up * rows(tensors["step_noise"][done])
        )
        assert (x - rows(tensors["x_inter"][done + 1])).abs().max() < (2e-3 if done < 2 else 5e-4)
    error = (x - rows(tensors["result"])).abs().max().item()
    assert parity.within("VideoCrafter and DynamiCrafter", path.stem, tiny.NAME, error, 1e-4)


# -- image prompts -----------------------------------------------------------------------------------------------------------


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
    assert torch.allclose(together, apart, atol=1e-5)


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
    real = hooks._nothing

    def note(options: Any, chunks: list[int]) -> list[bool]:
        seen.append((real(options, chunks), list(chunks)))
        return seen[-1][0]

    hooks._nothing = note
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


def test_cores_context_windows_count_the_frame_in_front_of_later_windows() -> None:
    """Newer hosts put an anchor before each window but the first."""
    from types import SimpleNamespace

    from zoetrope.hosts.comfyui.call import numbering

    later = SimpleNamespace(index_list=[4, 5, 6], causal_anchor_index=3, total_frames=8)
    assert numbering({"context_window": later}, 4) == ([3, 4, 5, 6], 8)
    first = SimpleNamespace(index_list=[0, 1, 2], causal_anchor_index=-1, total_frames=8)
    assert numbering({"context_window": first}, 3) == ([0, 1, 2], 8)
    assert numbering({"zoetrope.motion.0": {"frames": 2}}, 4) == ([0, 1, 0, 1], 2)
    assert numbering({"zoetrope.frames": [7, 8]}, 2) == ([7, 8], None)


def test_a_shot_knows_its_pictures_by_what_they_are(tiny: Any, base: Any, vision: Any, tmp_path: Path) -> None:
    """What a journal compares: the same picture is the same shot, another one, its strength or a guide is not."""
    from zoetrope.hosts.comfyui.conditioning.frame_guide import GuideSettings, Pictures, apply_guide
    from zoetrope.hosts.comfyui.fingerprint import model_settings

    projector = tiny.projector(base)

    def settings(seed: int = 1, **more: Any) -> dict[str, str]:
        return model_settings(tiny.prompted(base, projector, vision, tiny.picture(seed=seed), **more))

    first = settings()
    assert settings() == first
    assert first != model_settings(base)
    for other in (settings(seed=2), settings(strength=0.5), settings(levels={"mid": 0.5})):
        assert [name for name in first if first[name] != other[name]] == ["image prompts"]
    motion = tiny.own_file(base, tmp_path / "m.safetensors", seed=1)
    latent, pictures = torch.zeros(4, 4, 8, 8), Pictures(tiny.picture(), None)
    guided = model_settings(apply_guide(base, motion, tiny.PictureVae(), latent, pictures, GuideSettings()))
    again = model_settings(apply_guide(base, motion, tiny.PictureVae(), latent, pictures, GuideSettings()))
    assert guided == again
    assert [name for name, value in model_settings(base).items() if guided[name] != value] == ["given frames"]


@torch.inference_mode()
def test_dynamicrafters_tokens_go_to_their_frames_and_all_to_all_in_other_lengths(tiny: Any, base: Any, vision: Any) -> None:
    projector = tiny.projector(base, frames=4)
    patched = tiny.prompted(base, projector, vision, tiny.picture())
    own = patched.model_options["transformer_options"]["zoetrope.picture.0"]
    assert own["tokens"].shape == (1, 4, 4, 16)
    x, t, text = noise(4, 4, 8, 8), torch.full((4,), 500.0), noise(4, 7, 16)
    whole = tiny.call_unet(patched, x, t, text)
    kept = own["tokens"].clone()
    own["tokens"] = kept.clone()
    own["tokens"][:, 3] += 1
    changed = tiny.call_loaded_unet(patched, x, t, text)
    assert torch.equal(changed[:3], whole[:3])
    assert not torch.allclose(changed[3], whole[3], atol=1e-3)
    other = tiny.call_loaded_unet(patched, x[:3], t[:3], text[:3])
    own["tokens"] = kept
    assert not torch.allclose(other, tiny.call_loaded_unet(patched, x[:3], t[:3], text[:3]), atol=1e-3)


def test_alpha_and_size_do_not_matter(tiny: Any, base: Any, vision: Any) -> None:
    projector = tiny.projector(base)
    picture = tiny.picture(size=(32, 32))
    alpha = torch.cat([picture, torch.zeros(1, 32, 32, 1)], dim=-1)
    a, b = (
        tiny.prompted(base, projector, vision, one).model_options["transformer_options"]["zoetrope.picture.0"]["tokens"]
        for one in (picture, alpha)
    )
    assert torch.equal(a, b)
    for size in ((1, 1), (7, 900), (513, 31)):
        assert tiny.prompted(base, projector, vision, tiny.picture(size=size)) is not None


def test_what_does_not_fit_is_refused_with_both_sides_and_the_remedy(tiny: Any, base: Any, vision: Any, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="clip_vision: tiny.safetensors .* hidden_size is 24, this one's is 16"):
        tiny.prompted(base, tiny.projector(base, states=24), vision, tiny.picture())
    with pytest.raises(ValueError, match=r"image: expected at least one picture .* got \(0, 40, 56, 3\)"):
        tiny.prompted(base, tiny.projector(base), vision, tiny.picture()[:0])
    with pytest.raises(ValueError, match="image: expected pictures in RGB or RGBA, got 1 channels"):
        tiny.prompted(base, tiny.projector(base), vision, tiny.picture(channels=1))
    wider = tiny.model({**tiny.LAYOUT, "context_dim": 24})
    with pytest.raises(
        ValueError, match=r"does not fit this model: down.0.0.attention.0: 32 x 16 in the file, 32 x 24 in the UNet"
    ):
        tiny.prompted(wider, tiny.projector(base), vision, tiny.picture())
    with pytest.raises(ValueError, match="levels: the image projector has no layer at 'time'; it has layers at down.0.0"):
        tiny.prompted(base, tiny.projector(base), vision, tiny.picture(), levels={"time": 0.5})
    with pytest.raises(ValueError, match="expected 0 <= start <= end <= 1, got 0.5 and 0.2"):
        tiny.prompted(base, tiny.projector(base), vision, tiny.picture(), start=0.5, end=0.2)


@torch.inference_mode()
def test_open_clips_tower_and_the_hosts_say_the_same(tiny: Any, tmp_path: Path) -> None:
    """One set of weights in open_clip's class and, converted by the host, in the host's."""
    import comfy.clip_vision
    from open_clip.transformer import VisionTransformer
    from zoetrope.hosts.comfyui.conditioning.clip_vision import null_states, states
    from zoetrope.hosts.diffusers.image_prompt import null_states as open_null
    from zoetrope.hosts.diffusers.image_prompt import states_of
    from zoetrope.models.image_prompt.family import Look
    from zoetrope.models.image_prompt.pixels import pixels_of

    torch.manual_seed(3)
    tower = VisionTransformer(32, 8, 16, 3, 2, 4.0, output_dim=12).half().float().eval()  # the host keeps halves
    host = tiny.vision(tmp_path)
    weights = {f"visual.{key}": value.clone() for key, value in tower.state_dict().items()}
    missing, left = host.load_sd(dict(comfy.clip_vision.convert_to_transformers(weights, "visual.")))
    assert not missing
    assert not left
    images = tiny.picture(2)
    for look in (
        Look("embedding", True, "zero embedding"),
        Look("penultimate", True, "zero picture"),
        Look("last", False, "grey picture"),
    ):
        width = 12 if look.states == "embedding" else 16

        class Loaded:
            file = "x"

        Loaded.look, Loaded.states = look, width
        seen = states(host, images, Loaded)
        theirs = states_of(tower, pixels_of(images.movedim(-1, 1), 32, look.crop), look)
        assert (seen - theirs).abs().max() < 2e-4 * theirs.abs().max()
        assert (null_states(host, seen, Loaded) - open_null(tower, look, 32)).abs().max() < 1e-3
