"""The recipe: configurations, noise levels, a run that is killed and resumed makes the same weights, stages on tiny data."""

import json
import multiprocessing
import signal
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.distributed as dist
from PIL import Image
from torch import Tensor, nn
from zoetrope.demo.layout import TEMPORAL_VAE, part_path
from zoetrope.demo.world import draw, film
from zoetrope.hosts.diffusers.demo.model import load_demo
from zoetrope.models.image_prompt.pixels import pixels_of
from zoetrope.models.vae.loading import load_vae
from zoetrope.sampling.diffusion import SD_SIGMAS, velocity
from zoetrope.training.demo import export, samples
from zoetrope.training.demo.__main__ import main
from zoetrope.training.demo.config import (
    DecoderRun,
    ImageRun,
    PictureRun,
    SightRun,
    UpscalerRun,
    UpscalerVaeRun,
    VaeRun,
    VideoRun,
    read_config,
)
from zoetrope.training.demo.decoder import ClipCritic, decoder_loss, errors
from zoetrope.training.demo.denoising import Batch, denoising_error, draw_clips, image_loss, video_loss
from zoetrope.training.demo.evaluation import make_set, read_set, summarise
from zoetrope.training.demo.export import calibrated_vae
from zoetrope.training.demo.levels import KINDS, draw_levels
from zoetrope.training.demo.library import LENGTH, STARTS, Library, build_library, encode_shot, fingerprint, scene_of
from zoetrope.training.demo.networks import (
    new_motion,
    new_projector,
    new_temporal_vae,
    new_text,
    new_unet,
    new_vae,
    new_vision,
    over_frames,
    trainable,
)
from zoetrope.training.demo.pictures import draw_pictures, picture_loss, sight_loss
from zoetrope.training.demo.vae import outlines, vae_loss, windows
from zoetrope.training.loop import average_gradients, averaged_weights, generators, train

STAGES = Path(__file__).parents[2] / "training" / "demo" / "stages"


# -- configurations ----------------------------------------------------------------------------------------------------------


