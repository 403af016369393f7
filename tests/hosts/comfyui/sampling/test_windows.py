"""Long clips in windows with the host's samplers, and the plan of a shot."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from zoetrope.shots.sinks import DecodedFrame

pytestmark = pytest.mark.host


@pytest.fixture
def moving(tiny: Any, tmp_path: Path) -> Any:
    model = tiny.model()
    yield tiny.applied(model, tiny.own_file(model, tmp_path / "m.safetensors", seed=1))
    del model
    tiny.unload()


def cut(model: Any, **more: Any) -> Any:
    from zoetrope.hosts.comfyui.sampling.windows import in_windows
    from zoetrope.sampling.windows import Windows

    return in_windows(model, Windows(**{"schedule": "standard_static", "window": 4, "overlap": 2, **more}))


def test_a_clip_no_longer_than_a_window_is_the_ordinary_one(tiny: Any, moving: Any) -> None:
    windowed, plain = tiny.sample(cut(moving)), tiny.sample(moving)
    assert (windowed - plain).abs().max() < 1e-6 * plain.abs().max()  # calls of other sizes round differently


def test_a_longer_clip_is_sampled_in_windows(tiny: Any, moving: Any) -> None:
    rows: list[int] = []

    def note(apply_model: Any, args: Any) -> Any:
        rows.append(len(args["input"]))
        return apply_model(args["input"], args["timestep"], **args["c"])

    guarded = cut(moving).clone()
    guarded.set_model_unet_function_wrapper(note)
    out = tiny.sample(guarded, frames=10)
    assert out.shape == (10, 4, 8, 8)
    assert bool(out.isfinite().all())
    assert set(rows) == {4}
    assert len(rows) == 3 * 2 * 4  # steps, halves of the guidance, windows
    batched = tiny.sample(cut(moving, schedule="batched", overlap=0), frames=8)
    assert torch.allclose(batched[:4], tiny.sample(moving), atol=1e-4)  # noise begins alike
    looped = tiny.sample(cut(moving, schedule="looped_uniform", closed=True), frames=10)
    assert not torch.allclose(looped, out, atol=1e-3)


def test_windows_on_frames_that_do_not_know_each_other_change_nothing(tiny: Any) -> None:
    model = tiny.model()
    prompts = torch.cat([tiny.text(seed=number)[0][0] for number in range(10)])
    positive = [[prompts, {}]]
    whole = tiny.sample(model, frames=10, positive=positive)
    assert torch.allclose(tiny.sample(cut(model), frames=10, positive=positive), whole, atol=1e-4)
    tiny.unload()


def test_windows_and_motion_may_be_put_on_in_any_order(tiny: Any, tmp_path: Path) -> None:
    model = tiny.model()
    motion = tiny.own_file(model, tmp_path / "m.safetensors", seed=1)
    after = tiny.sample(cut(tiny.applied(model, motion)), frames=36)  # longer than the module's table
    before = tiny.sample(tiny.applied(cut(model), motion), frames=36)
    assert torch.equal(before, after)
    tiny.unload()


def test_long_shot_noise_is_the_hosts_noise_shuffled(tiny: Any) -> None:
    import comfy.sample
    from zoetrope.hosts.comfyui.sampling.windows import LongShotNoise

    latent = {"samples": torch.zeros(12, 4, 8, 8)}
    plain = comfy.sample.prepare_noise(latent["samples"], 7)
    noise = LongShotNoise(7, 4, 1).generate_noise(latent)
    assert torch.equal(noise[:4], plain[:4])
    assert not torch.equal(noise[4:], plain[4:])
    assert all(any(torch.equal(frame, other) for other in noise[:4]) for frame in noise[4:7])
    with pytest.raises(ValueError, match="expected one latent per frame"):
        LongShotNoise(7, 4, 1).generate_noise({"samples": torch.zeros(1, 4, 3, 8, 8)})


@pytest.mark.one_host
def test_a_plan_counts_what_the_shot_does(tiny: Any, moving: Any, tmp_path: Path) -> None:
    from zoetrope.hosts.comfyui.sampling.guider import guider_of
    from zoetrope.hosts.comfyui.shot import plan as comfyui_plan
    from zoetrope.hosts.comfyui.shot import shot as comfyui_shot
    from zoetrope.sampling.queue import QueueSettings
    from zoetrope.shots.folder import ShotFolder

    rows: list[int] = []

    def note(apply_model: Any, args: Any) -> Any:
        rows.append(len(args["input"]))
        return apply_model(args["input"], args["timestep"], **args["c"])

    moving.set_model_unet_function_wrapper(note)
    guider = guider_of(moving, tiny.text(), tiny.text(seed=2), 3.0)
    scene, _ = comfyui_shot.prepare(guider, tiny.Vae(), {"samples": torch.zeros(1, 4, 8, 8)})
    for start in ("base clip", "noise"):
        order = comfyui_shot.ShotRequest(frames=5, queue=QueueSettings(window=4, partitions=2, context=1, shift=0, start=start))
        with torch.inference_mode():
            plan = comfyui_plan.plan(scene, order, tmp_path)
            assert set(rows) == {4, 8, 12}
            rows.clear()
            comfyui_shot.make_shot(scene, order, ShotFolder(tmp_path / start, "shot"), Silent())
        work = plan.work
        assert len(rows) == 2 * ((work.frames + work.warm_up) * work.windows_per_frame + work.base_calls)
        assert plan.measured.call > 0
        assert f"{work.windows_per_frame:g} windows" in plan.text()
        assert 0 < plan.seconds < 60
        written = sum(path.stat().st_size for path in (tmp_path / start).rglob("*") if path.is_file())
        assert written < 2 * plan.disk + 50_000
        rows.clear()


class Silent:
    def opening(self, folder: str, resumed: int, reason: Sequence[str]) -> None: ...

    def starting(self, step: int, steps: int) -> None: ...

    def progress(self, frame: int, done: int, total: int, decoded: DecodedFrame | None, seconds_left: float) -> None: ...


@pytest.mark.one_host
def test_a_timeline_of_strength_goes_by_absolute_frame_in_windows_and_queues() -> None:
    from zoetrope.hosts.comfyui.call import MOTION
    from zoetrope.hosts.comfyui.sampling.guider import motion_options
    from zoetrope.models.layers.strength import ByFrame

    numbers = [-2, 1, 3, 9]
    for clip in (0, 12):  # a queue without an end, a clip in windows
        options = {f"{MOTION}.0": {"strength": ByFrame.of([1.0, 0.75, 0.5])}}
        strength = motion_options(options, clip)(numbers, 4, None)[f"{MOTION}.0"]["strength"]
        assert type(strength) is torch.Tensor  # rows of these frames: nothing may take them by number once more
        assert strength.flatten().tolist() == [1.0, 0.75, 0.5, 0.5]
    spread = {f"{MOTION}.0": {"strength": torch.tensor([1.0, 0.0]).reshape(2, 1, 1)}}  # a plain list is spread over the clip
    assert motion_options(spread, 12)([11], 1, None)[f"{MOTION}.0"]["strength"].item() == 0.0
    assert motion_options(spread, 12)([1], 1, None)[f"{MOTION}.0"]["strength"].item() == pytest.approx(10 / 11)
