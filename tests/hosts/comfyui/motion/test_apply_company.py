"""Motion modules beside LoRAs, ControlNets and samplers, and what is refused."""

import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from layers import animatediff_file, noise

pytestmark = pytest.mark.host


def test_a_lora_works_under_and_over_motion(tiny: Any, comfyui: Any, base: Any, motion: Any) -> None:
    key = next(k for k in base.model.state_dict() if "attn1.to_q.weight" in k)
    last = next(
        k for k in reversed(base.model.state_dict()) if "output_blocks" in k and "conv.weight" in k
    )  # after an insertion
    patch = {k: ("diff", (torch.full_like(base.model.state_dict()[k], 0.05),)) for k in (key, last)}
    patched = tiny.applied(base, motion, 1.0, 0, True)
    without = tiny.sample(patched)
    over = patched.clone()
    assert len(over.add_patches(patch)) == 2
    under = base.clone()
    under.add_patches(patch)
    under = tiny.applied(under, motion, 1.0, 0, True)
    with_lora = tiny.sample(over)
    assert not torch.allclose(with_lora, without, atol=1e-3)
    assert torch.equal(tiny.sample(under), with_lora)
    assert torch.equal(tiny.sample(patched), without)


def test_a_controlnet_works_with_motion(tiny: Any, comfyui: Any, base: Any, motion: Any) -> None:
    hint = torch.rand(4, 3, 64, 64, generator=torch.Generator().manual_seed(3))

    def guided(patcher: Any) -> torch.Tensor:
        control = tiny.controlnet().set_cond_hint(hint, 1.0)
        with_control = {"control": control, "control_apply_to_uncond": True}
        return tiny.sample(patcher, positive=tiny.text(**with_control), negative=tiny.text(seed=2, **with_control))

    patched = tiny.applied(base, motion, 1.0, 0, True)
    assert not torch.allclose(guided(patched), tiny.sample(patched), atol=1e-3)
    assert not torch.allclose(guided(patched), guided(base), atol=1e-3)
    assert torch.equal(guided(tiny.applied(base, motion, 0.0, 0, True)), guided(base))


@pytest.mark.parametrize("storage", [torch.float16, torch.bfloat16])
def test_half_precision_files_and_checkpoints_run_under_the_hosts_casting(
    tiny: Any, comfyui: Any, tmp_path: Path, storage: torch.dtype
) -> None:
    full, half = tiny.model(), tiny.model(storage=storage, compute=torch.float32)
    exact = tiny.sample(tiny.applied(full, tiny.own_file(full, tmp_path / "f.safetensors", seed=1), 1.0, 0, True))
    motion = tiny.own_file(half, tmp_path / "h.safetensors", seed=1, dtype=storage)
    assert {p.dtype for p in motion.patcher.model.parameters()} == {storage}
    out = tiny.sample(tiny.applied(half, motion, 1.0, 0, True))
    assert out.isfinite().all()
    assert (out - exact).abs().mean() < 0.1 * exact.std()


@pytest.mark.parametrize("sampler", ["euler_ancestral", "dpmpp_2m", "ddim", "lcm"])
def test_every_kind_of_sampler_runs(tiny: Any, comfyui: Any, base: Any, motion: Any, sampler: str) -> None:
    assert tiny.sample(tiny.applied(base, motion, 1.0, 0, True), sampler=sampler).isfinite().all()


def test_the_hosts_attention_is_used_and_may_be_overridden(tiny: Any, comfyui: Any, base: Any, motion: Any) -> None:
    patched = tiny.applied(base, motion, 1.0, 0, True)
    shapes = []

    def override(function: Any, q: Any, k: Any, v: Any, heads: int, *args: Any, **kwargs: Any) -> Any:
        shapes.append(q.shape[1])
        return function(q, k, v, heads, *args, **kwargs)

    patched.model_options["transformer_options"]["optimized_attention_override"] = override
    out = tiny.sample(patched)
    assert 4 in shapes  # attention over 4 frames came by
    assert torch.equal(out, tiny.sample(tiny.applied(base, motion, 1.0, 0, True)))


def test_1_17_33_and_10000_frames(tiny: Any, comfyui: Any, base: Any, tmp_path: Path, caplog: Any) -> None:
    patched = tiny.applied(base, comfyui.load(str(animatediff_file(tmp_path / "v3.safetensors"))), 1.0, 0, True)
    with caplog.at_level(logging.WARNING):
        assert tiny.sample(patched, frames=1).isfinite().all()
    assert "trained on clips of 16 frames, this one has 1" in caplog.text
    caplog.clear()
    assert tiny.sample(patched, frames=17).isfinite().all()
    assert "trained on clips" not in caplog.text
    for frames in (33, 10_000):
        with pytest.raises(ValueError, match=rf"32 frames, got a clip of {frames}\. Lower the latent's batch size"):
            tiny.sample(patched, frames=frames)
    assert tiny.sample(patched, frames=16).isfinite().all()


