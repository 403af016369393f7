"""Endless shots through the host's guiders: resumed, interrupted, with LoRA and ControlNet, EPS and V; what is a change."""

import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from zoetrope.shots.sinks import Look

pytestmark = pytest.mark.host

WINDOW = 4


class Audience:
    def __init__(self, tell: Any = None):
        self.tell, self.steps = tell, 0

    def opening(self, folder: str, resumed: int, news: Sequence[str]) -> None:
        self.opened = (folder, resumed, list(news))

    def starting(self, step: int, steps: int) -> None:
        self.steps += 1
        assert self.steps == step <= steps

    def progress(self, done: int, total: int, look: Look | None, seconds_left: float) -> None:
        if self.tell:
            self.tell(done, total, look, seconds_left)


@pytest.fixture
def film(tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Any]]:
    """film(frames, folder=..., ...) -> (shot, news), a tiny model with motion, LoRA and ControlNet, in segments of 4 frames."""
    from zoetrope.hosts.comfyui.shot import shot as comfyui_shot
    from zoetrope.sampling.queue import Queue
    from zoetrope.shots.folder import Place

    usual = Queue(window=WINDOW, partitions=2, context=1)
    monkeypatch.setattr(comfyui_shot, "SEGMENT", 4)

    def run(
        frames: int, folder: str = "shots", prediction: str = "EPS", scale: float = 0.05, cfg: float = 3.0, hint: float = 0.5,
        queue: Any = usual, samples: Tensor | None = None, strength: float = 1.0, tell: Any = None, guider: Any = None,
        **order: Any,
    ) -> Any:  # fmt: skip
        guider = guider or guider_for(tiny, tmp_path, prediction, scale, cfg, hint, strength)
        latent = torch.zeros(1, 4, 8, 8) if samples is None else samples
        scene, prepared = comfyui_shot.prepare(guider, tiny.Vae(), {"samples": latent})
        prepared = replace(prepared, frames=frames, queue=queue, **order)
        place = Place(tmp_path / folder, "shot")
        with torch.inference_mode():
            return comfyui_shot.shoot(scene, prepared, place, Audience(tell))

    yield run
    tiny.unload()


def guider_for(
    tiny: Any, tmp_path: Path, prediction: str = "EPS", scale: float = 0.05, cfg: float = 3.0, hint: float = 0.5,
    strength: float = 1.0,
) -> Any:  # fmt: skip
    """Everything new, as after a restart: the model, its motion, LoRA and ControlNet."""
    from zoetrope.hosts.comfyui.sampling.guider import guider_of

    model = tiny.model(prediction=prediction)
    motion = tiny.own_file(model, tmp_path / "motion.safetensors", seed=1)
    patched = tiny.applied(model, motion, strength)
    key = next(k for k in model.model.state_dict() if "attn1.to_q.weight" in k)
    patched.add_patches({key: ("diff", (torch.full_like(model.model.state_dict()[key], scale),))})
    control = tiny.controlnet().set_cond_hint(torch.full((1, 3, 64, 64), hint), 0.7)
    positive = tiny.text(control=control, control_apply_to_uncond=True)
    return guider_of(patched, positive, tiny.text(seed=2), cfg)


