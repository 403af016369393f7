"""Core's nodes together with ours: every cell of docs/together.md.

What a cell has to hold: a node before ours gives the same as after it; strength 0 is the model without ours; each acts; frames
that do not know each other come out of windows and queues as if each were sampled alone.
"""

import logging
import os
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from layers import noise, randomise
from together import CONDITIONS, PAGE, PATCHES, REFUSED, RESTS, Row, page
from torch import Tensor

Patch = Callable[[Any], Any]
SLOW = {"TorchCompileModel"}
EVERYWHERE = ("motion", "windows", "queue")
"""Columns that run on every host in each run of the suite; the others where COMFYUI_PATH chooses it."""


class Bench:
    """The tiny model, and each of our nodes as a function of a MODEL."""

    def __init__(self, tiny: Any, folder: Path):
        import comfy.ops
        from tiny_loras import by_frame, random_lora, saved
        from zoetrope.models.motion.frame_guide import PIA
        from zoetrope.models.motion.frame_guide_networks import ConvBranch

        self.tiny, self.base, self.steps = tiny, tiny.model(), 1
        self.own = tiny.own_file(self.base, folder / "own.safetensors", seed=1)
        self.projector, self.vision = tiny.projector(self.base), tiny.vision(folder)
        self.pia = self.module(guide=PIA)
        network = randomise(ConvBranch(5, 32, comfy.ops.manual_cast).requires_grad_(False), 4)
        self.pia = type(self.pia)(self.pia.patcher, self.pia.report, self.pia.path, guide=self.patcher(network))
        self.lavie = self.module(sparse_causal=True)
        self.style, self.lora_by_frame = saved(random_lora(self.base), folder), by_frame

    def patcher(self, network: Any) -> Any:
        import comfy.model_patcher

        return comfy.model_patcher.ModelPatcher(network, self.base.load_device, self.base.offload_device)

    def module(self, guide: Any = None, **more: Any) -> Any:
        from zoetrope.models.motion.module import MotionModule

        variant = SimpleNamespace(frames=4, schedule=None, notes=(), guide=guide)
        report = SimpleNamespace(file="f", name="LaVie interpolation", fits=(), variant=variant)
        return self.tiny.host_motion(MotionModule({}, None, **more), report)

    def guide(self, motion: Any, model: Any) -> Any:
        from zoetrope.hosts.comfyui.conditioning.frame_guide import GuideImages, GuideSettings, apply_guide

        pictures = GuideImages(self.tiny.picture(size=(64, 64)), None)
        return apply_guide(model, motion, self.tiny.PictureVae(), torch.zeros(4, 4, 8, 8), pictures, GuideSettings())

    def look(self, model: Any, strength: float = 1.0) -> Any:
        from zoetrope.hosts.comfyui.conditioning.shared_attention import SharedSettings, apply_shared
        from zoetrope.models.edits.frame_table import FrameTable

        return apply_shared(model, SharedSettings(FrameTable("first and previous frame"), strength=strength))[0]

    def merge(self, model: Any, levels: int = 1) -> Any:
        from zoetrope.hosts.comfyui.conditioning.merging import MergeSettings, merge_across_frames

        return merge_across_frames(model, MergeSettings(levels=levels))[0]

    def merged(self, model: Any) -> Tensor:
        return self.sampled(self.merge(model))

    def lora(self, model: Any, strength: float = 1.0) -> Any:
        return self.lora_by_frame(model, self.style, strength)

    def windows(self, model: Any) -> Any:
        from zoetrope.hosts.comfyui.sampling.windows import in_windows
        from zoetrope.sampling.windows import Windows

        return in_windows(model, Windows("standard_static", 4, 2))

    def motion(self, model: Any, strength: float = 1.0) -> Any:
        return self.tiny.applied(model, self.own, strength, own_schedule=False)

    def prompt(self, model: Any) -> Any:
        return self.tiny.prompted(model, self.projector, self.vision, self.tiny.picture())

    def sampled(self, model: Any, frames: int = 4, **more: Any) -> Tensor:
        torch.manual_seed(7)
        return self.tiny.sample(model, frames, steps=self.steps, **more)

    def queued(self, model: Any, rows: list[int] | None = None, positive: Any = None, negative: Any = None) -> Tensor:
        torch.manual_seed(7)
        conditions = (positive or self.tiny.text(), negative or self.tiny.text(seed=2))
        return self.tiny.denoised(model, *conditions, rows=rows)


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    import tiny_host

    return Bench(tiny_host, tmp_path_factory.mktemp("bench"))


