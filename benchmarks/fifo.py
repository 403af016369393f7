"""Overhead of the sampling loop: `python benchmarks/fifo.py [--frames 60] [--call 0.1]`.

The model is a matrix product that takes at least --call seconds per window (a GPU's, where there is one), so its share is
what a real model would see. Printed side by side, from one run: wall time of the queue alone and of the whole shot with its
journal and video, over the bare model calls that both need. --memory FRAMES: how main memory (and the device's) grows.
--decoding FRAMES: time of decoding in pieces, 14 latents that share 4, over the bare decoder calls that it needs.
"""

import argparse
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from itertools import islice, starmap
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

sys.path[:0] = [str(Path(__file__).parents[1] / folder) for folder in ("tools", "tests/support")]
from naming import name_the_checkout  # noqa: E402

name_the_checkout()

import torch  # noqa: E402
from torch import Tensor  # noqa: E402
from zoetrope.sampling import fifo  # noqa: E402
from zoetrope.sampling.layout import FifoLayout  # noqa: E402
from zoetrope.sampling.noise import FrameNoise  # noqa: E402
from zoetrope.sampling.pieces import Pieces  # noqa: E402
from zoetrope.sampling.queue import PRESETS, begin  # noqa: E402
from zoetrope.sampling.schedule import LINEAR  # noqa: E402
from zoetrope.sampling.windowing import WindowSpec  # noqa: E402
from zoetrope.shots.journal import Journal, Sizes, State  # noqa: E402
from zoetrope.shots.measure import ram  # noqa: E402
from zoetrope.shots.record import Recording  # noqa: E402
from zoetrope.shots.sinks import Step  # noqa: E402


