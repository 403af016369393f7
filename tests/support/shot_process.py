"""A shot with a cheap model, for tests that stop it: `python shot_process.py FOLDER FRAMES [DECODER]` in a process that may be
killed.

The queue, the journal, the segments and the joining are the real ones; the model is arithmetic, the VAE a magnifying glass.
"""

import hashlib
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))
from naming import name_the_checkout  # noqa: E402

name_the_checkout()

import torch  # noqa: E402
from films import read_video  # noqa: E402
from torch import Tensor  # noqa: E402
from zoetrope.sampling import fifo  # noqa: E402
from zoetrope.sampling.layout import published_layout  # noqa: E402
from zoetrope.sampling.noise import FrameNoise  # noqa: E402
from zoetrope.sampling.pieces import CarriedPieces, Pieces  # noqa: E402
from zoetrope.sampling.schedule import LINEAR  # noqa: E402
from zoetrope.sampling.windowing import TimeRatio, WindowSpec  # noqa: E402
from zoetrope.shots.journal import Journal, Sizes, State  # noqa: E402
from zoetrope.shots.record import Recording, Sampler, Shot  # noqa: E402
from zoetrope.shots.sinks import DecodedFrame, Step  # noqa: E402

LATENT = (4, 4, 4)
SHAPE = published_layout(LINEAR.float(), 8, 2, 2)
SEGMENT = 6
DECODERS = {
    "image": Pieces(),
    "windows": Pieces(cut=WindowSpec(5, 2)),
    "causal": Pieces(TimeRatio(each=4, first=1), WindowSpec(4, 1)),
    "carried": CarriedPieces(TimeRatio(each=4, first=1), each=2, back=5),
}
SETTINGS = {"seed": 3, "model": "sha256:cheap"}


def denoise(x: Tensor, sigma: Tensor, frame: Tensor) -> Tensor:
    level = sigma.reshape(-1, 1, 1, 1)
    return (0.8 * x + 0.1 * x.mean(0, keepdim=True)) / (1 + level**2).sqrt() + 0.1 * (frame * 0.3).sin().reshape(-1, 1, 1, 1)


class CheapSampler:
    """A model of arithmetic."""

    def __init__(self, seconds_per_frame: float = 0.0, decoder: str = "image"):
        self._seconds, self._noise = seconds_per_frame, FrameNoise(3, LATENT)
        self.pieces, self.tiles = DECODERS[decoder], dict[int, int]()
        self._state, self._next = torch.zeros(0), -1

    def steps(self, state: State | None) -> Iterator[Step]:
        if state is None:
            clip = fifo.base_clip(denoise, SHAPE, self._noise.at)
            state = State(fifo.first_frame(clip, SHAPE), fifo.queue_of(clip, SHAPE, self._noise.at), clip[:0])
            assert state
            yield Step(state.frame, state.queue, state.pending)
        assert state
        for values in fifo.run(denoise, state.queue, SHAPE, self._noise.at, state.frame):
            time.sleep(self._seconds)
            yield Step.of_queue(*values)

    def rounds(self, streams: Iterator[Iterator[Step]]) -> Iterator[None]:
        for steps in streams:
            for _ in steps:
                pass
            yield

    def decode(self, latents: Tensor, piece: int | None) -> Tensor:
        count = self.pieces.ratio.frames(len(latents))
        if isinstance(self.pieces, CarriedPieces) and piece is not None:
            latents, first = self._with_state(latents, piece, self.pieces)
            count = 1 if first else self.pieces.frames_of_trial
        mixed = latents + (latents.mean(0) if self.pieces.cut.size > 1 else 0)  # a frame depends on its whole window
        frames = mixed[(torch.arange(count) * len(latents) / count).long()]
        return (frames[:, :3].repeat_interleave(8, 2).repeat_interleave(8, 3) / 4 + 0.5).clamp(0, 1)

    def _with_state(self, latents: Tensor, piece: int, pieces: CarriedPieces) -> tuple[Tensor, bool]:
        """Latents that depend on the last ones of the pieces before, and whether there is no piece before."""
        first = piece != self._next or len(latents) < pieces.each
        before = latents[:0] if first else self._state
        self._state, self._next = torch.cat([before, latents])[-pieces.back :], piece + 1
        return latents + 0.1 * before.sum(0), first


def journal(folder: Path) -> Journal:
    sizes = Sizes(SHAPE.places, SEGMENT, LATENT)
    return Journal.open(folder) if (folder / "shot.json").exists() else Journal.create(folder, sizes, SETTINGS, {})


def take(folder: Path, frames: int, sampler: Sampler | None = None, looks: list[DecodedFrame] | None = None) -> Shot:
    recording = Recording(journal(folder), sampler or CheapSampler(), frames, 8.0, tail=16)
    with closing(recording):
        for decoded in recording:
            if looks is not None:
                looks.append(decoded)
    return recording.shot


def all_latents(folder: Path, frames: int) -> Tensor:
    """Every latent that a journal holds."""
    kept = journal(folder)
    state = kept.state()
    assert state is not None
    full = [kept.latents(number) for number in range(max(0, state.frame) // SEGMENT)]
    return torch.cat([*full, state.pending])[:frames]


def picture_hash(video: Path) -> str:
    """Of every decoded frame."""
    return hashlib.sha256(read_video(video)[0].numpy().tobytes()).hexdigest()


if __name__ == "__main__":
    torch.set_num_threads(1)
    print("ready", flush=True)
    take(Path(sys.argv[1]), int(sys.argv[2]), CheapSampler(0.02, *sys.argv[3:]))
    print("done", flush=True)