def alike(one: Tensor, other: Tensor) -> bool:
    return bool(one.isfinite().all()) and torch.allclose(one, other, atol=2e-4 * float(other.abs().max()), rtol=0)


def check_order(bench: Bench, patch: Patch, ours: Patch, row: Row) -> Tensor:
    """A node before ours and after it, and whether both act."""
    after = bench.sampled(patch(ours(bench.base)))
    assert alike(after, bench.sampled(ours(patch(bench.base))))
    assert not alike(after, bench.sampled(patch(bench.base)))
    if not row.idle:
        assert not alike(after, bench.sampled(ours(bench.base)))
    return after


def check_motion(bench: Bench, patch: Patch, row: Row) -> None:
    check_order(bench, patch, bench.motion, row)
    assert torch.equal(bench.sampled(patch(bench.motion(bench.base, 0.0))), bench.sampled(patch(bench.base)))


def check_prompt(bench: Bench, patch: Patch, row: Row) -> None:
    check_order(bench, patch, bench.prompt, row)


def check_clean(bench: Bench, patch: Patch, row: Row) -> None:
    guided = bench.sampled(patch(bench.guide(bench.own, bench.motion(bench.base))))
    assert alike(guided, bench.sampled(bench.guide(bench.own, bench.motion(patch(bench.base)))))
    assert not alike(guided, bench.sampled(patch(bench.motion(bench.base))))


def check_channels(bench: Bench, patch: Patch, row: Row) -> None:
    check_order(bench, patch, lambda model: bench.guide(bench.pia, model), row)


def check_lavie(bench: Bench, patch: Patch, row: Row) -> None:
    """Of frames that are all alike, attention to earlier ones is attention to oneself."""
    import comfy.sample

    def of_alike(model: Any) -> Tensor:
        latent, start = (noise(1, 4, 8, 8, seed=seed).repeat(4, 1, 1, 1) for seed in (1, 4))
        torch.manual_seed(7)
        with torch.inference_mode():
            return comfy.sample.sample(
                model, start, bench.steps, 3.0, "euler", "normal", bench.tiny.text(), bench.tiny.text(seed=2), latent,
                disable_pbar=True, seed=5,
            )  # fmt: skip

    def ours(model: Any) -> Any:
        return bench.tiny.applied(model, bench.lavie, 1.0, own_schedule=False)

    assert alike(of_alike(patch(ours(bench.base))), of_alike(patch(bench.base)))
    check_order(bench, patch, ours, row)


def check_look(bench: Bench, patch: Patch, row: Row) -> None:
    check_order(bench, patch, bench.look, row)
    assert torch.equal(bench.sampled(patch(bench.look(bench.base, 0.0))), bench.sampled(patch(bench.base)))


def check_merge(bench: Bench, patch: Patch, row: Row) -> None:
    check_order(bench, patch, bench.merge, replace(row, idle=row.idle or row.cell("merge") == RESTS))
    assert torch.equal(bench.sampled(patch(bench.merge(bench.base, 0))), bench.sampled(patch(bench.base)))


def check_lora(bench: Bench, patch: Patch, row: Row) -> None:
    check_order(bench, patch, bench.lora, row)
    assert torch.equal(bench.sampled(patch(bench.lora(bench.base, 0.0))), bench.sampled(patch(bench.base)))


def check_windows(bench: Bench, patch: Patch, row: Row) -> None:
    moving = bench.sampled(patch(bench.motion(bench.base)))
    assert row.by_batch or alike(bench.sampled(patch(bench.windows(bench.motion(bench.base)))), moving)
    expected = bench.base if row.cell("windows") == RESTS else patch(bench.base)
    foreign = bench.sampled(patch(bench.windows(bench.base)), 6)
    assert alike(foreign, bench.sampled(bench.windows(patch(bench.base)), 6))
    assert row.by_batch or alike(foreign, bench.sampled(expected, 6))


