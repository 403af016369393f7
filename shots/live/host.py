"""Settings of a live shot, and what it needs of others: a host with a model, a listener, a control."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from ...sampling.live import OFF, Guidance, LiveLayout, live_sigmas
from ..journal import Scalar
from ..videos import Decoder
from .record import Change, PromptFrom


@dataclass(frozen=True)
class LiveSettings:
    """Settings of a live shot."""

    layout: LiveLayout
    guidance: Guidance
    table: Tensor
    """Noise levels of the model, cleanest first."""
    strength: float = 0.5
    seed: int = 0
    same_noise: bool = True
    sigmas: Tensor | None = None
    """Noise levels of each frame, noisiest first, 0 last, instead of those of the strength."""

    def levels(self, strength: float) -> Tensor:
        """Noise levels of a frame that enters with this strength `(n + 1,)`."""
        return live_sigmas(self.table, strength, self.layout.levels) if self.sigmas is None else self.sigmas

    def settings(self) -> dict[str, Scalar]:
        """Settings that the latents depend on, by the names of the node's inputs."""
        layout, guidance = self.layout, self.guidance
        kinds = {} if guidance.kind == OFF else {"guidance scale": guidance.scale, "delta": guidance.delta}
        return {
            "kind": "live shot", "levels": layout.levels, "block": layout.block, "context": layout.context,
            "guidance": guidance.kind, **kinds, "strength": self.strength, "seed": self.seed, "same noise": self.same_noise,
            **({} if self.sigmas is None else {"sigmas": str(self.sigmas.tolist())}),
        }  # fmt: skip


class LiveHost(Decoder, Protocol):
    """What a host implements for a live shot; `positive` and `negative` are used only within a round."""

    device: torch.device
    concurrent: bool
    """Whether `encode` and `decode` may run in other threads while the model works."""

    def positive(self, x: Tensor, sigma: Tensor, frame: Tensor) -> Tensor:
        """The model with the prompt of each frame; see `sampling.fifo.Denoiser`."""
        ...

    def negative(self, x: Tensor, sigma: Tensor, frame: Tensor) -> Tensor:
        """The model with the negative prompt."""
        ...

    @property
    def leaving(self) -> bool:
        """Whether the round has to end, because the model was moved away."""
        ...

    def encode(self, pictures: Tensor) -> Tensor:
        """Encodes pictures `(n, 3, h, w)` in [0, 1] to latents in the sampler's scale `(n, c, h, w)`, float32 on the CPU."""
        ...

    def check_prompt(self, prompt: str) -> None:
        """Raises ValueError for a prompt that cannot be used."""
        ...

    def prompts(self, prompts: Sequence[PromptFrom]) -> None:
        """Sets the prompts by frame. Called between rounds."""
        ...

    def rounds(self, streams: Iterator[Iterator[object]]) -> Iterator[None]:
        """Runs each stream to its end with the model loaded, and yields after each."""
        ...


@dataclass(frozen=True)
class LiveFigures:
    """Figures of a live shot that is running."""

    frames: int
    """Finished frames, with those of earlier runs."""
    fps: float
    """Finished frames per second, over the last `MEASURED` seconds."""
    delay: float
    """Seconds from a frame's arrival to its decoded output, of the newest one; 0 before the first."""
    arrived: int
    dropped: int
    similar: int

    def text(self) -> str:
        """The figures in one line."""
        left_out = f", {self.similar} similar ones left out" if self.similar else ""
        return f"{self.frames} frames, {self.fps:.1f} fps, delay {self.delay:.2f} s, {self.dropped} dropped{left_out}"


class LiveListener(Protocol):
    """Receives the events of a live shot; `shown` may be called from another thread."""

    def shown(self, frame: int, pictures: Tensor) -> None:
        """Decoded frames `(n, 3, h, w)` in [0, 1], the first with number `frame`."""

    def figures(self, figures: LiveFigures) -> None:
        """After each call, and while the shot waits for its source."""

    def note(self, text: str) -> None:
        """A message about the source or about a change."""


class Control(Protocol):
    """Changes of settings while a shot runs."""

    def changed(self, prompt: str | None, strength: float | None) -> Change | None:
        """The change to these newest values, its `call` not yet set; None without one. Raises ValueError for invalid ones."""
        ...