def test_the_shipped_stages_can_be_read() -> None:
    kinds = {path.stem: type(read_config(path)) for path in STAGES.glob("*.json")}
    decoders = {"decoder": DecoderRun, "decoder_whole": DecoderRun}
    pictures = {"sight": SightRun, "picture": PictureRun}
    upscalers = {
        "upscaler_vae": UpscalerVaeRun, "upscaler_vae_whole": UpscalerVaeRun, "upscaler": UpscalerRun,
        "upscaler_video": UpscalerRun,
    }  # fmt: skip
    others = {"vae": VaeRun, "image": ImageRun, "video": VideoRun, "video_frozen": VideoRun}
    assert kinds == {**others, **decoders, **pictures, **upscalers}
    video = read_config(STAGES / "video.json")
    assert isinstance(video, VideoRun)
    assert sum(video.levels.values()) == pytest.approx(1)
    assert set(video.levels) == set(KINDS)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"stage": "film"}, "expected one of vae, decoder, image, video, sight, picture, upscaler_vae, upscaler, got 'film'"),
        ({"sped": 1}, "sped .unknown"),
        ({"seed": None}, "seed .missing"),
    ],
)
def test_a_wrong_configuration_is_named(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    fields = {**json.loads((STAGES / "image.json").read_text()), **change}
    (tmp_path / "stage.json").write_text(json.dumps({k: v for k, v in fields.items() if v is not None}))
    with pytest.raises(ValueError, match=f"stage.json: .*{words}"):
        read_config(tmp_path / "stage.json")


# -- noise levels ------------------------------------------------------------------------------------------------------------


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


# -- the loop ----------------------------------------------------------------------------------------------------------------


def tiny_run(**change: Any) -> ImageRun:
    fields: dict[str, Any] = {
        "stage": "image", "seed": 7, "steps": 12, "batch": 2, "rate": 0.01, "warmup": 3, "ema": 0.9, "size": 64,
        "save_every": 4, "show_every": 6, "shots": 6, "dropped_prompts": 0.0,
    }  # fmt: skip
    return ImageRun(**fields | change)


def fit_a_line(folder: Path, until: int | None = None, fail_at: int | None = None) -> dict[str, Tensor]:
    """Trains one linear layer towards y = 3x + 1. Returns its weights."""
    torch.manual_seed(0)
    line, calls = nn.Linear(1, 1), 0

    def loss(kind: torch.Generator, generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        nonlocal calls
        calls += 1
        if calls == fail_at:
            signal.raise_signal(signal.SIGINT)
        x = torch.randn(32, 1, generator=generator)
        error = (line(x) - 3 * x - 1).square().mean()
        return error, {"error": float(error.detach())}

    train(tiny_run(), {"line": line}, loss, lambda modules: Image.new("RGB", (4, 4)), folder, until)
    return {key: value.clone() for key, value in line.state_dict().items()}


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return all(torch.equal(one[key], other[key]) for key in one)


def test_a_run_that_was_stopped_goes_on_to_the_same_bits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = signal.getsignal(signal.SIGINT)  # ignored where a shell started the suite in the background
    whole = fit_a_line(tmp_path / "whole")
    fit_a_line(tmp_path / "parts", until=5)
    fit_a_line(tmp_path / "parts", fail_at=3)  # Ctrl-C in the middle of a step
    assert "stopped at step 8" in capsys.readouterr().err  # the step was done whole
    assert signal.getsignal(signal.SIGINT) is before
    assert same(fit_a_line(tmp_path / "parts"), whole)
    averages = [averaged_weights(tmp_path / name)["line"] for name in ("whole", "parts")]
    assert same(*averages)
    assert not same(averages[0], whole)
    assert (tmp_path / "whole" / "sheet_000006.png").is_file()
    assert json.loads((tmp_path / "whole" / "log.jsonl").read_text().splitlines()[-1])["step"] == 12


def test_another_configuration_does_not_go_on(tmp_path: Path) -> None:
    fit_a_line(tmp_path, until=4)
    line = nn.Linear(1, 1)
    never: Any = None
    with pytest.raises(ValueError, match="rate differ"):
        train(tiny_run(rate=0.02), {"line": line}, never, never, tmp_path)
    with pytest.raises(ValueError, match="no state.pt"):
        averaged_weights(tmp_path / "nowhere")


def one_of_two(rank: int, folder: str) -> None:
    """A process that sees its own data; writes the gradient it was left with."""
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    line = nn.Linear(2, 1, bias=False)
    kind, data = generators(3, 0)
    value = torch.rand((), generator=data)
    (line.weight.sum() * value).backward()
    average_gradients([*line.parameters(), nn.Parameter(torch.zeros(1))])  # one that this step did not reach
    torch.save((torch.rand((), generator=kind), value, line.weight.grad), f"{folder}/{rank}.pt")
    dist.destroy_process_group()


def test_two_processes_take_the_same_kind_of_step_on_different_data(tmp_path: Path) -> None:
    processes = [multiprocessing.get_context("fork").Process(target=one_of_two, args=(r, str(tmp_path))) for r in (0, 1)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0]
    (kind, data, gradient), (kind2, data2, gradient2) = (torch.load(tmp_path / f"{rank}.pt") for rank in (0, 1))
    assert kind == kind2
    assert data != data2
    assert torch.equal(gradient, gradient2)
    assert torch.allclose(gradient, ((data + data2) / 2).expand(1, 2))


# -- data --------------------------------------------------------------------------------------------------------------------


class Encoder:
    """Stands for a VAE: 8 px means of red, green, blue and brightness."""

    device, dtype = torch.device("cpu"), torch.float32

    class config:  # noqa: N801
        scaling_factor = 0.5

    def encode(self, pictures: Tensor) -> Any:
        means = torch.nn.functional.avg_pool2d(pictures, 8)

        class Out:
            class latent_dist:  # noqa: N801
                mean = torch.cat([means, means.mean(1, keepdim=True)], 1)

        return Out


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Library:
    return build_library(tmp_path_factory.mktemp("library") / "library.pt", Encoder(), "a", 6, 64, print)


def test_a_clip_is_a_window_of_its_shot(library: Library) -> None:
    generator = torch.Generator().manual_seed(0)
    for fps, stride in ((4, 4), (8, 2), (16, 1)):
        clip = library.clip(3, 16, fps, generator)
        starts = [s for s in range(LENGTH) if torch.equal(library.latents[3, s : s + 15 * stride + 1 : stride].float(), clip)]
        assert starts
    assert library.prompt(3, 8) == f"{scene_of(3).caption} at 8 fps"


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
    _, prompts = draw_clips(library, 400, 1, 0.25, torch.Generator().manual_seed(1))
    assert prompts.count("") / 400 == pytest.approx(0.25, abs=0.07)


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
    from zoetrope.demo.detector import watch

    scenes = [scene for scene, _ in read_set()[:10]]
    truth = summarise([(scene, watch(film(scene, 16, 64))) for scene in scenes])
    assert (truth.colour, truth.shape, truth.direction, truth.still) == (1, 1, 1, 1)
    assert truth.jerk < 0.1
    frozen = summarise([(scene, watch(film(scene, 1, 64).expand(16, -1, -1, -1))) for scene in scenes])
    assert (frozen.direction, frozen.still) == (0, 1)


# -- what is learned ---------------------------------------------------------------------------------------------------------


def test_a_calibrated_vae_gives_the_same_pictures_and_normal_latents(tmp_path: Path) -> None:
    torch.manual_seed(0)
    vae = new_vae().eval()
    vae.quant_conv.bias.data[:4] += torch.tensor([3.0, -2.0, 0.5, 0.0])
    torch.save({"average": {"vae": vae.state_dict()}}, tmp_path / "state.pt")
    calibrated = calibrated_vae(tmp_path)
    pictures = torch.cat([film(scene_of(index), 1, 64) for index in range(40)]) * 2 - 1
    with torch.no_grad():
        before, after = vae.encode(pictures).latent_dist, calibrated.encode(pictures).latent_dist
        shown = [v.decode(d.mean).sample for v, d in ((vae, before), (calibrated, after))]
    latents = after.mean * calibrated.config.scaling_factor
    assert latents.mean((0, 2, 3)).abs().max() < 0.3
    assert latents.std((0, 2, 3)) == pytest.approx([1] * 4, abs=0.25)
    assert (shown[0] - shown[1]).abs().max() < 1e-4
    scale = after.mean.std((0, 2, 3)) / before.mean.std((0, 2, 3))  # the noise must shrink or grow as the latents do
    assert torch.allclose(after.std / before.std, scale[None, :, None, None].expand_as(after.std), rtol=1e-3)


def test_given_frames_are_shown_clean_and_not_learned_from() -> None:
    clean, noise = torch.randn(2, 3, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    given = torch.tensor([True, False, False])
    batch = Batch(clean, noise, torch.tensor([0, 400, 900]), given, ["a red circle"], 3)

    class Unet:
        device = torch.device("cpu")

        def __call__(self, x: Tensor, times: Tensor, context: Tensor) -> Any:
            assert torch.equal(x[0], clean[0])
            assert not torch.equal(x[1], clean[1])
            assert context.shape == (3, 12, 64)
            return SimpleNamespace(sample=torch.zeros_like(x))

    wanted = velocity(clean, noise, SD_SIGMAS[batch.times])[1:].square().mean()
    assert denoising_error(Unet(), new_text(), None, batch) == pytest.approx(float(wanted))


def test_every_loss_reaches_what_it_should_train(library: Library) -> None:
    torch.manual_seed(0)
    unet, text, motion, vae = new_unet(), new_text(), new_motion(), new_vae()
    image = tiny_run()
    video = read_config(STAGES / "video.json")
    assert isinstance(video, VideoRun)
    stage = read_config(STAGES / "vae.json")
    assert isinstance(stage, VaeRun)
    assert gradients(image_loss(image, library, unet, text), unet, text) == [True, True]
    clips = VideoRun(**{**vars(video), "batch": 1, "frames": (4,), "image_share": 0.0})
    assert gradients(video_loss(clips, library, unet, text, motion), unet, text, motion) == [True, True, True]
    stills = VideoRun(**{**vars(clips), "image_share": 1.0})
    assert gradients(video_loss(stills, library, unet, text, motion), unet, text, motion) == [True, True, False]
    assert gradients(vae_loss(VaeRun(**{**vars(stage), "batch": 1}), vae, torch.device("cpu")), vae) == [True]


def test_the_new_decoder_is_the_image_decoder_until_it_learns() -> None:
    torch.manual_seed(0)
    image = new_vae()
    temporal = new_temporal_vae(image)
    clip = film(draw(torch.Generator().manual_seed(1)), 5, 64) * 2 - 1
    with torch.inference_mode():
        latents = image.encode(clip).latent_dist.mean
        assert torch.allclose(temporal.encode(clip), latents, atol=1e-4)
        assert torch.allclose(temporal.decode(latents), image.decode(latents).sample, atol=1e-4)
    assert sum(p.numel() for p in over_frames(temporal)) == sum(p.numel() for p in temporal.parameters()) - sum(
        p.numel() for p in image.parameters()
    )


@pytest.mark.parametrize("whole", [True, False])
def test_decoder_and_critic_learn_from_each_other_and_the_encoder_from_neither(whole: bool) -> None:
    torch.manual_seed(0)
    stage = read_config(STAGES / "decoder.json")
    assert isinstance(stage, DecoderRun)
    run = DecoderRun(**{**vars(stage), "batch": 1, "frames": (3,), "train_image": whole, "crop_share": 1.0})
    vae, critic = new_temporal_vae(new_vae()), ClipCritic(8)
    trainable(vae, run)
    assert gradients(decoder_loss(run, vae, critic, torch.device("cpu")), vae, critic) == [True, True]
    reached = {name for name, p in vae.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0}
    assert reached
    assert not any(name.startswith(("encoder", "quant_conv")) for name in reached)
    assert any(".conv1." in name for name in reached) == whole
    vae.zero_grad(set_to_none=True)
    critic.zero_grad(set_to_none=True)
    truth = torch.rand(3, 3, 32, 32) * 2 - 1
    terms = errors(run, vae, critic, truth, vae.decode(vae.encode(truth)))
    terms["fooling"].backward(retain_graph=True)
    assert all(p.grad is None for p in critic.parameters()), "what teaches the decoder leaves the critic alone"
    vae.zero_grad(set_to_none=True)
    terms["telling"].backward()
    assert all(p.grad is None for p in vae.parameters()), "and the other way round"


def gradients(loss: Any, *modules: Any) -> list[bool]:
    for module in modules:
        module.zero_grad(set_to_none=True)
    value, figures = loss(*generators(1, 1))
    assert value.isfinite()
    assert figures
    value.backward()
    return [any(p.grad is not None and p.grad.abs().sum() > 0 for p in module.parameters()) for module in modules]


def test_a_clip_from_rest_begins_without_a_trail_and_goes_on_as_the_other() -> None:
    """The library's first frames of a shot that starts from rest, at every rate."""
    scenes = (draw(torch.Generator().manual_seed(3), motion="moving right", speed=0.5),)
    moving, rest = (film(scenes[0], LENGTH, 64, 16, rest=rest)[None] for rest in (False, True))
    assert not torch.allclose(rest[0, 0], moving[0, 0])
    assert torch.allclose(rest[0, 0], film(scenes[0], 1, 64, rest=True)[0])
    assert torch.allclose(rest[0, STARTS:], moving[0, STARTS:]), "after that the trail is whole"
    library = Library(scenes, moving, rest[:, :STARTS])
    for fps in (4, 8, 16):
        assert torch.allclose(library.from_rest(0, 8, fps), rest[0, :: 16 // fps][:8], atol=1e-3)


def test_pictures_are_those_of_their_clips_and_some_are_none() -> None:
    run = read_config(STAGES / "picture.json")
    assert isinstance(run, PictureRun)
    scenes = tuple(scene_of(index) for index in range(4))
    latents = torch.stack([film(scene, LENGTH, 64, 16)[:, :1, :1, :1].expand(-1, 4, 8, 8) for scene in scenes])
    library = Library(scenes, latents.half(), latents[:, :STARTS].half())
    shown = replace(run, levels={"first": 1.0}, rest=1.0, dropped_pictures=0.0, said={"motion": 1.0})
    drawn = draw_pictures(shown, library, 6, 8, torch.Generator().manual_seed(1))
    assert drawn.pixels.shape == (6, 3, 64, 64)
    assert bool(drawn.batch.given.reshape(6, 8)[:, 0].all())
    motions = {scene.motion for scene in scenes}
    assert all(prompt.partition(" at ")[0].removeprefix("a ") in motions for prompt in drawn.batch.prompts)
    wanted = torch.cat([pixels_of(film(scene, 1, 64, rest=True), 64, False) for scene in scenes])
    gaps = (drawn.pixels[:, None] - wanted[None]).abs().amax((2, 3, 4))  # (clips, scenes)
    assert float(gaps.min(1).values.max()) < 1e-6
    none = draw_pictures(replace(shown, dropped_pictures=1.0), library, 2, 8, torch.Generator().manual_seed(1))
    assert not bool(none.pixels.any())


def test_a_picture_teaches_everything_that_sees_it() -> None:
    run = read_config(STAGES / "picture.json")
    assert isinstance(run, PictureRun)
    scenes = tuple(scene_of(index) for index in range(2))
    latents = torch.randn(2, LENGTH, 4, 8, 8, generator=torch.Generator().manual_seed(0)).half()
    library = Library(scenes, latents, latents[:, :STARTS])
    unet, text, motion, vision = new_unet(), new_text(), new_motion(), new_vision()
    projector = new_projector(unet)
    asked = replace(run, batch=1, frames=(4,), picture_share=1.0, dropped_pictures=0.0)
    value, figures = picture_loss(asked, library, unet, text, motion, vision, projector)(*generators(1, 1))
    assert set(figures) == {"picture"}
    value.backward()
    for module in (unet, text, motion, vision, projector.projector, projector.image):
        assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in module.parameters())
    sight = read_config(STAGES / "sight.json")
    assert isinstance(sight, SightRun)
    value, figures = sight_loss(replace(sight, batch=2), text, vision, projector)(*generators(1, 1))
    assert figures["words"] == pytest.approx(float(value))


def test_the_stages_make_a_model_that_films(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The card's commands, one step each, and the model they leave behind."""
    monkeypatch.setattr(samples, "STEPS", 1)
    monkeypatch.setattr(export, "PICTURES", 8)

    def run(stage: str, *arguments: object, **change: Any) -> None:
        fields = json.loads((STAGES / f"{stage}.json").read_text()) | {"steps": 1, "batch": 1, **change}
        (tmp_path / f"{stage}.json").write_text(json.dumps(fields))
        monkeypatch.setattr("sys.argv", ["training", *map(str, (tmp_path / f"{stage}.json", *arguments))])
        main()

    vae, image, video = ("--output", tmp_path / "vae"), tmp_path / "image", tmp_path / "video"
    run("vae", *vae)
    run("image", "--output", image, "--vae", vae[1], shots=2)
    run("video", "--output", video, "--vae", vae[1], "--from", image, shots=2, image_share=0.0)
    run("decoder", "--output", tmp_path / "decoder", "--vae", vae[1], frames=[3], crop_share=0.0)
    run(
        "decoder_whole",
        "--output",
        tmp_path / "whole",
        "--vae",
        vae[1],
        "--from",
        tmp_path / "decoder",
        frames=[3],
        crop_share=1.0,
    )
    sight, picture = tmp_path / "sight", tmp_path / "picture"
    run("sight", "--output", sight, "--vae", vae[1], "--from", video)
    more = {"shots": 2, "picture_share": 1.0, "image_share": 0.0, "levels": {"first": 1.0}, "rest": 1.0}
    run("picture", "--output", picture, "--vae", vae[1], "--from", video, "--sight", sight, **more)
    parts = ("export", "--output", tmp_path / "demo", "--vae", vae[1], "--from", picture, "--decoder", tmp_path / "whole")
    monkeypatch.setattr("sys.argv", ["training", *map(str, parts)])
    main()
    demo = load_demo(tmp_path / "demo")
    assert demo.film("a red circle", 2, steps=1).shape == (2, 3, 64, 64)
    begun, on, kept = (averaged_weights(folder)["unet"]["conv_in.weight"] for folder in (image, video, picture))
    assert torch.equal(demo.unet.conv_in.weight.half(), kept.half())
    assert (on - begun).abs().max() < 1e-3  # the video stage went on from the image stage
    assert 0 < (kept - on).abs().max() < 1e-3  # and the picture stage from that
    assert demo.sight is not None
    seen = demo.film("moving right", 2, steps=2, picture=film(scene_of(0), 1, 64)[0])
    assert seen.shape == (2, 3, 64, 64)
    eyes = averaged_weights(picture)
    assert torch.equal(demo.sight.tower.conv1.weight.half(), eyes["vision"]["conv1.weight"].half())
    table = demo.sight.projector.network.state_dict()["projector.latents.table"]
    assert torch.equal(table.half(), eyes["projector"]["projector.latents.table"].half())
    assert (image / "sheet_000001.png").is_file()
    decoder = load_vae(part_path(TEMPORAL_VAE, tmp_path / "demo"))
    assert decoder.family.name == "svd"
    first, second = (averaged_weights(tmp_path / folder)["decoder"] for folder in ("decoder", "whole"))
    for key, kept in second.items():
        assert torch.equal(decoder.network.state_dict()[key], kept.half())
        begun = first[key]
        assert (kept - begun).abs().max() < 1e-2, "the second stage went on from the first"
        assert key.startswith(("decoder", "last")) or torch.equal(kept, begun), "the encoder stays"
