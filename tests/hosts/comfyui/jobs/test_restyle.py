"""Restyle Video with the embedded model."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from demo_jobs import said, world
from torch import Tensor

pytestmark = [pytest.mark.host, pytest.mark.usefixtures("inference")]

SETTINGS: dict[str, Any] = {
    "start": "noise by frame",
    "denoise": 0.6,
    "steps": 3,
    "cfg": 1.0,
    "seed": 5,
    "window": 6,
    "overlap": 2,
}


class Stop(Exception):
    """An interrupt."""


def inputs(demo: Any, **more: Any) -> Any:
    from zoetrope.hosts.comfyui.jobs.restyle_request import RestyleInputs
    from zoetrope.hosts.comfyui.vae.chunked import ChunkedVae

    parts, model = demo
    green, red = (said(parts, f"a {colour} circle moving right on black at 8 fps") for colour in ("green", "red"))
    given = {"model": model, "positive": green, "negative": said(parts, ""), "source_prompt": red, **more}
    return RestyleInputs(chunked_vae=ChunkedVae(given.pop("vae", parts.vae)), **given)


def restyling(demo: Any, folder: Path, with_inputs: Any = None, progress: Any = None, **settings: Any) -> Any:
    from zoetrope.hosts.comfyui.jobs.restyle import Restyling
    from zoetrope.hosts.comfyui.jobs.restyle_request import RestyleRequest
    from zoetrope.shots.journal import Journal

    def journal(sizes: Any) -> Any:
        return Journal.open(folder) if folder.exists() else Journal.create(folder, sizes, {}, {})

    given = {} if progress is None else {"progress": progress}
    return Restyling(with_inputs or inputs(demo), RestyleRequest(**{**SETTINGS, **settings}), journal, **given)


def restyled(demo: Any, folder: Path, frames: Tensor, **more: Any) -> Tensor:
    return torch.stack(list(restyling(demo, folder, **more).pictures(iter(frames))))


def scene(frames: int, **more: Any) -> Tensor:
    return world(frames, fps=8, **{"shape": "circle", "colour": "red", "background": "black", **more})


@pytest.mark.one_host
@pytest.mark.parametrize("frames", [1, 6, 15])
def test_a_clip_of_any_length_keeps_its_frames_and_size(demo: Any, tmp_path: Path, frames: int) -> None:
    out = restyled(demo, tmp_path / "j", scene(frames))
    assert out.shape == (frames, 3, 64, 64)
    assert bool(out.isfinite().all())


def test_the_source_comes_back_where_its_own_prompt_samples_the_inversion(demo: Any, tmp_path: Path) -> None:
    from zoetrope.video.quality.image_metrics import psnr

    source = scene(10)
    words = inputs(demo).source_prompt
    same = inputs(demo, positive=words)
    out = restyled(demo, tmp_path / "j", source, with_inputs=same, start="inversion", denoise=1.0, steps=6, refine=2)
    through_the_vae = torch.stack(list(same.chunked_vae.decode(same.chunked_vae.encode(source))))
    assert psnr(out, through_the_vae).min() > 24


@pytest.mark.one_host
def test_windows_are_those_of_the_streaming_sampler(demo: Any, tmp_path: Path, counted: list[tuple[int, ...]]) -> None:
    restyled(demo, tmp_path / "j", scene(14), steps=2)  # windows at 0, 4, 8
    assert len(counted) == 2 * 3
    assert {shape[0] for shape in counted} == {6}
    counted.clear()
    restyled(demo, tmp_path / "k", scene(14), start="inversion", refine=1, steps=2)
    assert len(counted) == 2 * 3 * (1 + 2)


@pytest.mark.one_host
def test_windows_end_at_scene_cuts(demo: Any, tmp_path: Path, counted: list[tuple[int, ...]]) -> None:
    first, second = scene(5), scene(9, background="white", colour="blue", seed=4)
    both = restyled(demo, tmp_path / "a", torch.cat([first, second]))
    assert {shape[0] for shape in counted} == {5, 6}
    assert torch.equal(both[:5], restyled(demo, tmp_path / "b", first))
    whole = restyled(demo, tmp_path / "c", torch.cat([first, second]), cut=0.0)
    assert not torch.equal(whole, both)


@pytest.mark.one_host
@pytest.mark.parametrize(
    "start",
    [
        "inversion",
        pytest.param("noise by frame", marks=pytest.mark.slow),
        pytest.param("same noise for all frames", marks=pytest.mark.slow),
    ],
)
def test_a_stopped_run_continues_to_the_same_bits(
    demo: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, start: str
) -> None:
    from zoetrope.hosts.comfyui.jobs import restyle
    from zoetrope.shots import sinks

    monkeypatch.setattr(sinks, "SAVED_EVERY", 0.0)
    monkeypatch.setattr(sinks, "SAVING_SHARE", 1e9)
    monkeypatch.setattr(restyle, "MOST_TICKS", 1)
    frames = torch.cat([scene(8), scene(9, background="white", colour="blue", seed=4), scene(2, background="grey", seed=6)])
    settings = {"start": start, "steps": 2, "window": 4, "overlap": 1, "refine": 0}
    rounds = 0

    def count(ticks: int) -> None:
        nonlocal rounds
        rounds += 1

    whole = restyled(demo, tmp_path / "whole", frames, progress=count, **settings)
    assert rounds > 10
    for last in (2, 5, 7, rounds - 4):  # in warm-up, in a scene, at its end, in the last one
        done = 0

        def stop(ticks: int, last: int = last) -> None:
            nonlocal done
            done += 1
            if done == last:
                raise Stop

        folder = tmp_path / f"stopped_{last}"
        with pytest.raises(Stop):
            restyled(demo, folder, frames, progress=stop, **settings)
        assert torch.equal(restyled(demo, folder, frames, **settings), whole), f"stopped after round {last} of {rounds}"


@pytest.mark.one_host
def test_a_run_stopped_again_and_again_ends(demo: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from zoetrope.hosts.comfyui.jobs import restyle

    monkeypatch.setattr(restyle, "MOST_TICKS", 1)
    frames, done = scene(11), 0
    settings = {"start": "inversion", "steps": 2, "refine": 0}
    whole = restyled(demo, tmp_path / "whole", frames, **settings)

    def interrupted(ticks: int) -> None:
        nonlocal done
        done += 1
        if done % 2 == 0:  # the first call of a run states the ticks of the runs before
            raise Stop

    for _ in range(200):
        try:
            assert torch.equal(restyled(demo, tmp_path / "j", frames, progress=interrupted, **settings), whole)
            break
        except Stop:
            continue
    else:
        raise AssertionError("no progress between interrupts")


@pytest.mark.one_host
def test_an_endless_clip_takes_constant_memory(demo: Any, tmp_path: Path) -> None:
    from itertools import islice

    picture, taken = scene(1)[0], 0

    def endless() -> Iterator[Tensor]:
        nonlocal taken
        while True:
            taken += 1
            yield picture

    made = restyling(demo, tmp_path / "j", steps=1).pictures(endless())
    ahead = [taken - number for number, _ in enumerate(islice(made, 60))]
    made.close()
    assert max(ahead[30:]) <= max(ahead[:30])


@pytest.mark.one_host
def test_the_colours_of_the_source_can_be_removed_or_kept(demo: Any, tmp_path: Path) -> None:
    from zoetrope.video.frames.colour import grey

    source = scene(6)
    greyed = restyled(demo, tmp_path / "a", source, grey=True)
    assert torch.equal(greyed, restyled(demo, tmp_path / "b", torch.stack([grey(frame) for frame in source])))
    kept = restyling(demo, tmp_path / "c", colours="adain")
    matched = torch.stack(list(kept.matched(kept.pictures(iter(source)), iter(source))))
    moments = [(clip.mean((0, 2, 3)), clip.std((0, 2, 3))) for clip in (matched, source)]
    assert (moments[0][0] - moments[1][0]).abs().max() < 0.02


@pytest.mark.one_host
def test_finished_latents_are_removed_with_their_folder(demo: Any, tmp_path: Path) -> None:
    run = restyling(demo, tmp_path / "j")
    list(run.pictures(iter(scene(6))))
    assert (tmp_path / "j" / "shot.json").exists()
    run.remove_latents()
    assert not (tmp_path / "j").exists()


def test_bad_input_is_refused_by_name(demo: Any, tmp_path: Path) -> None:
    from zoetrope.hosts.comfyui.jobs.restyle_request import RestyleRequest

    for settings, words in (
        ({"denoise": 0.0}, "denoise: expected more than 0"), ({"refine": 9}, "refine: expected 0 to 3"),
        ({"start": "nothing"}, "start: expected inversion"), ({"colours": "all"}, "match_colour: expected off"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=words):
            RestyleRequest(**settings)
    with pytest.raises(ValueError, match="steps: expected 1 or more"):
        restyling(demo, tmp_path / "a", steps=0)
    with pytest.raises(ValueError, match="overlap: expected 0 to half of the window"):
        restyling(demo, tmp_path / "a", overlap=5)
    with pytest.raises(ValueError, match="got none"):
        list(restyling(demo, tmp_path / "b").pictures(iter(())))
