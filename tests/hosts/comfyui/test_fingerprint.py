"""The digest of a MODEL is that of its settings: a run does not change it, a setting does."""

from collections.abc import Callable
from typing import Any

import pytest

pytestmark = pytest.mark.host


class Remembering:
    """A patch as an object: a setting, and what it remembers."""

    def __init__(self, strength: float):
        self.strength = strength
        self.count = 0
        self.last: Any = None

    def note(self, x: Any) -> None:
        self.count += 1
        self.last = x

    def __call__(self, apply_model: Any, args: Any) -> Any:
        self.note(args["input"])
        return apply_model(args["input"], args["timestep"], **args["c"])

    run = __call__


def with_container(model: Any) -> None:
    cache = {"setting": 1.5}

    def patch(q: Any, k: Any, v: Any, options: Any) -> Any:
        cache["last"] = q
        return q, k, v

    model.set_model_attn1_patch(patch)


def with_sibling(model: Any) -> None:
    """One function binds a variable anew, another one reads it (Token Merging, SAG)."""
    state: Any = None

    def patch(q: Any, k: Any, v: Any, options: Any) -> Any:
        nonlocal state
        state = q
        return q, k, v

    model.set_model_attn1_output_patch(lambda n, options: n if state is not None else n + 1)
    model.set_model_attn1_patch(patch)


def with_list(model: Any) -> None:
    calls: list[int] = []

    def wrapper(apply_model: Any, args: Any) -> Any:
        calls.append(1)
        return apply_model(args["input"], args["timestep"], **args["c"])

    model.set_model_unet_function_wrapper(wrapper)


def with_option(model: Any) -> None:
    model.model_options["transformer_options"]["cache"] = Remembering(0.5)

    def wrapper(apply_model: Any, args: Any) -> Any:
        args["c"]["transformer_options"]["cache"].note(args["input"])
        return apply_model(args["input"], args["timestep"], **args["c"])

    model.set_model_unet_function_wrapper(wrapper)


PATCHES: dict[str, Callable[[Any], None]] = {
    "container": with_container,
    "sibling": with_sibling,
    "list": with_list,
    "option": with_option,
    "object": lambda model: model.set_model_unet_function_wrapper(Remembering(0.5)),
    "method": lambda model: model.set_model_unet_function_wrapper(Remembering(0.5).run),
}


@pytest.mark.parametrize("name", PATCHES)
def test_a_run_does_not_change_it(tiny: Any, name: str) -> None:
    from zoetrope.hosts.comfyui.fingerprint import model_settings

    def patched() -> Any:
        model = tiny.model().clone()
        PATCHES[name](model)
        return model

    model, other, used = patched(), patched(), patched()
    before = model_settings(model)
    for one in (model, used):
        tiny.sample(one, 1, steps=1)
    assert model_settings(model) == before == model_settings(other) == model_settings(used)
    tiny.unload()


@pytest.mark.parametrize("name", ["Self-Attention Guidance", "Token Merging", "HyperTile", "Adaptive Projected Guidance"])
def test_core_nodes_do_not_change_it_by_being_run(tiny: Any, name: str) -> None:
    import other_nodes
    from zoetrope.hosts.comfyui.fingerprint import model_settings

    base = tiny.model()
    model = other_nodes.PATCHES[name](base)
    before = model_settings(model)
    tiny.sample(model, 2, steps=1)
    assert model_settings(model) == before
    assert model_settings(base) != before
    tiny.unload()


def test_a_setting_changes_it(tiny: Any) -> None:
    from zoetrope.hosts.comfyui.fingerprint import model_settings

    base = tiny.model()
    found = []
    for strength in (0.5, 0.6):
        model = base.clone()
        model.set_model_unet_function_wrapper(Remembering(strength))
        found.append(model_settings(model))
    assert [name for name in found[0] if found[0][name] != found[1][name]] == ["model patches"]


def test_windows_do_not_count_in_a_long_shot(tiny: Any) -> None:
    from zoetrope.hosts.comfyui.fingerprint import model_settings
    from zoetrope.hosts.comfyui.sampling.windows import in_windows
    from zoetrope.sampling.windows import Windows

    base = tiny.model()
    assert model_settings(in_windows(base, Windows("standard_static", 4, 2))) == model_settings(base)
