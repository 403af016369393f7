"""Given latents in a queue: masks, keyframes, and a shot that ends where it begins."""

from itertools import islice

import pytest
import torch
from torch import Tensor
from zoetrope.sampling.fifo import first_frame, queue_of, run
from zoetrope.sampling.known import Known, Loop, before, keyframes
from zoetrope.sampling.layout import Levels, layout_of
from zoetrope.sampling.noise import FrameNoise
from zoetrope.sampling.queue import InitialQueue, beginning

NOISE = FrameNoise(seed=5, shape=(4, 6, 5))
SIGMAS = torch.tensor([14.0, 7.0, 4.0, 2.0, 1.0, 0.4, 0.1, 0.0])


def mixing(x: Tensor, sigma: Tensor, frame: Tensor) -> Tensor:
    """A model that draws neighbours of a window towards each other, the more the less noise they have."""
    level = sigma.reshape(-1, 1, 1, 1)
    weights = 1 / (1 + level**2)
    clean = x * weights + 0.2 * torch.sin(frame * 0.7).reshape(-1, 1, 1, 1) * (1 - weights)
    near = (clean + clean.roll(1, 0) + clean.roll(-1, 0)) / 3
    return torch.where(torch.arange(len(x)).reshape(-1, 1, 1, 1) % (len(x) - 1) == 0, clean, near)


def clip(frames: int, seed: int = 1) -> Tensor:
    return torch.stack([FrameNoise(seed, NOISE.shape).at(frame, 0) for frame in range(frames)])


def filmed(frames: int, known: list[Known], loop: Loop | None = None, block: int = 1, start: str = "noise") -> Tensor:
    layout = layout_of(SIGMAS, 4, 1, 1.0, 2, block)
    *_, initial = beginning(mixing, layout, NOISE, start, None, known, loop)
    assert isinstance(initial, InitialQueue)
    parts = [initial.finished]
    for frame, latents, _ in run(mixing, initial.queue, layout, NOISE.at, initial.frame, known=known, loop=loop):
        parts.append(latents[max(0, -frame) :])
        if sum(map(len, parts)) >= frames:
            return torch.cat(parts)[:frames]
    raise AssertionError


@pytest.mark.parametrize("start", ["noise", "base clip"])
@pytest.mark.parametrize("block", [1, 2])
def test_outside_a_mask_the_given_latents_are_exact_and_inside_it_frames_are_generated(start: str, block: int) -> None:
    given, mask = clip(9), torch.zeros(9, 1, 6, 5)
    mask[:, :, 2:5] = 1.0
    made = filmed(14, [Known(given, range(9), mask)], block=block, start=start)
    outside = mask.expand_as(given) == 0
    assert torch.equal(made[:9][outside], given[outside])
    assert (made[:9][~outside] - given[~outside]).abs().mean() > 0.3
    free = filmed(14, [], block=block, start=start)
    assert torch.equal(filmed(14, [Known(given, range(9), torch.ones(9, 1, 6, 5))], block=block, start=start), free)


def test_one_latent_with_a_mask_is_kept_in_all_frames() -> None:
    given, mask = clip(1), torch.zeros(1, 1, 6, 5)
    mask[..., :2] = 1.0
    made = filmed(20, [Known(given, [0], mask, repeats=True)])
    assert torch.equal(made[..., 2:], given[..., 2:].expand(20, -1, -1, -1))
    assert (made[1:, ..., :2] - made[:-1, ..., :2]).abs().amin() > 0


def test_a_blend_is_between_the_given_latents_and_the_generated_ones() -> None:
    frames, given = clip(3), clip(3, seed=2)
    level = Levels(torch.zeros(3), torch.ones(3))
    half = Known(given, [4, 5, 6], torch.full((3, 1, 6, 5), 0.25))
    made = half.restored(frames, torch.tensor([4, 5, 9]), level, lambda numbers: torch.zeros(len(numbers), *NOISE.shape))
    assert torch.allclose(made[:2], given[:2] + 0.25 * (frames[:2] - given[:2]))
    assert torch.equal(made[2], frames[2])
    assert torch.equal(half.exact(frames, torch.tensor([4, 5, 6])), frames), "only what a mask keeps whole is exact"


def test_keyframes_are_exact_and_draw_their_neighbours() -> None:
    pictures = clip(2, seed=3) * 2
    free = filmed(24, [])
    for reach in (0, 3):
        made = filmed(24, [keyframes(pictures, [6, 17], reach=reach)])
        assert torch.equal(made[[6, 17]], pictures)
        for number, picture in ((6, pictures[0]), (17, pictures[1])):
            for frame in (number - 1, number + 1):
                assert (made[frame] - picture).norm() < (free[frame] - picture).norm()
    near, far = (keyframes(pictures, [6, 17], reach=reach) for reach in (1, 3))
    apart = [float((filmed(24, [one])[8] - pictures[0]).norm()) for one in (near, far)]
    assert apart[1] < apart[0]


def test_reaches_that_meet_take_the_nearer_picture_and_a_strength_below_1_is_a_blend() -> None:
    known = keyframes(clip(2), [2, 5], strength=0.5, reach=2)
    assert list(known.numbers) == [0, 1, 2, 3, 4, 5, 6, 7]
    assert known.masks is not None
    shares = 1 - known.masks[:, 0, 0, 0]
    assert torch.allclose(shares, 0.5 * torch.tensor([1 / 3, 2 / 3, 1, 2 / 3, 2 / 3, 1, 2 / 3, 1 / 3]))
    assert torch.equal(known.latents[3], clip(2)[0])
    assert torch.equal(known.latents[4], clip(2)[1])


