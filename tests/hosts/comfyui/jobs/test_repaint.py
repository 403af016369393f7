"""Repaint Damage with the embedded model."""

from pathlib import Path
from typing import Any

import pytest
import torch
from demo_jobs import said, world
from old_films import psnr_in
from stopped_jobs import check_stops, stored_after_each_frame  # noqa: F401  a fixture
from torch import Tensor
from zoetrope.video.restore.repainting import inner_weight, latent_cells

pytestmark = [pytest.mark.host, pytest.mark.usefixtures("inference")]


def inputs_of(demo: Any, model: Any = None, vae: Any = None, prompt: str = "moving right at 8 fps") -> Any:
    from zoetrope.hosts.comfyui.jobs.repaint import RepaintInputs
    from zoetrope.hosts.comfyui.vae.chunked import ChunkedVae

    words = said(demo[0], prompt)
    return RepaintInputs(model or demo[1], words, words, ChunkedVae(vae or demo[0].vae))


def repainted(inputs: Any, clip: Tensor, masks: Tensor, **more: Any) -> Tensor:
    from zoetrope.hosts.comfyui.jobs.repaint import RepaintRequest, repaint

    request = RepaintRequest(**{"steps": 3, "cfg": 1.0, "seed": 5, "window": 8, "overlap": 2, **more})
    return torch.stack(list(repaint(inputs, iter(clip), iter(masks), request)))


def blotted(clip: Tensor, frames: range) -> tuple[Tensor, Tensor]:
    """A clip with a square blot of 12 pixels in some frames, and its masks."""
    masks, damaged = torch.zeros(len(clip), *clip.shape[2:]), clip.clone()
    for number in frames:
        top = 10 + 3 * (number % 5)
        masks[number, top : top + 12, 20:32] = 1
        damaged[number, :, top : top + 12, 20:32] = 0.9
    return damaged, masks


def test_undamaged_pixels_keep_every_bit_and_damage_is_repainted(demo: Any) -> None:
    truth = world(10, fps=8, background="grey")
    clip, masks = blotted(truth, range(10))
    result = repainted(inputs_of(demo), clip, masks)
    outside = (masks == 0)[:, None].expand_as(clip)
    assert result.shape == clip.shape
    assert torch.equal(result[outside], clip[outside])
    assert psnr_in(result, truth, masks > 0) > psnr_in(clip, truth, masks > 0) + 3
    assert torch.equal(result, repainted(inputs_of(demo), clip, masks))
    assert not torch.equal(result, repainted(inputs_of(demo), clip, masks, seed=6))


def test_windows_without_damage_are_not_sampled(demo: Any, counted: list[Any]) -> None:
    clip, masks = blotted(world(20, fps=8), range(2))
    repainted(inputs_of(demo), clip, masks, steps=4)
    assert len(counted) == 4
    counted.clear()
    assert torch.equal(repainted(inputs_of(demo), clip, 0 * masks), clip)
    assert not counted


def test_sizes_that_are_no_multiple_of_the_vaes(demo: Any) -> None:
    clip, masks = blotted(world(6, fps=8)[..., :50, :58], range(6))
    result = repainted(inputs_of(demo), clip, masks)
    outside = (masks == 0)[:, None].expand_as(clip)
    assert result.shape == clip.shape
    assert torch.equal(result[outside], clip[outside])


@pytest.mark.usefixtures("stored_after_each_frame")
def test_a_stopped_run_continues_to_the_same_bits(demo: Any, tmp_path: Path, counted: list[Any]) -> None:
    from zoetrope.hosts.comfyui.jobs.repaint import RepaintRequest, repaint

    clip, masks = blotted(torch.cat([world(12, background="black"), 1 - world(9, background="black", seed=4)]), range(21))
    request, inputs = RepaintRequest(steps=4, cfg=1.0, window=4, overlap=1), inputs_of(demo)
    check_stops(
        lambda frames, run: repaint(inputs, frames, iter(masks), request, run), clip, tmp_path, counted, (0.2, 0.6, 0.95)
    )


def test_an_inpainting_model_gets_the_mask_and_the_blanked_picture(tiny: Any, demo: Any) -> None:
    clip, masks = blotted(torch.rand(5, 3, 64, 64, generator=torch.Generator().manual_seed(1)), range(5))
    model, seen = tiny.model({**tiny.LAYOUT, "in_channels": 9}), []
    plain = model.model.diffusion_model.forward

    def forward(x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        seen.append(x[:, 4:].clone())
        return plain(x, *args, **kwargs)

    model.model.diffusion_model.forward = forward
    from zoetrope.hosts.comfyui.jobs.repaint import RepaintInputs
    from zoetrope.hosts.comfyui.vae.chunked import ChunkedVae

    words, vae = tiny.text(), ChunkedVae(demo[0].vae)
    repainted(RepaintInputs(model, words, words, vae), clip, masks, grow=0, cut=0.0)
    cells = torch.stack([latent_cells(mask > 0, 8, 0) for mask in masks]).float()
    assert torch.equal(seen[0][:, 0].cpu(), cells)
    blanked = torch.where(masks[:, None] > 0, 0.5, clip)
    latents = torch.stack([model.model.process_latent_in(latent[None])[0] for latent in vae.encode(blanked)])
    assert torch.allclose(seen[0][:, 1:].cpu(), latents, atol=1e-5)


def test_a_single_cell_of_a_mask_is_enough() -> None:
    mask = torch.zeros(64, 64, dtype=torch.bool)
    mask[:, 17] = True  # a line of one pixel: a bilinear reduction by 8 loses it
    small = torch.nn.functional.interpolate(mask[None, None].float(), (8, 8), mode="bilinear")[0, 0]
    assert not bool(small.any())
    assert torch.equal(latent_cells(mask, 8, 0), torch.arange(8).expand(8, 8) == 2)
    assert torch.equal(latent_cells(mask, 8, 1).any(0), torch.tensor([False, True, True, True, False, False, False, False]))


def test_new_pixels_fade_in_inside_the_mask_only() -> None:
    mask = torch.zeros(12, 12, dtype=torch.bool)
    mask[2:10, 2:10] = True
    weight = inner_weight(mask, 2)
    assert not bool(weight[~mask].any())
    assert torch.allclose(weight[5, :6], torch.tensor([0, 0, 1 / 3, 2 / 3, 1, 1]))
    assert torch.equal(inner_weight(mask, 0), mask.float())


def test_wrong_partners_are_refused(demo: Any, large: Any) -> None:
    clip, masks = blotted(world(5), range(5))
    with pytest.raises(ValueError, match="this MODEL has 7 input channels, not 4 or 9"):
        repainted(inputs_of(demo, model=large[1]), clip, masks)
    with pytest.raises(ValueError, match="denoise: expected more than 0, up to 1, got 0"):
        repainted(inputs_of(demo), clip, masks, denoise=0.0)
    with pytest.raises(ValueError, match=r"mask: expected one mask, or one per frame, got 3"):
        repainted(inputs_of(demo), clip, masks[:3])
    with pytest.raises(ValueError, match="a film needs 3 frames or more, got 1"):
        repainted(inputs_of(demo), clip[:1], masks[:1])
    with pytest.raises(ValueError, match="mask: frame 0 is all damage"):
        repainted(inputs_of(demo), clip, torch.ones_like(masks))
