"""The live queue: published stream batch and schedules, blocks, context, changes while it runs."""

import json
import math
from pathlib import Path

import golden
import pytest
import torch
from torch import Tensor
from zoetrope.sampling.fifo import Denoiser
from zoetrope.sampling.live import (
    FULL,
    NEGATIVE,
    OFF,
    SOURCE,
    Guidance,
    LiveLayout,
    LiveState,
    SimilarityFilter,
    beginning,
    live_noise,
    live_sigmas,
    step,
)
from zoetrope.sampling.noise import FrameNoise
from zoetrope.sampling.schedule import LINEAR

KINDS = {"none": OFF, "self": SOURCE, "initialize": NEGATIVE, "full": FULL}
FOLLOWED = ("streambatch_1step_none", "streambatch_1step_full", *(f"streambatch_[2-9]steps_{kind}" for kind in KINDS))
"""All but those in which the remembered noise belongs to another frame (the collection's README)."""


def closed_form(x: Tensor, time: Tensor, context: Tensor) -> Tensor:
    """The noise prediction of the golden files, from their headers."""
    periodic = 0.05 * torch.sin(2 * math.pi * time.reshape(-1, 1, 1, 1) / 1000)
    return 0.3 * x + 0.1 * torch.tanh(x.mean(1, keepdim=True)) + periodic + 0.5 * context.mean()


def denoiser_of(times: Tensor, sigmas: Tensor, context: Tensor) -> Denoiser:
    """times, sigmas: of the levels."""

    def denoise(x: Tensor, sigma: Tensor, frame: Tensor) -> Tensor:
        time = times[(sigma[:, None] - sigmas).abs().argmin(1)].float()
        level = sigma.reshape(-1, 1, 1, 1)
        return x - level * closed_form(x / (1 + level**2).sqrt(), time, context)

    return denoise


def run(
    denoise: Denoiser, negative: Denoiser | None, sources: Tensor, sigmas: Tensor, layout: LiveLayout, noise: object,
    guidance: Guidance, state: LiveState | None = None,
) -> tuple[Tensor, LiveState]:  # fmt: skip
    """Finished frames of all calls, warm-up left out."""
    now = state or beginning(sources[0], sigmas, layout, noise)  # type: ignore[arg-type]
    made = [sources[:0]]
    for block in sources.split(layout.block):
        finished, after = step(denoise, negative, now, block, sigmas, layout, noise, guidance)  # type: ignore[arg-type]
        made += [finished] if now.frame >= 0 else []
        now = after
    return torch.cat(made), now


@pytest.mark.parametrize("path", golden.claim(*FOLLOWED))
def test_few_levels_are_streamdiffusions_stream_batch(path: Path) -> None:
    tensors, header = golden.read(path)
    levels = len(json.loads(header["t_index_list"]))
    sigmas = tensors["beta_sqrt"] / tensors["alpha_sqrt"]
    positive, negative = (denoiser_of(tensors["timesteps"], sigmas, tensors[name]) for name in ("text", "negative"))
    guidance = Guidance(KINDS[header["cfg_type"]], float(header["guidance_scale"]), float(header["delta"]))
    schedule = torch.cat([sigmas.flatten(), torch.zeros(1)])
    noise = lambda _, level: tensors["init_noise"][level]  # noqa: E731
    made, _ = run(positive, negative, tensors["source"][:, 0], schedule, LiveLayout(levels), noise, guidance)
    torch.testing.assert_close(made, tensors["output"][levels - 1 :], atol=5e-5, rtol=0)


@pytest.mark.parametrize("path", golden.claim("similarity_filter"))
def test_the_similarity_filter_decides_as_published(path: Path) -> None:
    tensors, header = golden.read(path)
    chosen = SimilarityFilter(float(header["threshold"]), int(header["max_skip_frame"]))
    chosen.uniform = map(float, tensors["uniform"]).__next__
    assert [chosen.keeps(frame) for frame in tensors["frames"]] == tensors["processed"].bool().tolist()


@pytest.mark.parametrize("path", golden.claim("lcm_schedule_and_steps"))
def test_levels_and_steps_are_those_of_latent_consistency_models(path: Path) -> None:
    tensors, _ = golden.read(path)
    for levels, strength, name in ((1, 1, "1"), (2, 1, "2"), (4, 1, "4"), (8, 1, "8"), (50, 1, "50"), (4, 0.6, "4_strength06")):
        expected = LINEAR[tensors[f"timesteps_{name}"].long()].float()
        torch.testing.assert_close(live_sigmas(LINEAR, strength, levels)[:-1], expected, atol=0, rtol=1e-6)
    sigmas, layout = live_sigmas(LINEAR, 1, 4), LiveLayout(4)
    scale = (1 + sigmas**2).sqrt().reshape(-1, 1, 1, 1)
    given = torch.cat([tensors[f"eps_{level}"] for level in range(4)])

    def predicted(x: Tensor, sigma: Tensor, frame: Tensor) -> Tensor:
        return x - sigma.reshape(-1, 1, 1, 1) * given.flip(0)

    # one frame that passes all levels: the queue starts as the reference's latents at the three later levels
    queue = torch.cat([tensors[f"x_{level}"] * scale[level] for level in (3, 2, 1)])
    state = LiveState(0, queue, queue, sigmas.expand(3, -1), queue[:0])
    noise = lambda _, level: tensors[f"noise_{level - 1}"][0] if level else tensors["x_0"][0]  # noqa: E731
    entering = tensors["x_0"] * scale[0] - sigmas[0] * tensors["x_0"]  # so that what enters is x_0
    finished, after = step(predicted, None, state, entering, sigmas, layout, noise, Guidance())
    torch.testing.assert_close(finished, tensors["x_4"], atol=5e-5, rtol=0)
    for level in (1, 2, 3):
        torch.testing.assert_close(after.queue[[3 - level]] / scale[level], tensors[f"x_{level}"], atol=5e-5, rtol=0)