def all_latents(shot: Any, frames: int) -> Tensor:
    from zoetrope.shots.journal import Journal

    journal = Journal.open(shot.video.parent)
    state = journal.state()
    assert state is not None
    full = [journal.latents(number) for number in range(max(0, state.frame) // journal.sizes.segment)]
    return torch.cat([*full, state.pending])[:frames]


@pytest.mark.parametrize("prediction", ["EPS", "V_PREDICTION"])
def test_a_shot_with_lora_and_controlnet_is_made_lengthened_and_resumed(film: Any, prediction: str) -> None:
    from films import read_video

    short, news = film(6, prediction=prediction)
    assert (news, short.resumed) == ([], 0)
    assert len(read_video(short.video)[0]) == 6
    longer, news = film(10, prediction=prediction)
    assert (news, longer.resumed) == ([], 6)
    straight, _ = film(10, "other", prediction=prediction)
    assert torch.equal(all_latents(longer, 10), all_latents(straight, 10))
    assert torch.equal(all_latents(longer, 6), all_latents(short, 6))
    assert torch.equal(read_video(longer.video)[0], read_video(straight.video)[0])
    assert len(longer.latents) == 8
    assert bool(longer.latents.isfinite().all())


def test_an_interrupt_is_honoured_within_a_call_and_the_shot_goes_on_from_the_same_frame(film: Any, tmp_path: Path) -> None:
    import comfy.model_management as management
    from films import read_video
    from zoetrope.shots.journal import Journal

    pressed: list[int] = []

    def tell(done: int, total: int, picture: Any, left: float) -> None:
        if done == 4 + 9 and not pressed:  # the warm-up is 4 frames
            pressed.append(done)
            management.interrupt_current_processing()

    with pytest.raises(management.InterruptProcessingException):
        film(10, tell=tell)
    folder = tmp_path / "shots" / "shot_00001"
    state = Journal.open(folder).state()
    assert state is not None
    assert state.frame == 9
    assert len(read_video(folder / "unfinished.mp4")[0]) == 9
    resumed, _ = film(10)
    assert resumed.resumed == 9
    straight, _ = film(10, "other")
    assert torch.equal(all_latents(resumed, 10), all_latents(straight, 10))


def test_changed_settings_start_a_new_shot_and_are_named(film: Any) -> None:
    from zoetrope.sampling.queue import Queue, Schedules
    from zoetrope.sampling.timeline import read_numbers

    small = Queue(window=2, partitions=2, context=0, shift=0)
    film(1, queue=small)
    changes: list[tuple[dict[str, Any], list[str]]] = [
        ({"cfg": 4.0}, ["cfg (3.0, now 4.0)"]),
        ({"scale": 0.06}, ["LoRAs and other weight patches"]),
        ({"hint": 0.6}, ["positive"]),
        ({"seed": 5}, ["seed (0, now 5)"]),
        ({"fps": 12.0}, ["fps (8.0, now 12.0)"]),
        ({"strength": 0.5}, ["motion settings"]),
        ({"queue": replace(small, context=1)}, ["context (0, now 1)"]),
        ({"queue": replace(small, windows_per_call=2)}, ["windows per call (1, now 2)"]),
        ({"samples": torch.zeros(1, 4, 8, 16)}, ["width and height (8x8 latent pixels, now 16x8 latent pixels)"]),
        ({"samples": torch.ones(3, 4, 8, 8)}, ["frames to go on after"]),
        ({"sigmas": torch.tensor([14.0, 6, 3, 2, 1, 0])}, ["noise levels", "levels (4, now 5)"]),
        ({"prediction": "V_PREDICTION"}, ["noise schedule"]),
    ]
    for change, words in changes:
        shot, news = film(1, **{"queue": small, **change})
        assert news == words, change
        assert shot.video.parent.name == "shot_00002"
        shot, news = film(1, queue=small)  # the first one is found again
        assert (news, shot.video.parent.name, shot.resumed) == ([], "shot_00001", 1)
        shutil.rmtree(shot.video.parent.with_name("shot_00002"))
    by_frame = Schedules(cfg=read_numbers("0: 3 / 5: 4", "cfg", 0, 9))
    assert film(1, queue=small, schedules=by_frame)[1][0].startswith("cfg by frame (None, now ")


def test_rows_per_call_change_no_more_than_rounding(film: Any) -> None:
    from zoetrope.sampling.queue import Queue

    made = []
    for together in (1, 2, 3):
        queue = Queue(window=WINDOW, partitions=2, context=1, windows_per_call=together)
        made.append(all_latents(film(8, f"together{together}", queue=queue)[0], 8))
    assert (made[0] - made[1]).abs().max() <= 1e-4
    assert (made[0] - made[2]).abs().max() <= 1e-4


def test_seeds_differ_and_a_shot_may_start_from_noise_or_from_few_steps(film: Any) -> None:
    from zoetrope.sampling.queue import Queue

    first, second = (all_latents(film(5, f"seed{seed}", seed=seed)[0], 5) for seed in (1, 2))
    assert not torch.allclose(first, second, atol=1e-2)
    noise = film(5, "noise", queue=Queue(window=WINDOW, partitions=2, context=1, start="noise"))[0]
    assert len(all_latents(noise, 5)) == 5
    few, _ = film(7, "few", sigmas=torch.tensor([14.0, 3.0, 0.0]))
    assert len(all_latents(few, 7)) == 7
    whole, _ = film(10, "whole", sigmas=torch.tensor([14.0, 3.0, 0.0]))
    assert torch.equal(all_latents(whole, 7), all_latents(few, 7))


def test_a_shot_goes_on_after_another(film: Any, tiny: Any) -> None:
    first, _ = film(9, "first")
    given = first.latents / 0.18215
    after, _ = film(3, "after", samples=given)
    straight, _ = film(12, "straight")
    assert all_latents(after, 3).shape == (3, 4, 8, 8)
    assert not torch.equal(all_latents(after, 3), all_latents(straight, 12)[9:])  # its own noise, its own shot
    again, news = film(3, "after", samples=given)
    assert (news, again.resumed) == ([], 3)


def test_latents_that_cannot_be_filmed_are_refused(film: Any) -> None:
    from zoetrope.hosts.comfyui.shot import shot as comfyui_shot

    with pytest.raises(ValueError, match=r"latent: expected one latent per frame \(f, c, h, w\), got \(1, 4, 2, 8, 8\)"):
        film(4, samples=torch.ones(1, 4, 2, 8, 8))
    with pytest.raises(ValueError, match="takes no noise mask"):
        comfyui_shot.prepare(None, None, {"samples": torch.zeros(1, 4, 8, 8), "noise_mask": torch.ones(1, 8, 8)})


def test_a_damaged_header_is_passed_over_with_a_word(film: Any, tmp_path: Path, caplog: Any) -> None:
    shot, _ = film(2)
    (shot.video.parent / "shot.json").write_text("{")
    fresh, _ = film(2)
    assert fresh.video.parent.name == "shot_00002"
    assert "shot_00001/shot.json: not the header of a shot" in caplog.text


@pytest.mark.parametrize("prediction", ["EPS", "V_PREDICTION"])
def test_the_sampler_in_a_graph_of_ones_own_gives_the_same_frames(
    film: Any, tiny: Any, tmp_path: Path, prediction: str
) -> None:
    from comfy_extras.nodes_custom_sampler import SamplerCustomAdvanced
    from zoetrope.hosts.comfyui.sampling.fifo import FifoSampler
    from zoetrope.sampling.queue import Queue, Schedules

    class Noise:
        seed = 3

        def generate_noise(self, latent: Any) -> Tensor:
            return torch.zeros_like(latent["samples"])

    queue = Queue(window=WINDOW, partitions=2, context=1)
    guider = guider_for(tiny, tmp_path, prediction)
    sampler = FifoSampler(queue, 10, Schedules(), published=True)
    run = getattr(SamplerCustomAdvanced, "execute", None) or SamplerCustomAdvanced().sample
    sigmas = torch.tensor([14.0, 6.0, 3.0, 2.0, 1.0, 0.5, 0.2, 0.0])
    with torch.inference_mode():
        out = run(Noise(), guider, sampler, sigmas, {"samples": torch.zeros(WINDOW, 4, 8, 8)})
        samples, denoised = out[0]["samples"], out[1]["samples"]
        other = run(Noise(), guider, FifoSampler(queue, 10, Schedules(), False), sigmas, {"samples": torch.zeros(1, 4, 8, 8)})
    shot, _ = film(10, "same", prediction=prediction, seed=3)
    assert torch.allclose(samples, all_latents(shot, 10) / 0.18215, atol=1e-4)
    assert samples.shape == denoised.shape == other[0]["samples"].shape == (10, 4, 8, 8)
    assert not torch.allclose(other[0]["samples"], samples, atol=1e-2)


def test_out_of_memory_says_which_number_to_lower_and_loses_nothing(
    film: Any, tiny: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import comfy.model_management as management
    from zoetrope.sampling.queue import Queue

    whole = all_latents(film(10, "whole")[0], 10)
    decodes: list[int] = []
    real = tiny.Vae.decode

    def decode(self: Any, latents: Tensor) -> Tensor:
        decodes.append(1)
        if len(decodes) == 6:
            raise management.OOM_EXCEPTION("out of memory")
        return real(self, latents)

    monkeypatch.setattr(tiny.Vae, "decode", decode)
    with pytest.raises(
        RuntimeError, match=r"ran out of memory in decoding a frame; lower width and height, or run the VAE on the CPU"
    ):
        film(10)
    assert torch.equal(all_latents(film(10)[0], 10), whole)

    def tell(done: int, total: int, picture: Any, left: float) -> None:
        if done == 6:
            raise management.OOM_EXCEPTION("out of memory")

    queue = Queue(window=WINDOW, partitions=2, context=1, windows_per_call=2)
    message = r"a call of 8 frames; lower windows_per_call \(now 2\) in Queue Settings, then window \(now 4\), then width"
    with pytest.raises(RuntimeError, match=message):
        film(10, "call", queue=queue, tell=tell)


def test_the_same_objects_queued_again_go_on_after_an_end_and_after_an_interrupt(film: Any, tiny: Any, tmp_path: Path) -> None:
    import comfy.model_management as management
    from zoetrope.hosts.comfyui.shot import plan as comfyui_plan
    from zoetrope.hosts.comfyui.shot import shot as comfyui_shot

    guider = guider_for(tiny, tmp_path)
    scene, order = comfyui_shot.prepare(guider, tiny.Vae(), {"samples": torch.zeros(1, 4, 8, 8)})
    with torch.inference_mode():
        comfyui_plan.plan(scene, replace(order, frames=4), tmp_path)  # loads everything before the first digest
    assert film(2, guider=guider)[1] == []
    longer, news = film(4, guider=guider)
    assert (news, longer.resumed) == ([], 2)

    def tell(done: int, total: int, picture: Any, left: float) -> None:
        if done == 2:
            raise management.InterruptProcessingException

    with pytest.raises(management.InterruptProcessingException):
        film(8, guider=guider, tell=tell)
    resumed, news = film(8, guider=guider)
    assert (news, resumed.resumed) == ([], 6)
    fresh, news = film(9)  # as after a restart
    assert (news, fresh.resumed) == ([], 8)


def test_windows_of_a_call_may_be_more_frames_than_the_module_can_tell_apart(film: Any) -> None:
    from zoetrope.sampling.queue import Queue

    queue = Queue(window=WINDOW, partitions=6, context=0, windows_per_call=6)  # 24 rows, a table of 16
    assert len(all_latents(film(2, "many", queue=queue)[0], 2)) == 2
