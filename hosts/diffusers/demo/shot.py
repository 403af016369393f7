"""Long shots of the embedded model on diffusers: a denoiser with a prompt per frame, and the sampler of a recording."""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import starmap
from pathlib import Path

import diffusers
import torch
from torch import Tensor

from ....demo.layout import FOLDER, PARTS, part_path
from ....sampling import fifo
from ....sampling.fifo import Denoiser
from ....sampling.known import Loop
from ....sampling.layout import FifoLayout, calls_per_frame
from ....sampling.noise import FrameNoise
from ....sampling.queue import InitialQueue, QueueSettings, beginning, trial_call, work_before
from ....sampling.schedule import LINEAR
from ....sampling.timeline import Cue, Numbers, hard_cuts, mix_at, text_of
from ....shots.journal import SEGMENT, Journal, Scalar, Sizes, State
from ....shots.measure import disk_free, ram, seconds_of, written
from ....shots.plan import Measured, Plan, Work
from ....shots.sinks import Step
from ..motion import motion_in
from .decoder import DemoDecoder
from .model import PIXELS, Demo


@contextmanager
def denoising(demo: Demo, cues: Sequence[Cue], guidance: Numbers, window: int) -> Iterator[Denoiser]:
    """A denoiser with a noise level, a prompt and a guidance scale per frame, for the length of a `with` block.

    cues      prompts by frame; a fade interpolates their embeddings
    guidance  classifier-free guidance scale by frame
    window    frames per clip; a call may have several clips
    Raises ValueError where the model has no motion module.
    """
    with torch.inference_mode():
        texts = demo.text(demo.text.tokenize([*(cue.text for cue in cues), ""]).to(demo.unet.device))  # (cues + 1, n, d)

    @torch.inference_mode()
    def denoise(x: Tensor, sigma: Tensor, frame: Tensor) -> Tensor:
        numbers, device = frame.tolist(), demo.unet.device
        x, sigma = x.to(device), sigma.to(device)
        scale = torch.tensor([guidance.at(number) for number in numbers], device=device).reshape(-1, 1, 1, 1)
        negative = texts[-1:].expand(len(numbers), -1, -1)
        return demo.guided(_texts_by_frame(texts, cues, numbers), negative, scale)(x, sigma)

    if demo.motion is None:
        raise ValueError("a long shot needs the motion module")
    with motion_in(demo.unet, demo.motion, frames=window):
        yield denoise


def _texts_by_frame(texts: Tensor, cues: Sequence[Cue], numbers: Sequence[int]) -> Tensor:
    mixes = (mix_at(cues, number) for number in numbers)
    return torch.stack([torch.lerp(texts[before], texts[now], share) for before, now, share in mixes])


