"""The data of the embedded model's training: noise levels, shots, clips, windows, evaluation set."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny_training import STAGES, Encoder, tiny_run
from torch import nn
from zoetrope.demo.detector import detect
from zoetrope.demo.world import film
from zoetrope.sampling.diffusion import SD_SIGMAS, add_noise, v_denoiser, velocity
from zoetrope.training.demo.captions import KEPT, SHUFFLED, caption_of
from zoetrope.training.demo.config import (
    VaeRun,
    read_config,
)
from zoetrope.training.demo.denoising import draw_clips, level_weight, noised
from zoetrope.training.demo.evaluation import PROPERTIES, Asked, make_set, read_set, summarise
from zoetrope.training.demo.levels import KINDS, draw_levels
from zoetrope.training.demo.library import LENGTH, Library, build_library, encode_shot, fingerprint, scene_of
from zoetrope.training.demo.vae import outlines, windows


@pytest.mark.parametrize("frames", [1, 2, 8, 16])
@pytest.mark.parametrize("kind", KINDS)
def test_levels_are_what_their_kind_says(kind: str, frames: int) -> None:
    generator = torch.Generator().manual_seed(frames)
    for _ in range(50):
        times, given = draw_levels(kind, frames, 0.5, generator)
        assert times.shape == given.shape == (frames,)
        assert times.min() >= 0
        assert times.max() < len(SD_SIGMAS)
        if kind == "one":
            assert (times == times[0]).all()
        if kind == "ramp":
            assert (times.diff() >= 0).all()
        wanted = {"one": [], "ramp": [], "first": [0], "ends": sorted({0, frames - 1})}
        if kind in wanted:
            assert given.nonzero().flatten().tolist() == wanted[kind]
        elif frames > 1:
            assert given[0]
            assert len(set(given.nonzero().flatten().diff().tolist())) <= 1
        assert (times[given] == 0).all()


def test_a_bias_prefers_high_levels() -> None:
    generator = torch.Generator().manual_seed(0)
    means = [sum(float(draw_levels("one", 1, bias, generator)[0][0]) for _ in range(400)) / 400 for bias in (1.0, 0.5)]
    assert means == pytest.approx([500, 667], abs=40)


def test_a_clip_is_a_window_of_its_shot(library: Library) -> None:
    generator = torch.Generator().manual_seed(0)
    for fps, stride in ((4, 4), (8, 2), (16, 1)):
        clip = library.clip(3, 16, fps, generator)
        starts = [s for s in range(LENGTH) if torch.equal(library.latents[3, s : s + 15 * stride + 1 : stride].float(), clip)]
        assert starts


def test_a_library_grows_and_is_the_same_as_one_built_at_once(tmp_path: Path, library: Library) -> None:
    said: list[str] = []
    build_library(tmp_path / "library.pt", Encoder(), "a", 2, 64, said.append)
    grown = build_library(tmp_path / "library.pt", Encoder(), "a", 6, 64, said.append)
    assert said == ["encoded 2 of 2 shots", "encoded 6 of 6 shots"]
    assert len(build_library(tmp_path / "library.pt", Encoder(), "a", 3, 64, said.append).scenes) == 3
    build_library(tmp_path / "library.pt", Encoder(), "b", 1, 64, said.append)
    assert "made by another VAE; encoding again" in said[2]
    assert torch.equal(grown.latents, library.latents)
    truth = film(scene_of(0), LENGTH, 64, 16) * 2 - 1
    expected = Encoder().encode(truth).latent_dist.mean * 0.5
    assert torch.allclose(encode_shot(Encoder(), scene_of(0), 64).float(), expected, atol=1e-3)


def test_a_fingerprint_tells_vaes_apart() -> None:
    line = nn.Linear(2, 2)
    before = fingerprint(line)
    assert fingerprint(line) == before
    line.weight.data[0, 0] += 1
    assert fingerprint(line) != before


def test_prompts_are_dropped_as_often_as_asked(library: Library) -> None:
    _, prompts = draw_clips(tiny_run(dropped_prompts=0.25), library, 400, 1, torch.Generator().manual_seed(1))
    assert prompts.count("") / 400 == pytest.approx(0.25, abs=0.07)


def test_loose_captions_leave_words_out_and_change_their_order() -> None:
    generator = torch.Generator().manual_seed(1)
    scene = scene_of(3)
    assert caption_of(scene, 8, 0.0, generator) == f"{scene.caption} at 8 fps"
    captions = [caption_of(scene, 8, 1.0, generator) for _ in range(400)]
    parts = {scene.colour, scene.shape, scene.motion, f"on {scene.background}", "at 8 fps"}
    for part in parts:
        assert sum(part in caption for caption in captions) / 400 == pytest.approx(KEPT, abs=0.07)
    words = {word for part in parts for word in part.split()} | {"a"}
    assert {word for caption in captions for word in caption.split()} == words
    both = [caption for caption in captions if scene.colour in caption and scene.shape in caption]
    later = sum(caption.index(scene.colour) > caption.index(scene.shape) for caption in both)
    assert later / len(both) == pytest.approx(SHUFFLED / 2, abs=0.08)
    whole = [caption_of(scene, 8, 0.3, generator).startswith(scene.caption) for _ in range(400)]
    assert sum(whole) / 400 == pytest.approx(0.7, abs=0.12)


def test_the_straight_path_begins_with_noise_alone_and_leads_to_the_same_picture() -> None:
    clean, noise = torch.randn(2, 3, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    sigma = SD_SIGMAS[torch.tensor([10, 500, 999])]
    for straight in (True, False):
        noisy, v = noised(clean, noise, sigma, torch.full((3,), straight))
        x = noisy * (1 + sigma[:, None, None, None] ** 2).sqrt()
        assert torch.allclose(v_denoiser(lambda *_, v=v: v)(x, sigma), clean, atol=1e-5)
        if straight:
            assert torch.allclose(x[2], sigma[2] * noise[2], atol=1e-4)
            middle = (1 - sigma[1] / sigma[2]) * clean[1] + sigma[1] * noise[1]
            assert torch.allclose(x[1], middle, atol=1e-5)
    assert torch.allclose(noisy, add_noise(clean, noise, sigma))
    assert torch.allclose(v, velocity(clean, noise, sigma))


def test_level_weights_are_linear_between_evenly_spaced_timesteps() -> None:
    weights = level_weight(torch.tensor([0, 333, 666, 999, 166]), (0.0, 3.0, 1.0, 2.0))
    assert weights.tolist() == pytest.approx([0.0, 3.0, 1.0, 2.0, 166 / 111], abs=1e-5)
    assert level_weight(torch.tensor([0, 999]), (1.0,)).tolist() == [1.0, 1.0]


def test_prompts_with_words_left_out_are_judged_by_what_they_say() -> None:
    scenes = [scene for scene, _ in read_set()[:8]]
    asked = [Asked.loose(scene, index) for index, scene in enumerate(scenes)]
    for index, (scene, one) in enumerate(zip(scenes, asked, strict=True)):
        missing = PROPERTIES[index % 4]
        assert one.named == set(PROPERTIES) - {missing}
        words = {"colour": scene.colour, "shape": scene.shape, "motion": scene.motion, "background": f"on {scene.background}"}
        assert all((words[name] in one.prompt) == (name != missing) for name in PROPERTIES)
    assert asked[1].prompt == f"{scenes[1].colour} {scenes[1].motion} on {scenes[1].background}"
    assert any(one.prompt != Asked.loose(one.scene, index).prompt for index, one in enumerate(asked[4:]))
    wrong = replace(scenes[0], colour="cyan")
    figures = summarise([(Asked.loose(wrong, 0), detect(film(scenes[0], 4, 64)))])
    assert (figures.shape, figures.ground, figures.no_object, figures.more_objects) == (1, 1, 0, 0)
    assert figures.colour == 0, "no prompt names a colour, so there is nothing to judge"


def test_windows_show_the_shape() -> None:
    run = read_config(STAGES / "vae.json")
    assert isinstance(run, VaeRun)
    pictures = windows(run, torch.Generator().manual_seed(3))
    assert pictures.shape == (run.batch, 3, run.crop, run.crop)
    saturation = pictures.amax(1) - pictures.amin(1)
    assert ((saturation > 0.3).float().mean((1, 2)) > 0.02).all()
    marked = outlines(pictures * 2 - 1)
    assert 0.05 < marked.mean() < 0.9


def test_evaluation_scenes_are_the_whole_world_and_not_those_of_training() -> None:
    items = read_set()
    assert [{"scene": vars(scene), "seeds": seeds} for scene, seeds in items] == make_set()
    assert len({(scene.colour, scene.shape, scene.motion) for scene, _ in items}) == len(items) == 90
    seeds = [seed for _, pair in items for seed in pair]
    assert len(set(seeds)) == 180
    trained = {(scene.x, scene.y) for scene in map(scene_of, range(2400))}
    assert not trained & {(scene.x, scene.y) for scene, _ in items}


def test_figures_of_the_truth_and_of_a_frozen_clip() -> None:
    scenes = [scene for scene, _ in read_set()[:10]]
    truth = summarise([(Asked.whole(scene), detect(film(scene, 16, 64))) for scene in scenes])
    assert (truth.colour, truth.shape, truth.direction, truth.still) == (1, 1, 1, 1)
    assert truth.jerk < 0.1
    frozen = summarise([(Asked.whole(scene), detect(film(scene, 1, 64).expand(16, -1, -1, -1))) for scene in scenes])
    assert (frozen.direction, frozen.still) == (0, 1)
