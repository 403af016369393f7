"""The embedded model without ComfyUI: it films what it is asked, refuses what it cannot, and its files are small and whole."""

import logging
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from zoetrope.demo.detector import detect
from zoetrope.demo.layout import FOLDER, FRAMES, PARTS, part_path
from zoetrope.hosts.diffusers.demo.model import Demo, load_demo
from zoetrope.models.motion.loading import load_motion
from zoetrope.sampling.guidance import EVERYWHERE


@pytest.fixture(scope="module")
def demo() -> Demo:
    return load_demo()


def test_the_files_are_small_and_the_motion_module_is_an_ordinary_one() -> None:
    assert {path.stem for path in FOLDER.glob("*.safetensors")} >= set(PARTS)
    assert sum(part_path(name).stat().st_size for name in PARTS) <= 14e6
    _, report = load_motion(part_path("motion"))
    assert (report.family, report.variant.frames, report.variant.max_frames) == ("zoetrope", FRAMES, 64)
    assert report.dtypes == ("float16",)


def test_two_prompts_give_clips_that_the_detector_tells_apart(demo: Demo) -> None:
    prompts = ["a red circle moving right on black", "a blue triangle moving left on white"]
    detections = [detect(clip) for clip in demo.generate_batch(prompts, 16, [7, 12])]
    assert [(s.colour, s.shape, s.motion) for s in detections] == [
        ("red", "circle", "moving right"),
        ("blue", "triangle", "moving left"),
    ]


def test_a_clip_depends_on_its_own_prompt_and_seed_only(demo: Demo) -> None:
    prompts = ["a green square moving up on grey", "a cyan circle standing still on black"]
    both = demo.generate_batch(prompts, 3, [5, 6], steps=3)
    for prompt, seed, clip in zip(prompts, (5, 6), both, strict=True):
        assert (demo.generate(prompt, 3, seed, steps=3) - clip).abs().max() < 1e-3
    assert torch.equal(demo.generate(prompts[0], 3, 5, steps=3), demo.generate(prompts[0], 3, 5, steps=3))
    assert (demo.generate(prompts[0], 3, 5, steps=3) - demo.generate(prompts[0], 3, 6, steps=3)).abs().max() > 0.1


def test_without_motion_frames_do_not_know_each_other(demo: Demo) -> None:
    still = replace(demo, motion=None)
    prompt = "a red circle moving right on black"
    alone = still.generate(prompt, 1, 3, steps=4)
    assert (still.generate(prompt, 4, 3, steps=4)[:1] - alone).abs().max() < 1e-3
    assert (demo.generate(prompt, 4, 3, steps=4)[:1] - alone).abs().max() > 0.01


@pytest.mark.parametrize(("frames", "size"), [(1, 64), (17, 64), (2, 72), (2, 128)])
def test_lengths_and_sizes_that_run(demo: Demo, frames: int, size: int) -> None:
    steps: list[int] = []
    clip = demo.generate("a red circle", frames, steps=2, size=size, on_step=steps.append)
    assert clip.shape == (frames, 3, size, size)
    assert steps == [1, 2]
    assert clip.min() >= 0
    assert clip.max() <= 1


def test_what_it_cannot_make_is_refused(demo: Demo) -> None:
    for frames, size, steps, words in (
        (0, 64, 25, "frames: expected 1 to 64 .trained on 16., got 0"),
        (65, 64, 25, "got 65"),
        (10_000, 64, 25, "frames: expected 1 to 64 .*got 10000"),
        (16, 70, 25, "multiple of 8 pixels, 64 or more, got 70"),
        (16, 32, 25, "multiple of 8 pixels, 64 or more, got 32"),
        (16, 64, 0, "steps: expected 1 to 1000, got 0"),
    ):
        with pytest.raises(ValueError, match=words):
            demo.generate("a red circle", frames, size=size, steps=steps)
    with pytest.raises(ValueError, match="fps: expected one of 4, 8, 16, got 12"):
        demo.generate("a red circle", fps=12)


