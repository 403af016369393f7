"""Jobs that are stopped and continued."""

from collections.abc import Callable, Iterable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

Make = Callable[[Iterable[Tensor], Any], Iterable[Tensor]]


class Stop(Exception):
    """An interrupt."""


@pytest.fixture
def stored_after_each_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    from zoetrope.hosts.comfyui.jobs import unfinished
    from zoetrope.shots import sinks

    monkeypatch.setattr(sinks, "SAVED_EVERY", 0.0)
    monkeypatch.setattr(sinks, "SAVING_SHARE", 1e9)
    monkeypatch.setattr(unfinished, "WINDOWS", 2)
    monkeypatch.setattr(unfinished, "STORED_EVERY", 0.0)
    monkeypatch.setattr(unfinished, "STORING_SHARE", 1e9)


def unfinished(folder: Path, progress: Any = lambda calls: None) -> Any:
    from zoetrope.hosts.comfyui.jobs.unfinished import Unfinished
    from zoetrope.shots.journal import Journal

    def journal(sizes: Any) -> Any:
        return Journal.open(folder) if folder.exists() else Journal.create(folder, sizes, {}, {})

    return Unfinished(journal, progress)


def bits(make: Make, frames: Tensor, run: Any) -> tuple[str, list[str]]:
    """Digests of the pixels and of the stored latents."""
    pixels = sha256()
    for frame in make(iter(frames), run):
        pixels.update(frame.numpy().tobytes())
    stored = torch.stack(list(run.stored(0)))
    return pixels.hexdigest(), [sha256(latent.numpy().tobytes()).hexdigest() for latent in stored]


def check_stops(make: Make, frames: Tensor, folder: Path, counted: list[Any], share: tuple[float, ...]) -> None:
    """Compares a run without a break with runs that stop in the given shares of their rounds."""
    steps: list[int] = []
    whole = bits(make, frames, unfinished(folder / "whole", steps.append))
    calls = len(counted)
    assert steps[-1] == calls
    assert len(steps) > 20
    for last in sorted({max(1, round(part * len(steps))) for part in share}):
        states = 0

        def stop(done: int, last: int = last) -> None:
            nonlocal states
            states += 1
            if states == last:
                raise Stop

        place = folder / f"stopped_{last}"
        with pytest.raises(Stop), unfinished(place, stop) as run:
            list(make(iter(frames), run))
        counted.clear()
        seen: list[int] = []
        run = unfinished(place, seen.append)
        assert bits(make, frames, run) == whole, f"stopped after state {last} of {len(steps)}"
        assert len(counted) == calls - steps[last - 1], "finished windows are not computed again"
        assert seen[0] == run.calls == steps[last - 1], "the progress begins where the earlier run ended"
