"""Restyle Video with edits on the MODEL, ControlNets, prompts by frame and a temporal VAE."""

from pathlib import Path
from typing import Any

import pytest
import torch
from demo_jobs import said, world
from torch import Tensor

pytestmark = [pytest.mark.host, pytest.mark.one_host, pytest.mark.usefixtures("inference")]

QUICK: dict[str, Any] = {"start": "noise by frame", "denoise": 0.6, "steps": 2, "cfg": 1.0, "window": 6, "overlap": 2}


class Stop(Exception):
    """An interrupt."""


def inputs(demo: Any, **more: Any) -> Any:
    from zoetrope.hosts.comfyui.jobs.restyle_request import RestyleInputs
    from zoetrope.hosts.comfyui.vae.chunked import ChunkedVae

    parts, model = demo
    words = {
        "positive": said(parts, "a green circle"),
        "negative": said(parts, ""),
        "source_prompt": said(parts, "a red circle"),
    }
    given = {"model": model, "vae": parts.vae, **words, **more}
    return RestyleInputs(chunked_vae=ChunkedVae(given.pop("vae")), **given)


def restyled(
    demo: Any, folder: Path, frames: Tensor, given: dict[str, Any] | None = None, progress: Any = None, **more: Any
) -> Tensor:
    from zoetrope.hosts.comfyui.jobs.restyle import Restyling
    from zoetrope.hosts.comfyui.jobs.restyle_request import RestyleRequest
    from zoetrope.shots.journal import Journal

    def journal(sizes: Any) -> Any:
        return Journal.open(folder) if folder.exists() else Journal.create(folder, sizes, {}, {})

    request = RestyleRequest(**{**QUICK, **more})
    run = Restyling(inputs(demo, **(given or {})), request, journal, progress or (lambda ticks: None))
    return torch.stack(list(run.pictures(iter(frames))))


def scene(frames: int, **more: Any) -> Tensor:
    return world(frames, fps=8, **{"shape": "circle", "colour": "red", "background": "black", **more})


def recording_control(calls: list[Tensor]) -> Any:
    """A ControlNet that adds nothing and records which pictures it gets for the frames of a call."""
    from comfy.controlnet import ControlBase

    class RecordingControl(ControlBase):
        def copy(self) -> Any:
            copied = RecordingControl()
            self.copy_to(copied)
            return copied

        def get_control(self, x: Tensor, t: Tensor, cond: Any, batched: int, *more: Any) -> None:
            assert len(self.cond_hint_original) * batched == len(x)
            calls.append(self.cond_hint_original)

    return RecordingControl().set_cond_hint(torch.zeros(1, 3, 64, 64))


def numbered(frames: int) -> Tensor:
    """Pictures of one level each, which tells their number, and differs by less than a cut."""
    return (torch.arange(frames) * 4 / 255).reshape(-1, 1, 1, 1).expand(-1, 3, 64, 64)


def windows_of(calls: list[Tensor]) -> list[list[int]]:
    return [(pictures[:, 0, 0, 0] * 255 / 4).round().int().tolist() for pictures in calls]


@pytest.mark.parametrize("start", ["noise by frame", "inversion"])
def test_a_controlnet_gets_the_pictures_of_each_windows_frames(
    demo: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, start: str
) -> None:
    from zoetrope.hosts.comfyui.jobs import restyle
    from zoetrope.shots import sinks

    monkeypatch.setattr(restyle, "MOST_TICKS", 1)
    monkeypatch.setattr(sinks, "SAVED_EVERY", 0.0)
    monkeypatch.setattr(sinks, "SAVING_SHARE", 1e9)
    calls: list[Tensor] = []
    words = inputs(demo).positive
    steered = [[words[0][0], {**words[0][1], "control": recording_control(calls)}]]
    given = {"positive": steered, "hint_of": lambda picture: picture}
    source, settings = numbered(15), {"start": start, "refine": 0, "cut": 0.0}
    whole = restyled(demo, tmp_path / "whole", source, given, **settings)
    found = windows_of(calls)
    expected = [[*range(0, 6)], [*range(4, 10)], [*range(8, 14)], [12, 13, 14, 13, 12, 11]]
    assert sorted(map(tuple, found)) == sorted(map(tuple, 2 * expected)), "each window once per step, the end reflected"
    rounds = 0

    def stop(ticks: int) -> None:
        nonlocal rounds
        rounds += 1
        if rounds == 4:
            raise Stop

    with pytest.raises(Stop):
        restyled(demo, tmp_path / "stopped", source, given, progress=stop, **settings)
    assert torch.equal(restyled(demo, tmp_path / "stopped", source, given, **settings), whole)