def test_a_prompt_is_read_in_everyday_english_and_what_is_not_known_is_logged(
    demo: Demo, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        clip = demo.generate("a red circle moving left on black at 4 fps", 2, steps=2)
        assert caplog.text == ""
        assert torch.equal(demo.generate("4fps, on a black ground the ball of red colour moves to the left", 2, steps=2), clip)
        assert "not known" not in caplog.text
        demo.generate("a red circle moving left", 1, steps=1)
        assert caplog.records[-1].levelname == "INFO"
        assert "assumed: on black" in caplog.text
        empty = demo.generate("", 2, steps=2)
        assert torch.equal(demo.generate("dogs", 2, steps=2), empty)
        assert caplog.records[-1].levelname == "WARNING"
        assert "not known: 'dogs'; so the prompt counts as empty; known are colours: red" in caplog.text
    assert demo.canonical_prompt("a blue square", picture=True) == "a blue square at 8 fps", "the picture shows the ground"


def test_a_rate_in_the_prompt_is_not_said_twice(demo: Demo) -> None:
    clips = [demo.generate(f"a red circle{told}", 2, steps=2, fps=16) for told in ("", " at 16 fps", ", at 4 fps")]
    assert torch.equal(clips[0], clips[1])
    assert torch.equal(clips[0], clips[2])


@pytest.mark.parametrize("part", PARTS)
def test_missing_and_damaged_files_are_named(tmp_path: Path, part: str) -> None:
    folder = Path(shutil.copytree(FOLDER, tmp_path / "demo"))
    path = folder / f"{part}.safetensors"
    path.write_bytes(path.read_bytes()[:4000])
    with pytest.raises(ValueError, match=f"{part}.safetensors"):
        load_demo(folder)
    path.unlink()
    with pytest.raises(ValueError, match=f"{part}.safetensors is missing.*install the pack again"):
        load_demo(folder)


def test_a_part_of_another_model_is_named(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(FOLDER, tmp_path / "demo"))
    shutil.copy(folder / "vae.safetensors", folder / "unet.safetensors")
    with pytest.raises(ValueError, match="unet.safetensors.*not the embedded model's unet"):
        load_demo(folder)


def test_calls_outside_the_guidance_interval_compute_the_prompt_alone(demo: Demo) -> None:
    rows: list[int] = []
    handle = demo.unet.register_forward_pre_hook(lambda _, args: rows.append(len(args[0])))
    try:
        limited = demo.generate("a red circle", 2, steps=6)
        assert rows == [4, 4, 2, 2, 2, 2]  # a third of the steps is above sigma 3
        none = demo.generate("a red circle", 2, steps=6, guidance=1)
        everywhere = replace(demo, interval=EVERYWHERE).generate("a red circle", 2, steps=6)
    finally:
        handle.remove()
    assert rows[6:] == [2] * 6 + [4] * 6
    assert not torch.allclose(limited, none, atol=1e-3)
    assert not torch.allclose(limited, everywhere, atol=1e-3)


def test_each_frame_is_guided_by_its_own_noise_level(demo: Demo) -> None:
    still, x = replace(demo, motion=None), torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    sigma = torch.tensor([12.0, 0.5])
    told, untold = (demo.text(demo.text.tokenize([prompt])).repeat(2, 1, 1) for prompt in ("a red circle", ""))
    with torch.inference_mode():
        mixed = still.guided(told, untold, 3.0)(x, sigma)
        guided = replace(still, interval=EVERYWHERE).guided(told, untold, 3.0)(x, sigma)
        plain = still.guided(told, untold, 1.0)(x, sigma)
    assert torch.allclose(mixed[0], guided[0], atol=1e-5)
    assert torch.allclose(mixed[1], plain[1], atol=1e-5)
    assert not torch.allclose(guided[1], plain[1], atol=1e-3)
