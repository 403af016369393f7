"""Long shots of the embedded model on diffusers: a denoiser that knows what is said at every frame, and the crew of a shot."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import diffusers
import torch
from torch import Tensor

from ....demo.layout import FOLDER, PARTS, part_path
from ....sampling import fifo
from ....sampling.fifo import Denoiser
from ....sampling.noise import FrameNoise
from ....sampling.queue import Queue, begin, trial_call, work_before
from ....sampling.schedule import LINEAR
from ....sampling.timeline import Cue, Numbers, mix_at
from ....shots.journal import SEGMENT, Scalar, Sizes, State
from ....shots.machine import disk_free, ram, seconds_of, written
from ....shots.plan import Measured, Plan, Work
from ....shots.record import Crew, Keep, Look
from ..motion import motion_in
from .model import PIXELS, Demo


@contextmanager
def denoising(demo: Demo, cues: Sequence[Cue], guidance: Numbers, window: int) -> Iterator[Denoiser]:
    """The embedded model with one noise level, one prompt and one guidance scale per frame, for the length of the block.

    cues      prompts by frame; a fade mixes their embeddings
    guidance  classifier-free guidance scale by frame
    window    frames of a clip; a call may hold several
    """
    with torch.inference_mode():
        texts = demo.text(demo.text.tokenize([*(cue.said for cue in cues), ""]).to(demo.unet.device))  # (cues + 1, n, d)

    @torch.inference_mode()
    def denoise(x: Tensor, sigma: Tensor, frame: Tensor) -> Tensor:
        numbers, device = frame.tolist(), demo.unet.device
        x, sigma = x.to(device), sigma.to(device)
        scale = torch.tensor([guidance.at(number) for number in numbers], device=device).reshape(-1, 1, 1, 1)
        untold = texts[-1:].expand(len(numbers), -1, -1)
        return demo.guided(_told(texts, cues, numbers), untold, scale)(x, sigma)

    if demo.motion is None:
        raise ValueError("a long shot needs the motion module")
    with motion_in(demo.unet, demo.motion, frames=window):
        yield denoise


def _told(texts: Tensor, cues: Sequence[Cue], numbers: Sequence[int]) -> Tensor:
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
    queue: Queue

    @property
    def shape(self) -> fifo.Diagonal:
        return self.queue.shape(LINEAR, None)

    @property
    def latent(self) -> tuple[int, int, int]:
        return 4, PIXELS // 8, PIXELS // 8

    @property
    def sizes(self) -> Sizes:
        return Sizes(self.shape.places, SEGMENT, self.latent)

    def settings(self) -> dict[str, Scalar]:
        """What decides about every bit, for the journal."""
        files = hashlib.sha256()
        for part in PARTS:
            files.update(part_path(part, FOLDER).read_bytes())
        return {
            "model": f"sha256:{files.hexdigest()}", "prompt": str(self.cues), "guidance": str(self.guidance), "seed": self.seed,
            "fps": self.fps, **self.queue.settings(self.shape),
        }  # fmt: skip

    def made_with(self) -> dict[str, Scalar]:
        return {
            "device": str(self.demo.unet.device), "precision": str(self.demo.unet.dtype),
            "torch": torch.__version__, "diffusers": diffusers.__version__,
        }  # fmt: skip

    def crew(self, note: Callable[[int, int, Look | None], None], note_start: Callable[[int], object]) -> Crew:
        """Who makes it: `note` is told of frames, `note_start` of the steps of the first clip."""
        shape, noise, device = self.shape, FrameNoise(self.seed, self.latent), self.demo.unet.device

        def start() -> State:
            with self.denoising() as denoise:
                made = begin(denoise, shape, noise, self.queue.start, note=note_start)
            return State(made.frame, made.queue, made.finished)

        def sample(state: State, keep: Keep) -> None:
            with self.denoising() as denoise:
                queue, together = state.queue.to(device), self.queue.windows_per_call
                for frame, latent, now in fifo.run(denoise, queue, shape, noise.at, state.frame, together):
                    if not keep(frame, latent, now):
                        return

        return Crew(start, sample, self.decode, note)

    def denoising(self):  # noqa: ANN201  a context manager
        return denoising(self.demo, self.cues, self.guidance, self.queue.window)

    @torch.inference_mode()
    def decode(self, latent: Tensor) -> Tensor:
        """A latent (c h w) to a picture (3 h w) in [0, 1]."""
        vae = self.demo.vae
        picture = vae.decode(latent[None].to(vae.device) / vae.config.scaling_factor).sample[0]
        return (picture / 2 + 0.5).clamp(0, 1).cpu()

    def plan(self, frames: int, folder: Path) -> Plan:
        """What it will cost, from a few real calls."""
        shape, shared, noise = self.shape, {}, FrameNoise(0, self.latent)
        with self.denoising() as denoise:
            for together in sorted({1, len(shape.windows())}):
                call = trial_call(shape, noise, together)
                shared[together] = seconds_of(lambda call=call: denoise(*call).sum().item()) / together
        latent = noise.at(0, 0)
        write, size = written(self.decode(latent), self.fps)
        own = shared.get(self.queue.windows_per_call, shared[1])
        decode = seconds_of(lambda: self.decode(latent)) + write
        measured = Measured(own, shared, decode, None, None, ram(), None, disk_free(folder), size)
        base_calls, warm_up = work_before(shape, self.queue.start == "base clip")
        work = Work(frames, warm_up, fifo.calls_per_frame(shape), base_calls, latent.numel(), shape.places)
        return Plan(work, measured)