def check_queue(bench: Bench, patch: Patch, row: Row) -> None:
    expected = bench.base if row.cell("queue") == RESTS else patch(bench.base)
    whole = bench.queued(patch(bench.base))
    assert row.by_batch or alike(whole, bench.queued(expected, [0, 1, 2, 3]))
    assert alike(bench.queued(patch(bench.motion(bench.base))), bench.queued(bench.motion(patch(bench.base))))
    assert bool(whole.isfinite().all())


def check_shot(bench: Bench, patch: Patch, row: Row) -> None:
    """A shot that goes on in the same session finds the same MODEL."""
    from zoetrope.hosts.comfyui.fingerprint import model_settings

    model = patch(bench.motion(bench.base))
    before = model_settings(model)
    bench.queued(model)
    assert model_settings(model) == before


CHECKS: dict[str, Callable[[Bench, Patch, Row], None]] = {
    "motion": check_motion, "windows": check_windows, "queue": check_queue, "shot": check_shot, "prompt": check_prompt,
    "clean": check_clean, "channels": check_channels, "lavie": check_lavie, "look": check_look, "merge": check_merge,
    "lora": check_lora,
}  # fmt: skip


@pytest.mark.host
@pytest.mark.parametrize("column", [c if c in EVERYWHERE else pytest.param(c, marks=pytest.mark.one_host) for c in CHECKS])
@pytest.mark.parametrize(
    "row", [pytest.param(row, id=row.name, marks=[pytest.mark.slow] if row.name in SLOW else []) for row in PATCHES]
)
def test_nodes_that_patch_a_model(bench: Bench, row: Row, column: str, caplog: pytest.LogCaptureFixture) -> None:
    from other_nodes import PATCHES as NODES

    bench.steps = row.steps
    with caplog.at_level(logging.WARNING):
        if row.cell(column) == REFUSED:
            reason = "both merge tokens" if column == "merge" else "this MODEL samples by flow"
            run = bench.merged if column == "merge" else bench.queued
            with pytest.raises(ValueError, match=reason):
                run(NODES[row.name](bench.base))
        else:
            CHECKS[column](bench, NODES[row.name], row)
    assert (row.cell(column) == RESTS) <= any(re.search("disabled|has no effect", line) for line in caplog.messages)
    bench.tiny.unload()


@pytest.mark.host
@pytest.mark.parametrize("row", CONDITIONS, ids=lambda row: row.name)
def test_conditions(bench: Bench, row: Row) -> None:
    from other_conditions import conditions, plain

    made, bench.steps = conditions()[row.name], row.steps

    def sampled(model: Any, frames: int, condition: Any = made) -> Tensor:
        return bench.sampled(model, frames, positive=condition(frames, 1), negative=plain(frames, 2))

    def queued(condition: Any, rows: list[int] | None = None) -> Tensor:
        return bench.queued(bench.base, rows, condition(8, 1), plain(8, 2))

    moving = bench.motion(bench.base)
    assert not alike(sampled(moving, 4), sampled(moving, 4, plain))
    assert alike(sampled(bench.windows(moving), 4), sampled(moving, 4))
    assert alike(sampled(bench.windows(bench.base), 6), sampled(bench.base, 6))
    assert alike(queued(made), queued(made, [0, 1, 2, 3]))
    assert not alike(queued(made), queued(plain))
    bench.tiny.unload()


@pytest.mark.host
def test_merged_models_keep_their_motion_and_saved_ones_have_no_key_of_ours(bench: Bench) -> None:
    from comfy_extras.nodes_model_merging import ModelMergeSimple

    other = bench.tiny.model(seed=3)
    (merged,) = ModelMergeSimple().merge(bench.motion(bench.base), other, 0.5)
    (plain,) = ModelMergeSimple().merge(bench.base, other, 0.5)
    assert alike(bench.sampled(bench.motion(plain)), bench.sampled(merged))
    assert not alike(bench.sampled(plain), bench.sampled(merged))
    keys = [{key for key in _saved(model) if "diffusion_model" in key} for model in (merged, bench.base)]
    assert keys[0] == keys[1]
    bench.tiny.unload()


def _saved(model: Any) -> Any:
    saving = getattr(model, "state_dict_for_saving", None) or model.model.state_dict_for_saving  # newer hosts: the patcher
    return saving()


def test_the_page_is_of_today() -> None:
    """WRITE_DOCS=1 writes it."""
    if os.environ.get("WRITE_DOCS"):
        PAGE.write_text(page())
    assert PAGE.read_text() == page()
