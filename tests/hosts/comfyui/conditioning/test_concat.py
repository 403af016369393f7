"""Pictures that the model reads beside the noise: frame f is given picture f, in windows and in the queue."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

pytestmark = pytest.mark.host

FRAMES = 8
SCALE = 0.18215


def model(tiny: Any, kind: str) -> Any:
    made = tiny.model({**tiny.LAYOUT, "in_channels": 9 if kind == "inpainting" else 8})
    if kind == "inpainting":
        made.model.set_inpaint()
    else:
        made.model.concat_keys = ("concat_image",)
    return made


def conditions(tiny: Any, kind: str, count: int, seed: int) -> Any:
    """Pictures that are their own numbers."""
    marks = torch.arange(count).float().reshape(-1, 1, 1, 1).expand(count, 4, 8, 8) / 10
    mask = {"concat_mask": torch.ones(count, 1, 64, 64)} if kind == "inpainting" else {}
    return tiny.text(seed=seed, concat_latent_image=marks.clone(), **mask)


def seen_by(made: Any) -> tuple[Any, dict[int, set[int]]]:
    """A clone that notes which picture each frame is given."""
    seen: dict[int, set[int]] = {}

    def spy(executor: Any, x: Tensor, t: Tensor, c: Any = None, y: Any = None, control: Any = None, options: Any = None,
            *args: Any, **kwargs: Any) -> Any:  # fmt: skip
        parts = len(options["cond_or_uncond"])
        numbers = list(options.get("zoetrope.frames") or range(len(x) // parts)) * parts
        for number, value in zip(numbers, x[:, -1, 0, 0].tolist(), strict=True):
            seen.setdefault(number, set()).add(round(value / (SCALE * 0.1)))
        return executor(x, t, c, y, control, options, *args, **kwargs)

    patched = made.clone()
    patched.add_wrapper_with_key("diffusion_model", "spy", spy)
    return patched, seen


def windows(tiny: Any, made: Any, positive: Any, negative: Any) -> None:
    from zoetrope.hosts.comfyui.sampling.windows import in_windows
    from zoetrope.sampling.windows import Windows

    cut = in_windows(made, Windows("standard_static", 4, 2))
    tiny.sample(cut, FRAMES, steps=1, positive=positive, negative=negative)


def queue(tiny: Any, made: Any, positive: Any, negative: Any) -> None:
    from zoetrope.hosts.comfyui.sampling.fifo import FifoSampler
    from zoetrope.hosts.comfyui.sampling.guider import guider_of
    from zoetrope.sampling.queue import QueueSettings, Schedules

    sampler = FifoSampler(QueueSettings(window=4, partitions=1, context=1, start="noise"), FRAMES, Schedules(), published=True)
    latent = torch.zeros(4, 4, 8, 8)
    with torch.inference_mode():
        guider_of(made, positive, negative, 3.0).sample(
            latent, latent, sampler, torch.tensor([14.0, 0.0]), disable_pbar=True, seed=1
        )


@pytest.mark.parametrize("kind", ["inpainting", "instructions"])
@pytest.mark.parametrize("way", [windows, queue])
def test_frame_f_is_given_picture_f(tiny: Any, kind: str, way: Callable[..., None]) -> None:
    made, seen = seen_by(model(tiny, kind))
    way(tiny, made, conditions(tiny, kind, FRAMES, 1), conditions(tiny, kind, FRAMES, 2))
    assert {frame: seen[frame] for frame in range(FRAMES)} == {frame: {frame} for frame in range(FRAMES)}
    if way is queue:
        assert seen[-1] == {0}, "before the shot stands its first picture"
    tiny.unload()


def test_frames_after_the_last_picture_keep_it_and_one_picture_is_for_all(tiny: Any) -> None:
    made, seen = seen_by(model(tiny, "inpainting"))
    queue(tiny, made, conditions(tiny, "inpainting", 3, 1), conditions(tiny, "inpainting", 1, 2))
    assert seen[2] == {2, 0}
    assert seen[FRAMES - 1] == {2, 0}
    tiny.unload()


def test_rows_that_belong_to_no_frames_are_refused(tiny: Any) -> None:
    """A pack that puts rows for its own batch into the model's conditions."""
    import comfy.conds

    made = model(tiny, "inpainting")
    before = made.model.extra_conds
    made.model.extra_conds = lambda **more: {**before(**more), "c_concat": comfy.conds.CONDNoiseShape(torch.rand(4, 5, 8, 8))}
    with pytest.raises(ValueError, match=r"has 4 rows of c_concat for unknown frames.*InpaintModelConditioning"):
        queue(tiny, made, tiny.text(), tiny.text(seed=2))
    tiny.unload()
