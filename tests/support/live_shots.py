"""Live shots of a closed-form model: a host without a network, and shots that are stopped."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from zoetrope.sampling.live import FULL, Guidance, LiveLayout
from zoetrope.sampling.pieces import Pieces
from zoetrope.sampling.schedule import LINEAR
from zoetrope.shots.folder import ShotFolder
from zoetrope.shots.journal import Journal
from zoetrope.shots.live.files import live_journal
from zoetrope.shots.live.host import LiveFigures, LiveSettings
from zoetrope.shots.live.input import FromFeed
from zoetrope.shots.live.record import PromptFrom
from zoetrope.shots.live.run import LiveRun
from zoetrope.video.live.feed import Arrived, feeding

LATENT = (4, 2, 2)
SETTINGS = LiveSettings(LiveLayout(2, 4, context=3), Guidance(FULL, 1.5), LINEAR, strength=0.6, seed=7)


class Stopped(Exception):
    """Stands for an interrupt of the user."""


class Host:
    """A `LiveHost`: its latents are means of the picture, its model mixes frames, and prompts shift them."""

    leaving = False

    def __init__(self, concurrent: bool = False):
        self.pieces, self.tiles, self.device = Pieces(), dict[int, int](), torch.device("cpu")
        self.concurrent, self.calls, self.stop_at = concurrent, 0, -1
        self.heard: list[tuple[PromptFrom, ...]] = []
        self._prompts: tuple[PromptFrom, ...] = ()

    def encode(self, pictures: Tensor) -> Tensor:
        return pictures.mean((1, 2, 3)).reshape(-1, 1, 1, 1).expand(-1, *LATENT).clone()

    def decode(self, latents: Tensor, piece: int | None = None) -> Tensor:
        return latents[:, :3].repeat_interleave(8, 2).repeat_interleave(8, 3).sigmoid()

    def check_prompt(self, prompt: str) -> None:
        if prompt == "unknown":
            raise ValueError("prompt: expected known words")

    def prompts(self, prompts: Sequence[PromptFrom]) -> None:
        self._prompts = tuple(prompts)
        self.heard.append(self._prompts)

    def positive(self, x: Tensor, sigma: Tensor, frame: Tensor) -> Tensor:
        self.calls += 1
        if self.calls == self.stop_at:
            raise Stopped
        texts = [[one for one in self._prompts if one.frame <= max(0, number)][-1].text for number in frame.tolist()]
        shift = torch.tensor([len(text or "") / 10 for text in texts]).reshape(-1, 1, 1, 1)
        return torch.tanh(x / (1 + sigma.reshape(-1, 1, 1, 1))) + 0.1 * x.mean(0, keepdim=True) + shift

    def negative(self, x: Tensor, sigma: Tensor, frame: Tensor) -> Tensor:
        return 0.5 * torch.tanh(x / (1 + sigma.reshape(-1, 1, 1, 1)))

    def rounds(self, streams: Iterator[Iterator[object]]) -> Iterator[None]:
        for steps in streams:
            for _ in steps:
                pass
            yield


class Audience:
    """Notes what a `LiveListener` receives."""

    def __init__(self) -> None:
        self.frames: list[int] = []
        self.notes: list[str] = []
        self.last: LiveFigures | None = None

    def shown(self, frame: int, pictures: Tensor) -> None:
        self.frames += range(frame, frame + len(pictures))

    def figures(self, figures: LiveFigures) -> None:
        self.last = figures

    def note(self, text: str) -> None:
        self.notes.append(text)


class Numbered:
    """A source of `frames` grey pictures that waits for the model."""

    waits = True

    def __init__(self, frames: int, start: int = 0):
        self.frames, self.start = frames, start

    def arrivals(self, stopped: Callable[[float], bool], most: int) -> Iterator[Arrived]:
        for number in range(self.start, self.frames):
            yield Arrived(number, torch.full((3, 16, 16), number % 17 / 17), 0.0)


def journal_in(folder: Path, settings: LiveSettings = SETTINGS, fresh: bool = False) -> Journal:
    journal, _ = live_journal(ShotFolder(folder, "live"), settings, LATENT, {"source": "numbered"}, {"torch": "any"}, fresh)
    return journal


def run_in(
    folder: Path, length: int, host: Any = None, settings: LiveSettings = SETTINGS, audience: Any = None, **more: Any
) -> Any:
    """Runs or continues a shot with a source of `length` frames."""
    run = LiveRun(journal_in(folder, settings), settings, host or Host(), audience or Audience(), 8.0, **more)
    source = Numbered(length, run.place.source + 1)
    with feeding(source, settings.layout.block) as feed:
        return run.run(FromFeed(feed, (host or Host()).encode, settings.layout.block))
