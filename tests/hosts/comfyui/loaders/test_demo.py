"""The embedded model in the real ComfyUI: the host's own types, the same numbers as on diffusers, every core node's habits."""

import logging
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from layers import noise
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from zoetrope.demo.detector import detect
from zoetrope.demo.layout import FOLDER
from zoetrope.hosts.diffusers.demo import model as diffusers_demo

pytestmark = pytest.mark.host

PROMPT = "a red circle moving right on black at 8 fps"


@pytest.fixture(scope="module")
def reference() -> diffusers_demo.Demo:
    return diffusers_demo.load_demo()


@pytest.fixture
def host() -> Any:
    from zoetrope.hosts.comfyui.loaders import demo as comfyui_demo

    return comfyui_demo


@pytest.fixture
def demo(host: Any, tiny: Any) -> Any:
    yield (loaded := host.load_demo())
    del loaded
    tiny.unload()


def error_of(one: torch.Tensor, other: torch.Tensor) -> float:
    return (one - other).abs().max().item()


def encode(demo: Any, prompt: str) -> Any:
    """What CLIPTextEncode does."""
    return demo.clip.encode_from_tokens_scheduled(demo.clip.tokenize(prompt))


def sample(demo: Any, tiny: Any, frames: int, seed: int = 7, prompt: str = PROMPT, negative: str = "", **settings: Any) -> Any:
    """What Apply Motion Module and KSampler do, in that order."""
    import comfy.sample
    from zoetrope.hosts.comfyui.motion import apply as comfyui

    settings = {"steps": 25, "sampler": "euler", "scheduler": "normal", "model": demo.model, "strength": 1.0} | settings
    model = comfyui.apply(settings["model"], demo.motion, comfyui.Settings(strength=settings["strength"]))
    latent = torch.zeros(frames, 4, 8, 8)
    with torch.inference_mode():
        return comfy.sample.sample(
            model, comfy.sample.prepare_noise(latent, seed), settings["steps"], 3.0, settings["sampler"],
            settings["scheduler"], encode(demo, prompt), encode(demo, negative), latent, disable_pbar=True, seed=seed,
        )  # fmt: skip


@torch.inference_mode()
def decode(demo: Any, latents: torch.Tensor) -> torch.Tensor:
    from zoetrope.hosts.comfyui.vae.chunked import ChunkedVae
    from zoetrope.hosts.comfyui.vae.video import decode_all

    return decode_all(latents, ChunkedVae(demo.vae)).permute(0, 3, 1, 2)


# -- the numbers -------------------------------------------------------------------------------------------------------------


@torch.inference_mode()
def test_the_unet_is_the_one_on_diffusers(demo: Any, reference: Any, tiny: Any) -> None:
    x, context = noise(3, 4, 8, 8), noise(3, 12, 64, seed=2)
    times = torch.tensor([999, 400, 3])
    expected = reference.unet(x, times, context).sample
    assert error_of(tiny.call_unet(demo.model, x, times.float(), context), expected) < 2e-5


@torch.inference_mode()
def test_text_and_vae_are_the_ones_on_diffusers(demo: Any, reference: Any) -> None:
    expected = reference.text(reference.text.tokenize([PROMPT]))
    assert error_of(encode(demo, PROMPT)[0][0], expected) < 1e-6
    pictures = torch.rand(2, 64, 64, 3, generator=torch.Generator().manual_seed(0))
    latents = reference.vae.encode(pictures.permute(0, 3, 1, 2) * 2 - 1).latent_dist.mean
    assert error_of(demo.vae.encode(pictures), latents) < 2e-4
    shown = (reference.vae.decode(latents).sample / 2 + 0.5).clamp(0, 1)
    assert error_of(demo.vae.decode(latents).permute(0, 3, 1, 2), shown) < 2e-4


@pytest.mark.one_host
def test_latents_have_the_variance_that_the_host_expects(demo: Any, reference: Any) -> None:
    from zoetrope.demo.world import draw, film

    pictures = torch.cat([film(draw(torch.Generator().manual_seed(seed)), 1, 64) for seed in range(60)])
    latents = demo.model.model.process_latent_in(demo.vae.encode(pictures.permute(0, 2, 3, 1)))
    assert latents.mean((0, 2, 3)).abs().max() < 0.3
    assert (latents.std((0, 2, 3)) - 1).abs().max() < 0.2


