"""Restyling of a video of any length: inverted or noised, and sampled with another prompt, in a pipeline of windows.

Finished latents and the windows in flight are in a journal, so that an interrupted run is continued to the same bits. Scenes
are processed one after the other; no window has frames of two.
"""

import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice

import torch
from torch import Tensor

from ....sampling.interpolation import takes
from ....sampling.noise import FrameNoise
from ....sampling.pipeline import Block, blocks
from ....sampling.windowing import WindowSpec
from ....shots.journal import SEGMENT, Journal, Sizes
from ....shots.sinks import JournalSink, Step
from ....video.frames.colour import carried, grey
from ....video.frames.cuts import is_cut
from ..conditioning.hints import HintFrames
from ..sampling.rounds import sigmas_for
from ..vae.video import fitted
from .restyle_request import INVERSION, SAME_NOISE, RestyleInputs, RestyleRequest
from .restyle_stages import Place, Stages
from .unfinished import encoded_before

ROUND_SECONDS = 20.0
"""Aim for the length of a round, after which the state may be saved."""
MOST_TICKS = 8
"""Ticks per round at most."""


class Restyling:
    """One restyling of a clip.

    journal    makes or finds the journal for latents and windows of these sizes
    progress   called after each round with its number of ticks; `ticks` is their total
    """

    def __init__(
        self, inputs: RestyleInputs, request: RestyleRequest, journal: Callable[[Sizes], Journal],
        progress: Callable[[int], None] = lambda ticks: None,
    ):  # fmt: skip
        """Raises ValueError for a VAE that compresses time, and for settings that do not fit the model."""
        self._inputs, self._request, self._journal, self._progress = inputs, request, journal, progress
        self._chunked_vae, self._base = inputs.chunked_vae, inputs.model.model
        if self._chunked_vae.squeezes:
            raise ValueError("this VAE compresses time, but every frame needs a latent of its own; connect an image VAE")
        self._spec = WindowSpec(request.window, request.overlap)
        self._sigmas = request.levels(lambda steps: sigmas_for(inputs.model, steps))
        self._hints = None if inputs.hint_of is None else HintFrames()
        self._hint_frames = None if inputs.hints is None else iter(inputs.hints)
        self._sink: JournalSink | None = None
        self._ticks = 1
        """Ticks of the next round."""
        self.earlier_ticks = self.earlier_frames = 0
        """Ticks and finished frames of earlier runs."""

    def ticks(self, frames: int) -> int:
        """Number of ticks that a clip of one scene takes."""
        lanes = (len(self._sigmas) - 1) * (2 if self._request.start == INVERSION else 1)
        stride = self._spec.size - self._spec.overlap
        return lanes + 1 + max(1, -(-(frames - self._spec.overlap) // stride))

    def pictures(self, frames: Iterable[Tensor]) -> Iterator[Tensor]:
        """Restyled frames `(3, h, w)`, one at a time in and out. Raises ValueError for a clip without frames."""
        number = 0
        try:
            for scene in takes(self._fitted(frames), lambda before, after: is_cut(before, after, self._request.cut)):
                latents = (self._base.process_latent_out(latent[None])[0] for latent in self._scene(scene, Place(number)))
                for picture in self._chunked_vae.decode(latents):
                    yield picture
                    number += 1
        except BaseException:
            if self._sink:
                self._sink.save_unfinished()
            raise
        if not number:
            raise ValueError("expected one frame or more, got none")

    def matched(self, pictures: Iterable[Tensor], source: Iterable[Tensor]) -> Iterator[Tensor]:
        """Restyled frames with the colours of the source, which is read a second time, in step with them."""
        return carried(zip(pictures, self._fitted(source), strict=False), self._request.colours)

    def remove_latents(self) -> None:
        """Removes the journal of a finished run."""
        if self._sink:
            shutil.rmtree(self._sink.journal.folder, ignore_errors=True)

    def _fitted(self, frames: Iterable[Tensor]) -> Iterator[Tensor]:
        return (fitted(frame, self._chunked_vae) for frame in frames)

    def _opened(self, picture: Tensor) -> JournalSink:
        """The journal's sink, opened with the first picture, whose size the latents have."""
        if self._sink is None:
            side = self._chunked_vae.side
            self._latent = (self._chunked_vae.vae.latent_channels, picture.shape[1] // side, picture.shape[2] // side)
            self._stages = Stages(self._inputs, self._request, self._sigmas, self._hints, self._latent)
            self._noise = FrameNoise(self._request.seed, self._latent)
            journal = self._journal(Sizes(self._stages.lanes * self._spec.size, SEGMENT, self._latent))
            self._sink = JournalSink(journal, journal.state())
        return self._sink

    def _scene(self, scene: Iterator[Tensor], place: Place) -> Iterator[Tensor]:
        """Latents `(c, h, w)` of one scene, in the sampler's scale: stored ones first, then new ones."""
        first = next(scene)
        sink = self._opened(first)
        pictures = self._with_hints(chain([first], scene), place.first, sink.state.frame - self._spec.size)
        begun, tick = sink.state.position or (0, 0)
        if place.first < begun:  # finished in an earlier run
            yield from sink.from_frame(place.first, place.first + sum(1 for _ in pictures))
            return
        if place.first == begun and tick:
            place.tick = tick
            self.earlier_ticks, self.earlier_frames = tick, sink.state.frame
            self._progress(tick)
            yield from sink.from_frame(place.first, sink.state.frame)
        yield from self._sampled(blocks(self._entering(pictures, place), self._spec), place, sink)

    def _with_hints(self, pictures: Iterator[Tensor], number: int, needed: int) -> Iterator[Tensor]:
        """Passes the pictures of a scene through, and stores the ControlNet's pictures from frame `needed` on."""
        if self._hints is None or self._inputs.hint_of is None:
            yield from pictures
            return
        for picture in pictures:
            hint = picture if self._hint_frames is None else next(self._hint_frames, None)
            if hint is None:
                raise ValueError(f"hints: expected as many frames as images, got {number}; give both the same length")
            if number >= needed:
                self._hints.add(number, self._inputs.hint_of(hint[:3]))
            yield picture
            number += 1
        self._hints.end_at(number)

    def _entering(self, pictures: Iterator[Tensor], place: Place) -> Iterator[Tensor]:
        """Latents as they enter the first lane. Those that entered in an earlier run are zeros and are not encoded."""
        stride = self._spec.size - self._spec.overlap
        passed = encoded_before(self._chunked_vae, max(0, place.tick - 1) * stride)
        for _ in islice(pictures, passed):
            yield torch.zeros(self._latent)
        encoded = self._chunked_vae.encode(map(grey, pictures) if self._request.grey else pictures)
        for number, latent in enumerate(encoded, place.first + passed):
            clean = self._base.process_latent_in(latent[None])[0].float()
            noisy = self._request.start != INVERSION
            which = 0 if self._request.start == SAME_NOISE else number
            yield clean + float(self._sigmas[0]) * self._noise.at(which, 0) if noisy else clean

    def _sampled(self, source: Iterator[Block], place: Place, sink: JournalSink) -> Iterator[Tensor]:
        """Latents of a scene from tick `place.tick` on; the state is stored after each round."""
        size = (self._stages.lanes, self._spec.size, *self._latent)
        held = sink.state.queue.reshape(size).clone() if place.tick else torch.zeros(size)
        for block in islice(source, place.tick):
            place.read(block)
        while place.last is None or place.tick <= place.last + self._stages.lanes:
            started = time.monotonic()
            now = list(islice(source, self._ticks))  # encoded here, before the host loads the model
            for block in now:
                place.read(block)
            ticks = self._ticks if place.last is None else min(self._ticks, place.last + self._stages.lanes + 1 - place.tick)
            finished = self._stages.run([*(block.frames for block in now), *[None] * (ticks - len(now))], place, held)
            place.tick += ticks
            frame = sink.state.frame + len(finished)
            sink.take(Step(frame, held.flatten(0, 1).clone(), finished, (place.first, place.tick)))
            self._after_round(frame, ticks, time.monotonic() - started)
            yield from finished

    def _after_round(self, frame: int, ticks: int, seconds: float) -> None:
        self._progress(ticks)
        if self._hints is not None:
            self._hints.discard_before(frame - self._spec.size)
        self._ticks = max(1, min(MOST_TICKS, int(ROUND_SECONDS * ticks / max(seconds, 1e-6))))
