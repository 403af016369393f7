"""Wan's VAEs with a carried state: the bits of the host's decoding of the whole clip, from any start."""

from typing import Any

import pytest
import torch
from torch import Tensor

pytestmark = pytest.mark.host
COUNT = 47


@pytest.fixture(params=["wan21", "wan22"])
def vae(tiny: Any, request: pytest.FixtureRequest) -> Any:
    import tiny_dits

    return tiny_dits.vae(request.param)


def latents_of(vae: Any) -> Tensor:
    return torch.randn(COUNT, vae.latent_channels, 2, 2, generator=torch.Generator().manual_seed(3))


def test_pieces_are_the_host_s_decoding_of_the_whole_clip_from_any_start(vae: Any) -> None:
    from zoetrope.hosts.comfyui.vae.carried import CarriedDecoder

    latents = latents_of(vae)
    with torch.inference_mode():
        whole = vae.decode(latents.movedim(0, 1)[None])[0].movedim(-1, 1)
        for start in (0, 1, 5, 160, 163, 170):
            decoder = CarriedDecoder(vae)
            stream = decoder.pieces.decoded(decoder.decode, lambda a, b: latents[a:b], start)
            for frame in range(start, min(start + 24, len(whole))):
                assert torch.equal(next(stream), whole[frame]), (start, frame)


def test_the_state_may_be_parked_and_another_start_does_not_use_it(vae: Any) -> None:
    from zoetrope.hosts.comfyui.vae.carried import CarriedDecoder

    latents, decoder = latents_of(vae), CarriedDecoder(vae)

    def frames(start: int, count: int, park: bool = False) -> Tensor:
        stream = decoder.pieces.decoded(decoder.decode, lambda a, b: latents[a:b], start)
        made = []
        for _ in range(count):
            made.append(next(stream))
            if park:
                decoder.park()
        return torch.stack(made)

    with torch.inference_mode():
        first = frames(0, 25)
        assert torch.equal(frames(0, 25, park=True), first)
        assert torch.equal(frames(9, 16), first[9:])


@pytest.mark.parametrize("count", [1, 4, 45])
def test_a_stream_that_continues_latents_has_the_frames_of_one_decoding(vae: Any, count: int) -> None:
    from zoetrope.hosts.comfyui.vae.carried import CarriedDecoder

    latents = torch.randn(count + 7, vae.latent_channels, 2, 2, generator=torch.Generator().manual_seed(3))
    decoder = CarriedDecoder(vae, latents[:count])
    if decoder.pieces.each == 2 and count == 4:  # pieces of two latents begin at odd numbers
        latents, count = latents[1:], 3
    with torch.inference_mode():
        whole = vae.decode(latents.movedim(0, 1)[None])[0].movedim(-1, 1)[1 + 4 * (count - 1) :]
        for start in (0, 9):
            stream = decoder.pieces.decoded(decoder.decode, lambda a, b: latents[count + a : count + b], start)
            for frame in range(start, 24):
                assert torch.equal(next(stream), whole[frame]), (start, frame)


def test_other_vaes_have_no_carried_state(tiny: Any, vae: Any) -> None:
    from host_vaes import host_vae
    from zoetrope.hosts.comfyui.vae.carried import CarriedDecoder, carried_decoder

    assert isinstance(carried_decoder(vae), CarriedDecoder)
    assert carried_decoder(host_vae("svd")) is None
    assert carried_decoder(tiny.Vae()) is None