class Model:
    """A model that runs for a set time and measures it."""

    def __init__(self, seconds: float, device: str):
        self.device, self.spent, self.calls = device, 0.0, 0
        self._weight = torch.randn(768, 768, device=device) / 28
        self._turns = 1
        while self._timed() < seconds:
            self._turns *= 2

    def __call__(self, x: Tensor, sigma: Tensor, frame: Tensor) -> Tensor:
        started = time.perf_counter()
        for _ in range(len(x) // 16):  # windows
            self._work()
        clean = x / (1 + sigma.reshape(-1, 1, 1, 1) ** 2).sqrt()
        self._settle()
        self.spent += time.perf_counter() - started
        self.calls += 1
        return clean

    def _work(self) -> None:
        state = self._weight
        for _ in range(self._turns):
            state = state @ self._weight
            state = state / state.norm()

    def _settle(self) -> None:
        if self.device != "cpu":
            torch.cuda.synchronize()

    def _timed(self) -> float:
        started = time.perf_counter()
        self._work()
        self._settle()
        return time.perf_counter() - started


class Sampler:
    """A shot from noise, as `shots.record.Sampler`."""

    def __init__(self, model: Model, latent: tuple[int, int, int], shape: FifoLayout):
        self._model, self._shape, self._noise = model, shape, FrameNoise(0, latent)
        self.pieces, self.tiles = Pieces(), dict[int, int]()

    def steps(self, state: State | None) -> Iterator[Step]:
        device = self._model.device
        if state is None:
            start = begin(lambda *call: self._model(*(one.to(device) for one in call)).cpu(), self._shape, self._noise, "noise")
            state = State(start.frame, start.queue, start.finished)
            assert state
            yield Step(state.frame, state.queue, state.pending)
        assert state
        run = fifo.run(self._model, state.queue.to(device), self._shape, self._noise.at, state.frame)
        yield from starmap(Step.of_queue, run)

    def rounds(self, streams: Iterator[Iterator[Step]]) -> Iterator[None]:
        for steps in streams:
            for _ in steps:
                pass
            yield

    def decode(self, latents: Tensor, piece: int | None) -> Tensor:
        return (latents[:, :3].repeat_interleave(8, 2).repeat_interleave(8, 3) / 8 + 0.5).clamp(0, 1).cpu()


def queue_alone(model: Model, frames: int, latent: tuple[int, int, int], shape: FifoLayout, together: int) -> float:
    """Wall time of the steady state ÷ time inside the model."""
    noise = FrameNoise(0, latent)
    queue = fifo.queue_of(torch.zeros(1, *latent), shape, noise.at).to(model.device)
    shot = fifo.run(model, queue, shape, noise.at, 0, together)
    next(shot)
    model.spent, started = 0.0, time.perf_counter()
    for _ in islice(shot, frames):
        pass
    return (time.perf_counter() - started) / model.spent


def whole_shot(model: Model, frames: int, latent: tuple[int, int, int], shape: FifoLayout) -> tuple[float, float, float]:
    """(wall ÷ model, share of journal and everything else, share of decoding and encoding) over a shot with its files."""
    sampler, decoded = Sampler(model, latent, shape), [0.0]
    with TemporaryDirectory() as folder:
        journal = Journal.create(Path(folder) / "shot", Sizes(shape.places, 16, latent), {}, {})
        model.spent, started = 0.0, time.perf_counter()
        with closing(Recording(journal, sampler, frames, 8.0, tail=1)) as recording:
            for _ in recording:
                pass
        wall = time.perf_counter() - started
        pictures = time.perf_counter()
        from zoetrope.video.io.write import write_video

        numbers = range(-(-frames // 16))
        for number in numbers:
            latents = journal.latents(number) if journal.latents_path(number).exists() else torch.zeros(1, *latent)
            pictures_of = (sampler.decode(latent[None], 0)[0] for latent in latents)
            write_video(Path(folder) / f"{number}.mp4", pictures_of, 8.0, joinable=True)
        decoded[0] = time.perf_counter() - pictures
    return (wall - decoded[0]) / model.spent, (wall - decoded[0] - model.spent) / wall, decoded[0] / wall


def memory(frames: int, latent: tuple[int, int, int], device: str) -> None:
    """Main memory of a whole shot with its files, at frame 100 and at the end."""
    shape = PRESETS["recommended"].layout(LINEAR, None)
    model, memory = Model(0.0, device), {}

    class Weighed(Sampler):
        def steps(self, state: State | None) -> Iterator[Step]:
            for step in super().steps(state):
                if step.frame - 1 in (100, frames // 2, frames - 2):
                    memory[step.frame - 1] = (ram(), torch.cuda.memory_allocated() if device != "cpu" else 0)
                yield step

    with TemporaryDirectory() as folder:
        journal = Journal.create(Path(folder) / "shot", Sizes(shape.places, 16, latent), {}, {})
        with closing(Recording(journal, Weighed(model, latent, shape), frames, 8.0, tail=1)) as recording:
            for _ in recording:
                pass
    first = memory[100]
    for frame, (main, on_device) in memory.items():
        grown = f"{main / first[0]:.4f} of frame 100's" + (f"; device {on_device / first[1]:.4f}" if first[1] else "")
        print(f"frame {frame}: {main / 2**20:.1f} MiB of main memory, {grown}")


def decoding(frames: int, call: float) -> None:
    """Wall time and calls of decoding frames of 512x512 pixels over those of the bare decoder, segment by segment."""
    pieces, spent, calls = Pieces(cut=WindowSpec(14, 4)), 0.0, 0

    def decode(latents: Tensor, piece: int) -> Tensor:
        nonlocal spent, calls
        started = time.perf_counter()
        time.sleep(call)
        made = latents[:, :3].repeat_interleave(8, 2).repeat_interleave(8, 3)
        spent, calls = spent + time.perf_counter() - started, calls + 1
        return made

    stored = torch.randn(64, 4, 64, 64)
    stream = pieces.decoded(decode, lambda start, stop: stored[[number % 64 for number in range(start, stop)]], 0)
    started = time.perf_counter()
    for _ in islice(stream, frames):
        pass
    wall, needed = time.perf_counter() - started, -(-frames // (pieces.cut.size - pieces.cut.overlap))
    print(f"{frames} frames: {wall / spent:.4f} of the decoder's time; {calls} calls, {needed} needed")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--call", type=float, default=0.1, help="least seconds of a model call")
    parser.add_argument("--memory", type=int, help="frames of the memory run, instead of the others")
    parser.add_argument("--decoding", type=int, help="frames to decode in pieces, instead of the others")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    latent = (4, 64, 64)
    if arguments.memory:
        memory(arguments.memory, (4, 16, 16), arguments.device)
        return
    if arguments.decoding:
        decoding(arguments.decoding, arguments.call)
        return
    model = Model(arguments.call, arguments.device)
    print(f"latents {latent}, {arguments.device}, model calls of {median(model._timed() for _ in range(5)):.3f} s")
    for name, preset in PRESETS.items():
        shape = preset.layout(LINEAR, None)
        for together in (1, len(shape.windows())):
            ratio = queue_alone(model, arguments.frames // len(shape.windows()) + 2, latent, shape, together)
            print(f"{name}, {together} windows per call: the queue's wall time is {ratio:.4f} of its model calls")
    shape = PRESETS["recommended"].layout(LINEAR, None)
    loop, other, pictures = whole_shot(model, arguments.frames, latent, shape)
    print(f"the whole shot without pictures: {loop:.4f} of its model calls; of the wall time {other:.2%} are loop and journal,")
    print(f"{pictures:.2%} decoding and encoding of 512x512 pictures")


if __name__ == "__main__":
    main()