@pytest.mark.parametrize(
    ("numbers", "strength", "words"),
    [
        ([3], 1.0, "frames: expected 2 numbers, one for each picture, got 1"),
        ([3, -1], 1.0, "frames: expected 0 or above, got -1"),
        ([3, 3], 1.0, "frames: expected one picture per frame, got two at frame 3"),
        ([3, 4], 1.5, "strength: expected 0 to 1, got 1.5"),
    ],
)
def test_keyframes_that_cannot_be_are_refused(numbers: list[int], strength: float, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        keyframes(clip(2), numbers, strength)


@pytest.mark.parametrize("start", ["noise", "base clip"])
@pytest.mark.parametrize(("frames", "block"), [(4, 1), (6, 1), (11, 1), (16, 2)])
def test_a_closed_shot_ends_like_it_begins(frames: int, block: int, start: str) -> None:
    """The frame after the last one is the first one, and their difference is like that of neighbours."""
    made = filmed(frames + 3, [], Loop(frames, 4), block, start)
    assert torch.equal(made[frames:], made[:3])
    assert torch.equal(filmed(frames, [], None, block, start)[: min(3, frames - 3)], made[: min(3, frames - 3)]), (
        "the same start"
    )
    neighbours = (made[1:frames] - made[: frames - 1]).flatten(1).norm(dim=1)
    seam = float((made[0] - made[frames - 1]).norm())
    open_seam = float((made[0] - filmed(frames, [], None, block, start)[-1]).norm())
    assert seam < open_seam
    if block == 1:  # in blocks this model's short windows often have a border at the seam
        assert seam <= 1.25 * float(neighbours.max())


def test_a_resumed_closed_shot_has_the_same_bits() -> None:
    layout = layout_of(SIGMAS, 4, 1, 1.0, 2)
    queue = queue_of(torch.zeros(1, *NOISE.shape), layout, NOISE.at, number=-1)
    whole = list(islice(run(mixing, queue, layout, NOISE.at, -7, loop=Loop(9, 4)), 18))
    for cut in range(1, 18):
        number, _, queue = whole[cut - 1]
        done = [latents[0] for frame, latents, _ in whole[:cut] if frame >= 0]
        loop = Loop(9, 4, done[:3])
        for (_, resumed, _), (_, expected, _) in zip(
            islice(run(mixing, queue, layout, NOISE.at, number + 1, loop=loop), 18 - cut), whole[cut:], strict=True
        ):
            assert torch.equal(resumed, expected)


def test_frames_after_the_end_have_the_numbers_of_the_beginning_and_a_short_loop_is_refused() -> None:
    assert Loop(9, 4).numbers(torch.tensor([-2, 0, 8, 9, 11])).tolist() == [-2, 0, 8, 0, 2]
    with pytest.raises(ValueError, match=r"loop: expected 16 frames or more, as many as a window has, got 15.*Sliding Windows"):
        Loop(15, 16)


def test_a_continued_clip_stays_and_keyframes_come_later() -> None:
    layout, given = layout_of(SIGMAS, 4, 1, 1.0, 2), clip(5)
    known = [before(given), keyframes(clip(1, seed=4), [3])]
    start = first_frame(given, layout, -5)
    made = {
        frame: latents[0]
        for frame, latents, _ in islice(
            run(mixing, queue_of(given, layout, NOISE.at, -5), layout, NOISE.at, start, known=known), 14
        )
    }
    assert all(torch.equal(made[number], given[number]) for number in range(-5, 0))
    assert torch.equal(made[3], clip(1, seed=4)[0])


def test_the_model_gets_keyframes_and_a_loops_beginning_without_noise_and_continued_frames_with_it() -> None:
    layout, pictures, seen = layout_of(SIGMAS, 4, 1, 1.0, 2), clip(1, seed=3), list[tuple[Tensor, Tensor, Tensor]]()

    def watch(x: Tensor, sigma: Tensor, frame: Tensor) -> Tensor:
        seen.append((x, sigma, frame))
        return mixing(x, sigma, frame)

    queue, known = queue_of(clip(5), layout, NOISE.at, -5), [before(clip(5)), keyframes(pictures, [6])]
    made = list(islice(run(watch, queue, layout, NOISE.at, -7, known=known, loop=Loop(9, 4)), 14))
    first = {frame: latents[0] for frame, latents, _ in made}
    at_keyframe = [(x[row], float(sigma[row])) for x, sigma, frame in seen for row in (frame == 6).nonzero().flatten()]
    assert len(at_keyframe) >= len(SIGMAS) - 1
    assert all(torch.equal(x, pictures[0]) and level <= 0.0301 for x, level in at_keyframe)
    numbers = torch.cat([frame for *_, frame in seen])
    assert int(numbers.max()) == 8, "frames after the end have the numbers of the beginning"
    again = [x[row] for x, sigma, frame in seen for row in ((frame == 0) & (sigma < 0.0301)).nonzero().flatten()]
    assert again
    assert all(torch.equal(x, first[0]) for x in again)
    continued = [float(sigma[row]) for _, sigma, frame in seen for row in (frame == -1).nonzero().flatten()]
    assert min(continued) > 0.09


def test_frames_that_a_short_queue_finishes_at_once_belong_to_a_loop() -> None:
    loop = Loop(9, 4)
    *_, start = beginning(mixing, layout_of(SIGMAS[-3:], 4, 1, 1.0), NOISE, "base clip", None, (), loop)
    assert isinstance(start, InitialQueue)
    assert len(start.finished) == len(loop.first) == 2
    assert torch.equal(torch.stack(loop.first), start.finished)