def test_hints_of_a_later_scene_are_those_of_its_frames(demo: Any, tmp_path: Path) -> None:
    calls: list[Tensor] = []
    words = inputs(demo).positive
    steered = [[words[0][0], {**words[0][1], "control": recording_control(calls)}]]
    given = {"positive": steered, "hint_of": lambda picture: picture, "hints": iter(numbered(15))}
    source = torch.cat([scene(8), scene(7, background="white", colour="blue", seed=4)])
    restyled(demo, tmp_path / "j", source, given, steps=1)
    expected = [[*range(0, 6)], [4, 5, 6, 7, 6, 5], [*range(8, 14)], [12, 13, 14, 13, 12, 11]]
    assert sorted(map(tuple, windows_of(calls))) == sorted(map(tuple, expected))


def test_an_interrupt_within_a_round_keeps_the_state_of_the_round_before(
    demo: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from zoetrope.hosts.comfyui.jobs import restyle
    from zoetrope.hosts.comfyui.jobs.restyle_stages import Stages
    from zoetrope.shots import sinks

    monkeypatch.setattr(restyle, "MOST_TICKS", 1)
    monkeypatch.setattr(sinks, "SAVED_EVERY", 1e9)  # the state is saved when the run ends
    source, plain, rounds = scene(14), Stages.run, 0
    whole = restyled(demo, tmp_path / "whole", source)

    def interrupted(stages: Any, entering: Any, place: Any, held: Any) -> Any:
        nonlocal rounds
        rounds += 1
        finished = plain(stages, entering, place, held)  # has changed the windows in flight
        if rounds == 4:
            raise Stop
        return finished

    monkeypatch.setattr(Stages, "run", interrupted)
    with pytest.raises(Stop):
        restyled(demo, tmp_path / "stopped", source)
    monkeypatch.setattr(Stages, "run", plain)
    assert torch.equal(restyled(demo, tmp_path / "stopped", source), whole)


def test_a_hints_video_of_another_length_is_refused(demo: Any, tmp_path: Path) -> None:
    words = inputs(demo).positive
    steered = [[words[0][0], {**words[0][1], "control": recording_control([])}]]
    given = {"positive": steered, "hint_of": lambda picture: picture, "hints": iter(numbered(5))}
    with pytest.raises(ValueError, match="hints: expected as many frames as images, got 5"):
        restyled(demo, tmp_path / "j", scene(9), given)


def test_a_temporal_vae_encodes_and_decodes_and_a_stopped_run_keeps_its_bits(
    demo: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from zoetrope.hosts.comfyui.jobs import restyle
    from zoetrope.shots import sinks

    monkeypatch.setattr(restyle, "MOST_TICKS", 1)
    monkeypatch.setattr(sinks, "SAVED_EVERY", 0.0)
    monkeypatch.setattr(sinks, "SAVING_SHARE", 1e9)
    from zoetrope.hosts.comfyui.vae.chunked import ChunkedVae

    plain = ChunkedVae._latents
    # no image encoder of the host depends on its window; one that does shows whether windows stay where they were
    monkeypatch.setattr(ChunkedVae, "_latents", lambda vae, frames: plain(vae, frames) + frames.mean())
    given, source = {"vae": demo[0].temporal_vae}, scene(34)
    whole = restyled(demo, tmp_path / "whole", source, given)
    assert not torch.equal(whole, restyled(demo, tmp_path / "image", source))
    rounds = 0

    def stop(ticks: int) -> None:
        nonlocal rounds
        rounds += 1
        if rounds == 6:
            raise Stop

    with pytest.raises(Stop):
        restyled(demo, tmp_path / "stopped", source, given, progress=stop)
    assert torch.equal(restyled(demo, tmp_path / "stopped", source, given), whole)


def test_edits_on_the_model_act_and_a_table_with_frames_that_are_gone_is_refused(demo: Any, tmp_path: Path) -> None:
    from zoetrope.hosts.comfyui.conditioning.merging import MergeSettings, merge_across_frames
    from zoetrope.hosts.comfyui.conditioning.shared_attention import SharedSettings, apply_shared
    from zoetrope.hosts.comfyui.sampling.windows import in_windows
    from zoetrope.models.edits.frame_table import FrameTable
    from zoetrope.sampling.windows import Windows

    source, model = scene(9), demo[1]
    plain = restyled(demo, tmp_path / "plain", source)
    edits = {
        "previous": apply_shared(model, SharedSettings(FrameTable("previous frame")))[0],
        "groups": apply_shared(model, SharedSettings(FrameTable("random groups")))[0],
        "merge": merge_across_frames(model, MergeSettings())[0],
    }
    for name, edited in edits.items():
        out = restyled(demo, tmp_path / name, source, {"model": edited})
        assert bool(out.isfinite().all())
        assert not torch.allclose(out, plain, atol=1e-3), name
    windows = in_windows(model, Windows("standard_static", 4, 1))
    assert torch.equal(restyled(demo, tmp_path / "windows", source, {"model": windows}), plain)
    first = apply_shared(model, SharedSettings(FrameTable("first frame")))[0]
    with pytest.raises(ValueError, match="does not work in a long shot .* or in Restyle Video"):
        restyled(demo, tmp_path / "first", source, {"model": first})


def test_a_prompt_timeline_changes_the_prompt_by_absolute_frame(demo: Any, tmp_path: Path) -> None:
    from zoetrope.hosts.comfyui.conditioning.timeline import encode_timeline
    from zoetrope.sampling.timeline import read_timeline

    source = scene(14)

    def of(text: str) -> Any:
        return {"positive": encode_timeline(demo[0].clip, read_timeline(text), 14)}

    with_one = restyled(demo, tmp_path / "one", source, of("0: a green circle"))
    with_two = restyled(demo, tmp_path / "two", source, of("0: a green circle\n10: a blue square"))
    assert torch.allclose(with_two[:4], with_one[:4], atol=1e-5), "frames of windows before the change"
    assert not torch.allclose(with_two[10:], with_one[10:], atol=1e-3)


@pytest.fixture
def image_model(demo: Any) -> Any:
    return demo[0], demo[0].model


def test_the_same_noise_keeps_a_still_source_still(image_model: Any, tmp_path: Path) -> None:
    still = scene(1).expand(9, -1, -1, -1)
    same = restyled(image_model, tmp_path / "same", still, start="same noise for all frames")
    assert torch.allclose(same, same[:1].expand_as(same), atol=1e-4)
    other = restyled(image_model, tmp_path / "other", still)
    assert not torch.allclose(other, other[:1].expand_as(other), atol=1e-2)


def test_less_denoise_stays_closer_to_the_source(demo: Any, tmp_path: Path) -> None:
    source = scene(6)
    apart = [(restyled(demo, tmp_path / f"{share}", source, denoise=share) - source).abs().mean() for share in (0.2, 0.6, 1.0)]
    assert apart[0] < apart[1] < apart[2]