@dataclass(frozen=True)
class DemoShot:
    """A shot of the embedded model."""

    demo: Demo
    cues: tuple[Cue, ...]
    guidance: Numbers
    seed: int
    fps: int
    queue: QueueSettings
    decoder: DemoDecoder
    loop: int = 0
    """Number of frames of a shot that ends where it begins; 0: no loop."""

    @property
    def shape(self) -> FifoLayout:
        return self.queue.layout(LINEAR, None)

    @property
    def latent(self) -> tuple[int, int, int]:
        return 4, PIXELS // 8, PIXELS // 8

    @property
    def sizes(self) -> Sizes:
        return Sizes(self.shape.places, SEGMENT, self.latent)

    def settings(self) -> dict[str, Scalar]:
        """All settings that the latents depend on, for the journal; the prompt as a digest (docs/security.md)."""
        prompt = hashlib.sha256(text_of(self.cues).encode())
        files = hashlib.sha256()
        for part in PARTS:
            files.update(part_path(part, FOLDER).read_bytes())
        return {
            "model": f"sha256:{files.hexdigest()}", "prompt": f"sha256:{prompt.hexdigest()}", "guidance": str(self.guidance),
            "guidance interval": str(self.demo.interval), "seed": self.seed, **self.queue.settings(self.shape),
            **({"closed loop of frames": self.loop} if self.loop else {}),
        }  # fmt: skip

    def made_with(self) -> dict[str, Scalar]:
        return {
            "device": str(self.demo.unet.device), "precision": str(self.demo.unet.dtype),
            "torch": torch.__version__, "diffusers": diffusers.__version__,
        }  # fmt: skip

    def denoising(self):  # noqa: ANN201  a context manager
        return denoising(self.demo, self.cues, self.guidance, self.queue.window)

    def plan(self, frames: int, folder: Path) -> Plan:
        """Estimates time, memory and disk space of a shot from a few measured calls."""
        shape, per_window, noise = self.shape, {}, FrameNoise(0, self.latent)
        with self.denoising() as denoise:
            for together in sorted({1, len(shape.windows())}):
                call = trial_call(shape, noise, together)
                per_window[together] = seconds_of(lambda call=call: denoise(*call).sum().item()) / together
        pieces = self.decoder.pieces
        latents = torch.stack([noise.at(frame, 0) for frame in range(pieces.cut.size)])
        write, size = written(self.decoder.decode(latents)[0], self.fps)
        used = per_window.get(self.queue.windows_per_call, per_window[1])
        decode = seconds_of(lambda: self.decoder.decode(latents)) / pieces.final(pieces.cut.size) + write
        measured = Measured(used, per_window, decode, None, None, ram(), None, disk_free(folder), size)
        base_calls, warm_up = work_before(shape, self.queue.start == "base clip")
        needed, calls, values = (pieces.latents(frames), pieces.latents(1)), calls_per_frame(shape), latents[0].numel()
        return Plan(Work(frames, *needed, warm_up, calls, base_calls, values, shape.places), measured)


class DemoSampler:
    """The embedded model as a `shots.record.Sampler`."""

    def __init__(self, shot: DemoShot):
        self._shot, self._noise, self._denoise = shot, FrameNoise(shot.seed, shot.latent), None
        self.pieces, self.tiles = shot.decoder.pieces, shot.decoder.tiles
        self._loop = Loop(shot.loop, shot.shape.window) if shot.loop else None

    def resume(self, journal: Journal) -> None:
        """Takes what a resumed shot needs of its finished frames."""
        if self._loop:
            self._loop.finish(0, journal.first(self._shot.shape.window))

    def steps(self, state: State | None) -> Iterator[Step]:
        shot, shape = self._shot, self._shot.shape
        assert self._denoise, "steps are pulled inside a round only"
        if state is None:
            for event in beginning(self._denoise, shape, self._noise, shot.queue.start, loop=self._loop):
                if isinstance(event, InitialQueue):
                    state = State(event.frame, event.queue, event.finished)
                    yield Step(state.frame, state.queue, state.pending)
                else:
                    self.starting(event, len(shape.sigmas))
        assert state
        queue, together = state.queue.to(shot.demo.unet.device), shot.queue.windows_per_call
        tail = shot.queue.tail(hard_cuts(shot.cues))
        yield from starmap(
            Step.of_queue,
            fifo.run(self._denoise, queue, shape, self._noise.at, state.frame, together, tail=tail, loop=self._loop),
        )

    def starting(self, step: int, steps: int) -> None:
        """Called after each sampling step of the base clip."""

    def counted(self, steps: Iterator[Step]) -> Iterator[Step]:
        """Passes the steps through; a subclass may count them."""
        return steps

    def rounds(self, streams: Iterator[Iterator[Step]]) -> Iterator[None]:
        for steps in streams:
            with self._shot.denoising() as self._denoise:
                for _ in self.counted(steps):
                    pass
            yield

    def decode(self, latents: Tensor, piece: int | None) -> Tensor:
        return self._shot.decoder.decode(latents, piece)