# -- as an artist uses it ----------------------------------------------------------------------------------------------------


def test_a_prompt_becomes_a_clip_of_it(demo: Any, tiny: Any) -> None:
    for prompt, colour, shape in (
        (PROMPT, "red", "circle"),
        ("a blue triangle moving up on white at 8 fps", "blue", "triangle"),
    ):
        detection = detect(decode(demo, sample(demo, tiny, 16, prompt=prompt)))
        assert (detection.colour, detection.shape) == (colour, shape)


@pytest.mark.parametrize(
    ("sampler", "scheduler"),
    [
        ("euler", "simple"),
        ("ddim", "ddim_uniform"),
        ("dpmpp_2m", "karras"),
        ("heun", "normal"),
        ("uni_pc", "sgm_uniform"),
        ("euler_ancestral", "exponential"),
        ("lcm", "beta"),
    ],
)
def test_samplers_and_schedulers(demo: Any, tiny: Any, sampler: str, scheduler: str) -> None:
    clip = decode(demo, sample(demo, tiny, 8, steps=12, sampler=sampler, scheduler=scheduler))
    assert detect(clip).colour == "red"


@pytest.mark.parametrize("frames", [1, 2, 17, 64])
def test_clip_lengths(demo: Any, tiny: Any, frames: int) -> None:
    latents = sample(demo, tiny, frames, steps=4)
    assert latents.shape == (frames, 4, 8, 8)
    assert latents.isfinite().all()


def test_more_frames_than_positions_are_refused(demo: Any, tiny: Any) -> None:
    with pytest.raises(ValueError, match="64"):
        sample(demo, tiny, 65, steps=1)


def test_strength_0_is_the_image_model(demo: Any, tiny: Any) -> None:
    import comfy.sample

    latent = torch.zeros(4, 4, 8, 8)
    with torch.inference_mode():
        plain = comfy.sample.sample(
            demo.model, comfy.sample.prepare_noise(latent, 7), 4, 3.0, "euler", "normal", encode(demo, PROMPT),
            encode(demo, ""), latent, disable_pbar=True, seed=7,
        )  # fmt: skip
    assert torch.equal(sample(demo, tiny, 4, steps=4, strength=0.0), plain)
    assert not torch.equal(sample(demo, tiny, 4, steps=4), plain)


def test_lora_on_the_demo_unet(demo: Any, tiny: Any, tmp_path: Path) -> None:
    """A LoRA in the usual spelling finds its layers, changes the picture, and is gone with its clone."""
    import comfy.sd

    name = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q"
    lora = {f"{name}.lora_up.weight": noise(64, 4), f"{name}.lora_down.weight": noise(4, 64, seed=3)}
    before = sample(demo, tiny, 2, steps=2)
    model, _ = comfy.sd.load_lora_for_models(demo.model, demo.clip, lora, 1.0, 1.0)
    assert model.patches
    assert not torch.equal(sample(demo, tiny, 2, steps=2, model=model), before)
    assert torch.equal(sample(demo, tiny, 2, steps=2), before)


# -- words -------------------------------------------------------------------------------------------------------------------


def test_weighted_words_and_unknown_words(demo: Any, caplog: pytest.LogCaptureFixture) -> None:
    plain, heavy = encode(demo, "a red circle"), encode(demo, "a (red:1.5) circle")
    assert not torch.equal(plain[0][0], heavy[0][0])
    with caplog.at_level(logging.WARNING):
        encode(demo, "a photorealistic (red:1.2) circle")
    assert "photorealistic" in caplog.text
    assert "1.2" not in caplog.text
    assert plain[0][1]["pooled_output"].shape == (1, 64)


def test_an_empty_prompt_says_nothing_and_warns_of_nothing(demo: Any, caplog: pytest.LogCaptureFixture) -> None:
    assert encode(demo, "")[0][0].shape == (1, 12, 64)
    assert "Zoetrope" not in caplog.text


