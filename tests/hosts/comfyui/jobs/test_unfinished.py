"""Interpolate Frames and Upscale Video with the embedded models, stopped and continued."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from demo_jobs import enlargers, fillers, world
from stopped_jobs import Make, Stop, bits, check_stops, stored_after_each_frame, unfinished  # noqa: F401  one is a fixture
from torch import Tensor

pytestmark = [pytest.mark.host, pytest.mark.usefixtures("inference", "stored_after_each_frame"), pytest.mark.one_host]


def interpolated(demo: Any, **more: Any) -> Make:
    from zoetrope.hosts.comfyui.jobs.interpolate import InterpolationRequest, interpolate
    from zoetrope.hosts.comfyui.vae.chunked import ChunkedVae, ChunkOptions

    options = ChunkOptions(**{name: more.pop(name) for name in ("window", "overlap") if name in more})
    inputs = fillers(demo, chunked_vae=ChunkedVae(demo[0].vae, options))
    request = InterpolationRequest(**{"factor": 4, "steps": 2, "seed": 5, **more})
    return lambda frames, run: interpolate(inputs, frames, request, run)


def upscaled(large: Any, **more: Any) -> Make:
    from zoetrope.hosts.comfyui.jobs.upscale import UpscaleRequest, upscale

    inputs = enlargers(large, tile=more.get("tile", 0))
    request = UpscaleRequest(**{"steps": 3, "cfg": 1.0, "seed": 5, **more})
    return lambda frames, run: upscale(inputs, frames, request, run)


def scenes() -> Tensor:
    """Key frames of a scene of 9, one of a single frame, and one of 7."""
    return torch.cat([world(9, background="black"), world(1, background="white"), world(7, background="black", seed=4)])


WINDOWS_THAT_DEPEND_ON_EACH_OTHER = {"window": 4, "overlap": 1}
"""Options of a VAE."""


@pytest.mark.parametrize(
    ("settings", "share"),
    [
        ({}, (0.2, 0.6, 0.95)),
        pytest.param({"originals": True, **WINDOWS_THAT_DEPEND_ON_EACH_OTHER}, (0.3, 0.5, 0.8, 1), marks=pytest.mark.slow),
        pytest.param({"factor": 2, "shared": 0, "originals": True}, (0.3, 0.5, 0.8), marks=pytest.mark.slow),
    ],
)
def test_a_stopped_interpolation_continues_to_the_same_bits(
    demo: Any, tmp_path: Path, counted: list[Any], settings: dict[str, Any], share: tuple[float, ...]
) -> None:
    check_stops(interpolated(demo, **settings), scenes(), tmp_path, counted, share)


@pytest.mark.parametrize(
    "settings",
    [
        {"colours": "steady"},
        pytest.param({"colours": "adain", "tile": 8, "window": 4, "overlap": 1}, marks=pytest.mark.slow),
        pytest.param({"colours": "off", "overlap": 0}, marks=pytest.mark.slow),
    ],
)
def test_a_stopped_upscaling_continues_to_the_same_bits(
    large: Any, tmp_path: Path, counted: list[Any], settings: dict[str, Any]
) -> None:
    tiles = 9 if settings.get("tile") else 1
    make = upscaled(large, **settings)
    if tiles == 1:
        check_stops(make, world(39, fps=16, size=16), tmp_path, counted, (0.2, 0.7, 1))
    else:
        check_stops(make, world(23, fps=16, size=16), tmp_path, OneOf(counted, tiles), (0.3, 0.6))


@pytest.mark.slow
def test_flow_in_late_steps_is_computed_again(large: Any, tmp_path: Path, counted: list[Any]) -> None:
    pytest.importorskip("cv2", reason="OpenCV is not installed: nothing to compute a flow with")
    make = upscaled(large, flow=True, steps=4)
    check_stops(make, world(33, fps=16, size=16), tmp_path, counted, (0.3, 0.7))


class OneOf(list[Any]):
    """A list of calls, of which `each` belong together."""

    def __init__(self, calls: list[Any], each: int):
        self._calls, self._each = calls, each

    def __len__(self) -> int:
        return len(self._calls) // self._each

    def clear(self) -> None:
        self._calls.clear()


def test_a_run_stopped_again_and_again_ends(demo: Any, tmp_path: Path) -> None:
    make, keys, done = interpolated(demo), world(9), 0
    whole = bits(make, keys, unfinished(tmp_path / "whole"))

    def interrupted(calls: int) -> None:
        nonlocal done
        done += 1
        if done % 12 == 0:  # the first call of a run is for the runs before
            raise Stop

    for _ in range(200):
        try:
            with unfinished(tmp_path / "j", interrupted) as run:
                assert bits(make, keys, run) == whole
            break
        except Stop:
            continue
    else:
        raise AssertionError("no progress between interrupts")
    assert not (tmp_path / "j").exists(), "a finished run is removed"


def test_nothing_is_left_of_a_run_without_a_finished_window(large: Any, tmp_path: Path) -> None:
    def broken() -> Iterator[Tensor]:
        yield world(1, size=16)[0]
        raise Stop

    with pytest.raises(Stop), unfinished(tmp_path / "j") as run:
        list(upscaled(large)(broken(), run))
    assert not (tmp_path / "j").exists()


def test_frames_are_held_for_a_few_windows_whatever_the_length(large: Any, tmp_path: Path) -> None:
    from itertools import islice

    taken = 0
    picture = world(1, size=16)[0]

    def endless() -> Iterator[Tensor]:
        nonlocal taken
        while True:
            taken += 1
            yield picture

    made = iter(upscaled(large, steps=2)(endless(), unfinished(tmp_path / "j")))
    ahead = [taken - number for number, _ in enumerate(islice(made, 100))]
    made.close()  # type: ignore[attr-defined]
    assert max(ahead[50:]) <= max(ahead[:50])