def test_a_batch_of_two_clips_and_one_that_is_no_whole_number(tiny: Any, comfyui: Any, base: Any, motion: Any) -> None:
    patched = tiny.applied(base, motion, 1.0, 4, True)
    assert tiny.sample(patched, frames=8).isfinite().all()
    with pytest.raises(ValueError, match="whole clips of 4 frames, got 6 frames"):
        tiny.sample(patched, frames=6)


def test_context_windows_of_the_host_may_be_longer_than_the_module(tiny: Any, comfyui: Any, base: Any, tmp_path: Path) -> None:
    """With windows the length of the whole latent says nothing; each call is checked instead."""
    patched = tiny.applied(base, comfyui.load(str(animatediff_file(tmp_path / "v3.safetensors", frames=8))), 1.0, 0, True)
    with pytest.raises(ValueError, match="8 frames, got a clip of 12"):
        tiny.sample(patched, frames=12)
    seen: list[int] = []

    class Windows:
        """Stands for the host's handler: two windows of 6 frames."""

        def should_use_context(self, *args: Any, **kwargs: Any) -> bool:
            return True

        def execute(self, function: Any, model: Any, conds: Any, x: Any, timestep: Any, options: Any) -> Any:
            parts = [function(model, conds, part, timestep[:6], options) for part in x.split(6)]
            seen.extend(part[0].shape[0] for part in parts)
            return [torch.cat(rows) for rows in zip(*parts, strict=True)]

    patched.model_options["context_handler"] = Windows()
    assert tiny.sample(patched, frames=12).isfinite().all()
    assert set(seen) == {6}
    with pytest.raises(ValueError, match="8 frames, got a clip of 9"):  # windows longer than the table
        tiny.call_unet(patched, noise(9, 4, 8, 8), torch.full((9,), 500.0), noise(9, 7, 16))


def test_a_model_that_is_no_stable_diffusion_unet_is_refused_by_name(tiny: Any, comfyui: Any, motion: Any) -> None:
    from types import SimpleNamespace

    flux = SimpleNamespace(model=SimpleNamespace(diffusion_model=torch.nn.Linear(1, 1)))
    with pytest.raises(ValueError, match=r"UNet of Stable Diffusion 1\.x, 2\.x or XL.*\(Linear\).*Load an SD1"):
        tiny.applied(flux, motion, 1.0, 0, True)


def test_a_video_model_is_refused(tiny: Any, comfyui: Any, motion: Any) -> None:
    from types import SimpleNamespace

    from comfy.ldm.modules.diffusionmodules.openaimodel import VideoResBlock

    unet = torch.nn.Module()
    unet.input_blocks = torch.nn.ModuleList([_video_block(VideoResBlock)])
    unet.output_blocks = torch.nn.ModuleList()
    with pytest.raises(ValueError, match=r"video model with temporal layers of its own \(SVD\)"):
        tiny.applied(SimpleNamespace(model=SimpleNamespace(diffusion_model=unet)), motion, 1.0, 0, True)


def _video_block(kind: Any) -> Any:
    return kind(channels=32, emb_channels=64, dropout=0.0, video_kernel_size=[3, 1, 1], device="meta")


def test_the_wrong_base_is_refused_before_sampling(tiny: Any, comfyui: Any, base: Any, tmp_path: Path) -> None:
    wide = comfyui.load(str(animatediff_file(tmp_path / "wide.safetensors", width=64)))
    with pytest.raises(ValueError, match=r"does not fit this model: down\.0\.0\.out: 64 channels in the file, 32 in the UNet"):
        tiny.applied(base, wide, 1.0, 0, True)


def test_a_continuous_model_keeps_its_schedule_and_says_so(tiny: Any, comfyui: Any, tmp_path: Path, caplog: Any) -> None:
    motion = comfyui.load(str(animatediff_file(tmp_path / "v3.safetensors")))
    edm = tiny.model(prediction="EDM")
    with caplog.at_level(logging.WARNING):
        patched = tiny.applied(edm, motion, 1.0, 0, True)
    assert "samples with ModelSamplingContinuousEDM" in caplog.text
    assert "the MODEL's schedule is kept" in caplog.text
    assert patched.get_model_object("model_sampling") is edm.get_model_object("model_sampling")
