"""Tokens merged across frames in windows and in queues: what windows share within a step, and that nothing outlives it."""

from typing import Any

import pytest
import torch
from layers import noise
from torch import Tensor

pytestmark = pytest.mark.host


def merged(model: Any, **settings: Any) -> Any:
    from zoetrope.hosts.comfyui.conditioning.merging import MergeSettings, merge_across_frames

    return merge_across_frames(model, MergeSettings(**settings))[0]


def cut(model: Any, schedule: str = "moving borders", window: int = 4, **more: Any) -> Any:
    from zoetrope.hosts.comfyui.sampling.windows import in_windows
    from zoetrope.sampling.windows import Windows

    return in_windows(model, Windows(schedule, window, 2, **more))


@pytest.mark.parametrize("schedule", ["moving borders", "standard_static"])
def test_windows_share_tokens_within_a_step_and_nothing_outlives_it(tiny: Any, base: Any, schedule: str) -> None:
    long = cut(merged(base), schedule)
    first = tiny.sample(long, frames=9)
    assert bool(first.isfinite().all())
    tiny.sample(long, frames=6)
    assert torch.equal(tiny.sample(long, frames=9), first)
    apart = tiny.sample(cut(merged(base, window_ratio=0.0), schedule), frames=9)
    assert not torch.allclose(first, apart, atol=1e-3)
    assert torch.equal(tiny.sample(merged(cut(base, schedule)), frames=9), first)  # nodes in another order


def test_a_run_that_was_interrupted_leaves_no_tokens(tiny: Any, base: Any) -> None:
    long = cut(merged(base))
    first, calls = tiny.sample(long, frames=9), []

    def stop(apply_model: Any, args: Any) -> Any:
        calls.append(1)
        if len(calls) == 4:
            raise InterruptedError
        return apply_model(args["input"], args["timestep"], **args["c"])

    stopped = long.clone()
    stopped.set_model_unet_function_wrapper(stop)
    with pytest.raises(InterruptedError):
        tiny.sample(stopped, frames=9)
    assert torch.equal(tiny.sample(long, frames=9), first)


def queued(
    tiny: Any, model: Any, calls: list[tuple[list[int], list[float]]], seeds: dict[int, int] | None = None
) -> list[Tensor]:
    """What a guider predicts in calls for (frame numbers, noise levels), as a queue makes them. seeds: of frames, by number."""
    from zoetrope.hosts.comfyui.sampling.guider import guider_of
    from zoetrope.hosts.comfyui.sampling.rounds import RoundRunner
    from zoetrope.sampling.queue import Schedules

    rounds = RoundRunner(
        guider_of(model, tiny.text(), tiny.text(seed=2), 3.0), (4, 8, 8), 4, torch.tensor([14.0, 0.0]), 1, "", window=4,
        schedules=Schedules(),
    )  # fmt: skip
    found: list[Tensor] = []

    def run() -> Any:
        for numbers, levels in calls:
            x = torch.stack([noise(4, 8, 8, seed=(seeds or {}).get(number, number + 50)) for number in numbers])
            found.append(rounds.live(x, torch.tensor(levels), torch.tensor(numbers)))
            yield 1

    with torch.inference_mode():
        rounds.run(run())
    return found


def test_a_queue_keeps_tokens_within_one_iteration(tiny: Any, base: Any) -> None:
    """An iteration that is continued after a restart has the same bits."""
    clean, noisy = [0.2, 0.5, 0.9, 2.0], [3.0, 5.0, 8.0, 12.0]
    iterations = [([frame + place for place in range(4)], clean) for frame in range(2)]
    calls = [one for numbers, _ in iterations for one in ((numbers, clean), ([number + 4 for number in numbers], noisy))]
    whole = queued(tiny, merged(base), calls)
    again = queued(tiny, merged(base), calls[2:])
    assert all(torch.equal(one, other) for one, other in zip(whole[2:], again, strict=True))
    apart = queued(tiny, merged(base, window_ratio=0.0), calls)
    assert torch.equal(apart[0], whole[0])
    assert not torch.allclose(apart[1], whole[1], atol=1e-4)  # the noisier window of an iteration gets the cleaner one's tokens
    assert torch.equal(apart[2], whole[2])
    single = queued(tiny, merged(base), [(numbers, clean) for numbers, _ in iterations])  # a queue of one window
    assert torch.equal(single[1], whole[2])


def test_windows_of_a_queue_that_share_a_call_merge_each_by_itself(tiny: Any, base: Any) -> None:
    numbers, levels = [0, 1, 2, 3, 4, 5, 6, 7], [0.2, 0.5, 0.9, 2.0, 3.0, 5.0, 8.0, 12.0]
    alone = merged(base, window_ratio=0.0)
    (both,) = queued(tiny, alone, [(numbers, levels)])
    (other,) = queued(tiny, alone, [(numbers, levels)], {number: 900 + number for number in numbers[4:]})
    assert torch.allclose(both[:4], other[:4], atol=1e-4)
    assert not torch.allclose(both[4:], other[4:], atol=1e-3)


def test_a_fifo_shot(tiny: Any, base: Any) -> None:
    import comfy.sample
    from zoetrope.hosts.comfyui.sampling.fifo import FifoSampler
    from zoetrope.hosts.comfyui.sampling.guider import guider_of
    from zoetrope.sampling.queue import QueueSettings, Schedules

    def shot(model: Any, frames: int) -> Tensor:
        sampler = FifoSampler(QueueSettings(window=4, partitions=2, context=2), frames, Schedules(), True)
        guider = guider_of(model, tiny.text(), tiny.text(seed=2), 3.0)
        latent = torch.zeros(1, 4, 8, 8)  # a queue has frames of its own, whatever the latent's
        start = comfy.sample.prepare_noise(latent, 5)
        with torch.inference_mode():
            return guider.sample(start, latent, sampler, torch.tensor([14.0, 5.0, 1.0, 0.0]), disable_pbar=True, seed=5)

    long = shot(merged(base), 6)
    assert torch.equal(shot(merged(base), 3), long[:3])
    assert not torch.allclose(long, shot(base, 6), atol=1e-3)