def same(one: Any, other: Any) -> bool:
    return torch.equal(one[0][0], other[0][0])


def test_a_prompt_is_read_as_on_diffusers(demo: Any, reference: Any) -> None:
    for prompt in ("a blue square moving left", "the ball moves to the right, grey background, red", "a dog", "moving up", ""):
        expected = reference.text(reference.text.tokenize([reference.canonical_prompt(prompt)]))
        assert error_of(encode(demo, prompt)[0][0], expected) < 1e-6
    assert same(encode(demo, "a blue square moving left"), encode(demo, "a blue square moving left on black at 8 fps"))
    assert same(
        encode(demo, "(blue:1.4) box (leftwards:1.2)"), encode(demo, "a (blue:1.4) square (moving left:1.2) on black at 8 fps")
    )
    assert not same(encode(demo, "(blue:1.4) box"), encode(demo, "blue box"))


@pytest.mark.one_host
def test_the_upscaler_reads_the_same_words_and_assumes_nothing() -> None:
    from zoetrope.hosts.comfyui.loaders.demo import demo_clip

    clip = demo_clip(completes=False)
    (row,) = clip.tokenize("a red ball")["demo"]
    text = clip.tokenizer.text
    assert [text.word_of(token) for token, _ in row if token] == ["a", "red", "circle"]


class Page:
    """What a server sends to the editor."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []

    def send_progress_text(self, text: str, node_id: str) -> None:
        self.lines.append((node_id, text))


def test_notes_stand_under_the_node_that_encodes(demo: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from comfy_execution.utils import CurrentNodeContext
    from zoetrope.hosts.comfyui import progress

    page = Page()
    monkeypatch.setattr(progress, "_server", lambda: page)
    with CurrentNodeContext("run 1", "6"):
        encode(demo, "a red circle moving right on black at 8 fps")
    with CurrentNodeContext("run 1", "7"):
        encode(demo, "")
    assert page.lines == []
    with CurrentNodeContext("run 2", "6"):
        encode(demo, "a dog and a red circle")
    assert page.lines == [("6", "read as 'a red circle on black at 8 fps'; not known: 'dog'; assumed: on black")]
    with CurrentNodeContext("run 3", "6"):  # a timeline: two prompts of one node
        encode(demo, "red circle on white")
        encode(demo, "a dog")
        encode(demo, "a cat")
    first, second, third = (text.split("\n") for _, text in page.lines[1:])
    assert first == ["read as 'a red circle on white at 8 fps'"], "the line of the run before is replaced"
    assert [line.split(";")[0] for line in third] == ["not known: 'dog'", "not known: 'cat'"]
    assert second == third[:1]
    with CurrentNodeContext("run 4", "7"):
        encode(demo, "moving left")
    assert len(page.lines) == 4, "a node without a line gets none"


# -- files -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("part", ["vae", "unet", "text", "motion"])
def test_a_damaged_model_is_named(host: Any, tmp_path: Path, part: str) -> None:
    folder = Path(shutil.copytree(FOLDER, tmp_path / "demo"))
    path = folder / f"{part}.safetensors"
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(ValueError, match=f"{part}.safetensors"):
        host.load_demo(folder)
    path.unlink()
    with pytest.raises(ValueError, match=f"{part}.safetensors is missing"):
        host.load_demo(folder)


@pytest.mark.parametrize("part", ["vae", "unet", "text"])
def test_a_foreign_tensor_is_named(host: Any, tmp_path: Path, part: str) -> None:
    folder = Path(shutil.copytree(FOLDER, tmp_path / "demo"))
    path = folder / f"{part}.safetensors"
    tensors = load_file(path)
    with safe_open(path, "pt") as file:
        header = file.metadata()
    name = next(name for name, value in tensors.items() if value.ndim > 1)
    for damaged in ({k: v for k, v in tensors.items() if k != name}, tensors | {name: tensors[name][1:].clone()}):
        save_file(damaged, path, header)
        with pytest.raises(ValueError, match=f"not the embedded model's {part}"):
            host.load_demo(folder)