SHAPE = (4, 6, 8)
NOISE = live_noise(FrameNoise(3, SHAPE).at, same=True)
FRAMES = torch.randn(24, *SHAPE, generator=torch.Generator().manual_seed(5))


def frame_wise(x: Tensor, sigma: Tensor, frame: Tensor) -> Tensor:
    return torch.tanh(x / (1 + sigma.reshape(-1, 1, 1, 1)))


def clip_wise(x: Tensor, sigma: Tensor, frame: Tensor) -> Tensor:
    """As motion layers: every frame depends on all others."""
    return 0.9 * frame_wise(x, sigma, frame) + 0.1 * x.mean(0, keepdim=True)


@pytest.mark.parametrize("kind", KINDS.values())
def test_blocks_change_nothing_for_a_model_that_sees_frames_alone(kind: str) -> None:
    sigmas = live_sigmas(LINEAR, 0.6, 2)
    negative = lambda x, sigma, frame: 0.5 * frame_wise(x, sigma, frame)  # noqa: E731
    one, _ = run(frame_wise, negative, FRAMES, sigmas, LiveLayout(2), NOISE, Guidance(kind, 2.0, 0.7))
    four, _ = run(frame_wise, negative, FRAMES, sigmas, LiveLayout(2, 4), NOISE, Guidance(kind, 2.0, 0.7))
    assert (len(one), len(four)) == (23, 20)
    assert torch.equal(one[:20], four)


def test_a_still_source_gives_a_still_output() -> None:
    sigmas, still = live_sigmas(LINEAR, 0.6, 3), FRAMES[:1].expand(12, *SHAPE)
    made, _ = run(frame_wise, None, still, sigmas, LiveLayout(3), NOISE, Guidance())
    assert torch.equal(made, made[:1].expand_as(made))
    other, _ = run(frame_wise, None, still, sigmas, LiveLayout(3), live_noise(FrameNoise(3, SHAPE).at, same=False), Guidance())
    assert not torch.equal(other[0], other[1])


def test_finished_frames_are_context_and_only_after_the_warm_up() -> None:
    calls: list[tuple[Tensor, Tensor, Tensor]] = []

    def noted(x: Tensor, sigma: Tensor, frame: Tensor) -> Tensor:
        calls.append((x, sigma, frame))
        return clip_wise(x, sigma, frame)

    layout, sigmas = LiveLayout(2, 4, context=6), live_sigmas(LINEAR, 0.6, 2)
    made, state = run(noted, None, FRAMES, sigmas, layout, NOISE, Guidance())
    assert [len(x) for x, _, _ in calls] == [8, 8, 12, 14, 14, 14]
    x, sigma, frame = calls[-1]
    assert torch.equal(x[:6], made[-10:-4])
    assert frame.tolist() == list(range(10, 24))
    assert sigma.tolist() == pytest.approx([0.03] * 6 + [float(sigmas[1])] * 4 + [float(sigmas[0])] * 4)
    assert torch.equal(state.context, made[-6:])


def test_a_stream_goes_on_from_its_state_and_takes_a_new_strength_for_new_frames() -> None:
    layout, weak, strong = LiveLayout(3, 2, context=3), live_sigmas(LINEAR, 0.3, 3), live_sigmas(LINEAR, 0.9, 3)
    whole, _ = run(clip_wise, None, FRAMES, weak, layout, NOISE, Guidance(SOURCE))
    begun, state = run(clip_wise, None, FRAMES[:10], weak, layout, NOISE, Guidance(SOURCE))
    rest, _ = run(clip_wise, None, FRAMES[10:], weak, layout, NOISE, Guidance(SOURCE), state)
    assert torch.equal(torch.cat([begun, rest]), whole)
    levels: list[list[float]] = []

    def noted(x: Tensor, sigma: Tensor, frame: Tensor) -> Tensor:
        levels.append(sigma[-6::2].tolist())
        return clip_wise(x, sigma, frame)

    run(noted, None, FRAMES[10:16], strong, layout, NOISE, Guidance(SOURCE), state)
    w, s = weak.tolist(), strong.tolist()
    assert levels == [pytest.approx(one) for one in ([w[2], w[1], s[0]], [w[2], s[1], s[0]], [s[2], s[1], s[0]])]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: live_sigmas(LINEAR, 0.0, 2), "strength: expected more than 0, up to 1, got 0"),
        (lambda: live_sigmas(LINEAR, 0.06, 4), "levels: expected 1 to 3 at strength 0.06"),
        (lambda: LiveLayout(2, 0), "block: expected 1 or more, got 0"),
        (lambda: Guidance("none"), "guidance: expected one of off, remembered source"),
        (lambda: SimilarityFilter(1.0), "similarity: expected 0 to less than 1, got 1"),
    ],
)
def test_values_out_of_range_are_named(make: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()  # type: ignore[operator]
