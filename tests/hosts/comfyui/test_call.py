"""The order of wrappers is that of `call.ORDER`, whichever way nodes are connected, and nobody else adds any."""

import itertools
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

pytestmark = pytest.mark.host

ROOT = Path(__file__).parents[3]


def nodes(tiny: Any, folder: Path) -> dict[str, Any]:
    """What each node does to a MODEL."""
    from zoetrope.hosts.comfyui.conditioning.frame_guide import GuideImages, GuideSettings, apply_guide
    from zoetrope.hosts.comfyui.sampling.windows import in_windows
    from zoetrope.sampling.windows import Windows

    base = tiny.model()
    motion = tiny.own_file(base, folder / "motion.safetensors", seed=1)
    projector, vision, picture = tiny.projector(base), tiny.vision(folder), tiny.picture(size=(64, 64))
    latent = torch.zeros(8, 4, 8, 8)
    return {
        "base": base,
        "windows": lambda model: in_windows(model, Windows("standard_static", 4, 2)),
        "motion": lambda model: tiny.applied(model, motion, end=0.9),
        "prompt": lambda model: tiny.prompted(model, projector, vision, picture, end=0.8),
        "guide": lambda model: apply_guide(
            model, motion, tiny.PictureVae(), latent, GuideImages(picture, None), GuideSettings(start=0.1)
        ),
    }


def stranger(seen: list[list[str]]) -> Any:
    """Another pack's node: a wrapper of its own that notes the order that it finds."""
    from comfy.patcher_extension import WrappersMP

    def note(executor: Any, *args: Any, **kwargs: Any) -> Any:
        options = next(a for a in args if isinstance(a, dict) and "transformer_options" in a)
        seen.append(list(options["transformer_options"]["wrappers"][WrappersMP.CALC_COND_BATCH]))
        return executor(*args, **kwargs)

    def apply(model: Any) -> Any:
        patched = model.clone()
        patched.add_wrapper_with_key(WrappersMP.CALC_COND_BATCH, "another.pack", note)
        return patched

    return apply


def test_the_order_holds_whichever_way_nodes_are_connected(tiny: Any, tmp_path: Path) -> None:
    from zoetrope.hosts.comfyui.call import wrapper_order

    made = nodes(tiny, tmp_path)
    base = made.pop("base")
    orders = [order for n, order in enumerate(itertools.permutations([*made, "stranger"])) if n % 11 == 0]
    seen: dict[tuple[str, ...], list[str]] = {}
    results: list[Tensor] = []
    for order in orders:
        calls: list[list[str]] = []
        model = base
        for name in order:
            model = (made | {"stranger": stranger(calls)})[name](model)
        for kind, wrappers in model.wrappers.items():
            ours = [str(key) for key in wrappers if str(key).startswith("zoetrope.")]
            assert ours == sorted(ours, key=wrapper_order), kind
        results.append(tiny.sample(model, frames=8, steps=2))
        seen[order] = calls[0]
    assert len(set(map(tuple, seen.values()))) == 1, seen
    assert next(iter(seen.values())) == ["another.pack", "zoetrope.guide.0", "zoetrope.frames", "zoetrope.places"]
    assert all(torch.equal(result, results[0]) for result in results)
    tiny.unload()


def test_every_wrapper_is_added_in_one_place() -> None:
    foreign = [
        path.relative_to(ROOT).as_posix()
        for room in ("hosts", "nodes")
        for path in (ROOT / room).rglob("*.py")
        if "add_wrapper" in path.read_text()
    ]
    assert foreign == ["hosts/comfyui/call.py"]


def test_keys_that_are_not_ours_stand_with_the_others() -> None:
    from zoetrope.hosts.comfyui.call import FRAMES, GUIDE, ORDER, OTHERS, WINDOWS, wrapper_order

    assert wrapper_order("EasyCache") == (ORDER.index(OTHERS), 0)
    assert wrapper_order("zoetrope.guidebook") == (ORDER.index(OTHERS), 0)
    keys = [FRAMES, f"{GUIDE}.10", f"{GUIDE}.2", "x", WINDOWS]
    assert sorted(keys, key=wrapper_order) == [WINDOWS, "x", f"{GUIDE}.2", f"{GUIDE}.10", FRAMES]
