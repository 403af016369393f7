"""What each stage learns from, what it trains, and that the stages together make a model that films."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from tiny_training import STAGES, tiny_run
from torch import Tensor
from zoetrope.demo.layout import FOLDER, PROJECTOR, TEMPORAL_VAE, VISION, part_path, read_part
from zoetrope.demo.world import draw, film
from zoetrope.hosts.diffusers.demo.model import load_demo
from zoetrope.models.image_prompt.pixels import pixels_of
from zoetrope.models.vae.loading import load_vae
from zoetrope.sampling.diffusion import SD_SIGMAS, velocity
from zoetrope.training.demo import samples
from zoetrope.training.demo.__main__ import main
from zoetrope.training.demo.config import (
    DecoderRun,
    PictureRun,
    SightRun,
    VaeRun,
    VideoRun,
    read_config,
)
from zoetrope.training.demo.decoder import ClipCritic, decoder_loss, errors
from zoetrope.training.demo.denoising import Batch, denoising_error, image_loss, video_loss
from zoetrope.training.demo.export import calibrated_vae, weights_to_start_from, write_demo
from zoetrope.training.demo.library import LENGTH, STARTS, Library, scene_of
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
from zoetrope.training.demo.vae import vae_loss
from zoetrope.training.loop import STATE, averaged_weights, generators


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
    batch = Batch(clean, noise, torch.tensor([0, 400, 900]), given, ["a red circle"], 3, torch.zeros(3, dtype=torch.bool))

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


class Stages:
    """Every stage for one step, from shipped configurations."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch):
        self.folder, self._patch = folder, monkeypatch

    def call(self, *arguments: object) -> None:
        self._patch.setattr("sys.argv", ["training", *map(str, arguments)])
        main()

    def run(self, stage: str, output: str, *arguments: object, **change: Any) -> Path:
        fields = json.loads((STAGES / f"{stage}.json").read_text()) | {"steps": 1, "batch": 1, **change}
        (self.folder / f"{stage}.json").write_text(json.dumps(fields))
        self.call(self.folder / f"{stage}.json", "--output", self.folder / output, *arguments)
        return self.folder / output

    def all(self) -> dict[str, Path]:
        vae = self.run("vae", "vae")
        image = self.run("image", "image", "--vae", vae, shots=2)
        video = self.run("video", "video", "--vae", vae, "--from", image, shots=2, image_share=0.0)
        decoder = self.run("decoder", "decoder", "--vae", vae, frames=[3], crop_share=0.0)
        whole = self.run("decoder_whole", "whole", "--vae", vae, "--from", decoder, frames=[3], crop_share=1.0)
        sight = self.run("sight", "sight", "--vae", vae, "--from", video)
        more = {"shots": 2, "picture_share": 1.0, "image_share": 0.0, "levels": {"first": 1.0}, "rest": 1.0}
        picture = self.run("picture", "picture", "--vae", vae, "--from", video, "--sight", sight, **more)
        begun = self.run("image_long", "begun", "--vae", vae, "--half", shots=2)
        long = self.run("picture_long", "long", "--vae", vae, "--from", begun, "--sight", sight, "--half", **more)
        demo = self.folder / "demo"
        self.call("export", "--output", demo, "--vae", vae, "--from", picture, "--decoder", whole)
        self.run("picture_more", "on", "--vae", vae, "--from", demo, "--half", **more)
        return {"image": image, "video": video, "picture": picture, "decoder": decoder, "whole": whole,
                "begun": begun, "long": long, "demo": demo, "on": self.folder / "on"}  # fmt: skip


def test_an_exported_model_is_a_start_and_exports_to_the_same_weights(tmp_path: Path) -> None:
    weights = weights_to_start_from(FOLDER)
    assert set(weights) == {"unet", "text", "motion", "vision", "projector"}
    unet = new_unet()
    built = {"unet": unet, "text": new_text(), "motion": new_motion(), "vision": new_vision(), "projector": new_projector(unet)}
    for name, module in built.items():
        module.load_state_dict(weights[name], strict=True)
    (tmp_path / "stage").mkdir()
    torch.save({"average": {name: module.state_dict() for name, module in built.items()}}, tmp_path / "stage" / STATE)
    write_demo(tmp_path / "again", FOLDER, tmp_path / "stage")
    for part in ("unet", "text", "motion", VISION, PROJECTOR, "vae"):
        before, after = read_part(part, FOLDER)[0], read_part(part, tmp_path / "again")[0]
        assert set(before) == set(after)
        assert all(torch.equal(before[key], after[key]) for key in before), part


@pytest.mark.slow
def test_the_stages_make_a_model_that_films(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, fewer in (("PROMPTS", samples.PROMPTS[:1]), ("FRAMES", 4), ("STEPS", 2)):
        monkeypatch.setattr(samples, name, fewer)  # sample sheets of a model that has not learned are alike at any size
    folders = Stages(tmp_path, monkeypatch).all()
    demo = load_demo(folders["demo"])
    assert demo.generate("a red circle", 2, steps=1).shape == (2, 3, 64, 64)
    begun, on, kept = (averaged_weights(folders[stage])["unet"]["conv_in.weight"] for stage in ("image", "video", "picture"))
    assert torch.equal(demo.unet.conv_in.weight.half(), kept.half())
    assert (on - begun).abs().max() < 1e-3  # the video stage went on from the image stage
    assert 0 < (kept - on).abs().max() < 1e-3  # and the picture stage from that
    assert demo.image_encoder is not None
    seen = demo.generate("moving right", 2, steps=2, picture=film(scene_of(0), 1, 64)[0])
    assert seen.shape == (2, 3, 64, 64)
    eyes = averaged_weights(folders["picture"])
    assert torch.equal(demo.image_encoder.tower.conv1.weight.half(), eyes["vision"]["conv1.weight"].half())
    table = demo.image_encoder.projector.network.state_dict()["projector.latents.table"]
    assert torch.equal(table.half(), eyes["projector"]["projector.latents.table"].half())
    assert (folders["image"] / "sheet_000001.png").is_file()
    begun, long = (averaged_weights(folders[stage]) for stage in ("begun", "long"))
    assert 0 < (long["unet"]["conv_in.weight"] - begun["unet"]["conv_in.weight"]).abs().max() < 1e-2
    assert set(long) == {"unet", "text", "motion", "vision", "projector"}
    on = averaged_weights(folders["on"])["unet"]["conv_in.weight"]
    assert 0 < (on - kept.half()).abs().max() < 1e-3, "the last stage went on from the exported model"
    decoder = load_vae(part_path(TEMPORAL_VAE, folders["demo"]))
    assert decoder.family.name == "svd"
    first, second = (averaged_weights(folders[stage])["decoder"] for stage in ("decoder", "whole"))
    for key, kept in second.items():
        assert torch.equal(decoder.network.state_dict()[key], kept.half())
        assert (kept - first[key]).abs().max() < 1e-2, "the second stage went on from the first"
        assert key.startswith(("decoder", "last")) or torch.equal(kept, first[key]), "the encoder stays"
