"""Decoding in windows at fixed latent numbers: final frames, and the same bits from any start."""

import pytest
import torch
from torch import Tensor
from zoetrope.sampling.pieces import CarriedPieces, Pieces
from zoetrope.sampling.windowing import TimeRatio, WindowSpec, decode_stream

IMAGES = Pieces()
SVD = Pieces(cut=WindowSpec(14, 4))
CAUSAL = Pieces(TimeRatio(each=4, first=1), WindowSpec(5, 2))
CUT = Pieces(TimeRatio(each=4, first=4), WindowSpec(6, 1, fade=False))
BLOCKS = Pieces(TimeRatio(each=4, first=1, block=5), WindowSpec(10))
ONE, TWO = (CarriedPieces(TimeRatio(each=4, first=1), each=each, back=7) for each in (1, 2))
LED = CarriedPieces(TimeRatio(each=4, first=4), each=2, back=7)
ALL = {"images": IMAGES, "svd": SVD, "causal": CAUSAL, "cut": CUT, "blocks": BLOCKS, "one": ONE, "two": TWO, "led": LED}


class Decoder:
    """Every frame depends on every latent of its window and on its number in the window."""

    def __init__(self, pieces: Pieces):
        self.pieces, self.calls = pieces, list[int]()
        self.state, self.next = torch.zeros(0), -1

    def __call__(self, latents: Tensor, number: int = -1) -> Tensor:
        self.calls.append(number)
        if isinstance(self.pieces, CarriedPieces):
            return self.carried(latents, number, self.pieces)
        frames = self.pieces.ratio.frames(len(latents))
        places = torch.arange(frames, dtype=torch.float64)
        return (latents.double().mean() + latents[(places / max(1, frames) * len(latents)).long()] * 0.1 + places).float()

    def carried(self, latents: Tensor, number: int, pieces: CarriedPieces) -> Tensor:
        """A frame depends on the `back` latents before its piece too."""
        first = number != self.next or len(latents) < pieces.each
        before = torch.zeros(0) if first else self.state
        self.next, self.state = number + 1, torch.cat([before, latents])[-pieces.back :]
        weights = torch.arange(1, len(before) + 1).flip(0).double() + len(latents)
        places = torch.arange(1 if first and (number or pieces.alone) else 4 * len(latents)) / 4
        return ((before.double() / weights**2).sum() + latents.double().mean() + places).float()


def latents(start: int, stop: int) -> Tensor:
    return (torch.arange(start, stop, dtype=torch.float64) * 0.7).sin()


@pytest.mark.parametrize("pieces", ALL.values(), ids=ALL.keys())
def test_the_latents_that_frames_need_are_the_least_that_make_them_final(pieces: Pieces) -> None:
    for frames in range(1, 130):
        needed = pieces.latents(frames)
        assert pieces.final(needed) >= frames > pieces.final(needed - 1)
    assert (pieces.latents(0), pieces.final(0)) == (0, 0)


@pytest.mark.parametrize("pieces", ALL.values(), ids=ALL.keys())
def test_any_start_gives_the_same_bits_and_needs_no_later_latent(pieces: Pieces) -> None:
    total = 90
    whole = pieces.decoded(Decoder(pieces), latents, 0)
    expected = [next(whole) for _ in range(total)]
    for start in range(total):
        reached: list[int] = []

        def counted(first: int, stop: int, reached: list[int] = reached) -> Tensor:
            reached.append(stop)
            return latents(first, stop)

        stream = pieces.decoded(Decoder(pieces), counted, start)
        for frame in range(start, min(total, start + 40)):
            assert torch.equal(next(stream), expected[frame]), (start, frame)
            assert max(reached) <= pieces.latents(frame + 1)


@pytest.mark.parametrize("pieces", [IMAGES, SVD, CAUSAL, CUT, BLOCKS])
def test_a_clip_of_whole_windows_is_decoded_as_by_decode_stream(pieces: Pieces) -> None:
    count = pieces.latents(60)
    clip = list(decode_stream(Decoder(pieces), latents(0, count), pieces.ratio, pieces.cut))
    stream = pieces.decoded(Decoder(pieces), latents, 0)
    assert all(torch.equal(next(stream), clip[frame]) for frame in range(60))


def test_windows_are_decoded_once_in_order_and_again_only_around_a_new_start() -> None:
    decoder = Decoder(SVD)
    stream = SVD.decoded(decoder, latents, 0)
    for _ in range(100):
        next(stream)
    assert decoder.calls == list(range(10))
    decoder.calls.clear()
    next(SVD.decoded(decoder, latents, 53))  # between two overlaps (50 to 53 and 60 to 63)
    assert decoder.calls == [4, 5]
    decoder.calls.clear()
    next(SVD.decoded(decoder, latents, 54))
    assert decoder.calls == [5]
