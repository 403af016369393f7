"""Checkpoints as trainers leave them: the weights are found, averaged ones first, and what was done is said."""

import argparse
import collections
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from layers import own_motion
from safetensors.torch import save_file
from torch import Tensor
from zoetrope.models.formats.checkpoint import read_file, read_tensors
from zoetrope.models.motion.loading import load_motion

TINY = {"down.0.0.resnet": 32, "down.0.0.attention": 32}
Tensors = dict[str, Tensor]
WEIGHTS: Tensors = {key: value.contiguous() for key, value in own_motion(TINY).state_dict().items()}
OTHER: Tensors = {key: value + 1 for key, value in WEIGHTS.items()}
ADAM = {"state": {0: {"step": torch.tensor(5.0), "exp_avg": torch.ones(3)}}, "param_groups": [{"lr": 1e-4}]}
LIGHTNING = {
    "epoch": 3, "global_step": 700, "pytorch-lightning_version": "2.2", "loops": {"fit_loop": {"state_dict": {}}},
    "callbacks": {"ModelCheckpoint": {"best_model_score": torch.tensor(0.1)}}, "optimizer_states": [ADAM],
    "lr_schedulers": [{"last_epoch": 3}], "hyper_parameters": {"lr": 1e-4, "name": "x"},
}  # fmt: skip


def before(prefix: str, tensors: Tensors = WEIGHTS) -> Tensors:
    return {prefix + key: value for key, value in tensors.items()}


NAMES = (
    "unet",
    "model",
    "module",
    "weights",
    "params",
    "generator",
    "net",
    "state_dict",
    "motion_module",
    "net_g",
    "model_state_dict",
)
PLAIN: dict[str, Any] = {
    **{f"{{{name}, step}}": {name: WEIGHTS, "step": 5, "config": {"lr": 1e-4}} for name in NAMES},
    "two levels": {"model": {"state_dict": WEIGHTS}, "optimizer": ADAM, "epoch": 1},
    "three levels": {"checkpoint": {"model": {"state_dict": WEIGHTS}}},
    "Lightning": {"state_dict": WEIGHTS, **LIGHTNING},
    "Lightning with a prefix": {"state_dict": before("model."), **LIGHTNING},
    "Lightning with the frozen parts": {
        "state_dict": before("unet.") | {"vae.encoder.x.weight": torch.ones(2, 2), "text_encoder.x.weight": torch.ones(2)},
        **LIGHTNING,
    },
    "DeepSpeed": {
        "module": before("_forward_module."), "optimizer": None, "ds_config": {"a": 1}, "ds_version": "0.14",
        "param_shapes": [{"a": torch.Size((1,))}], "frozen_param_fragments": {"x.weight": torch.ones(4)},
    },
    "data parallel and compiled": before("module._orig_mod."),
    "compiled and data parallel": before("_orig_mod.module."),
    "compiled inside": before("unet._orig_mod."),
    "in LDM's place": before("model.diffusion_model."),
    "in LDM's place, data parallel": before("module.model.diffusion_model."),
    "counters as tensors": {**WEIGHTS, "global_step": torch.tensor(7), "epoch": torch.tensor([2])},
    "counters beside a table": {"state_dict": WEIGHTS, "global_step": torch.tensor(7)},
    "GAN": {"generator": WEIGHTS, "discriminator": {"a.weight": torch.ones(3)}, "optimizer_g": ADAM, "optimizer_d": ADAM},
    "losses and metrics": before("model.") | {"loss.lpips.weight": torch.ones(2), "train_metrics.total": torch.ones(1)},
    "objects": {"state_dict": WEIGHTS, "args": argparse.Namespace(lr=1), "log_dir": Path("a/b")},
    "a defaultdict": {"model": WEIGHTS, "history": collections.defaultdict(list, {"loss": [1.0]})},
}  # fmt: skip


@pytest.mark.parametrize("name", PLAIN)
def test_weights_are_found_wherever_a_trainer_puts_them(tmp_path: Path, name: str) -> None:
    torch.save(PLAIN[name], tmp_path / "m.ckpt")
    motion, report = load_motion(tmp_path / "m.ckpt")
    state = motion.state_dict()
    assert all(torch.equal(state[key], value) for key, value in WEIGHTS.items())
    assert report.family == "zoetrope"


def dotless(tensors: Tensors) -> Tensors:
    return {key.replace(".", ""): value for key, value in tensors.items()}


COUNTS = {"model_ema.decay": torch.tensor(0.99), "model_ema.num_updates": torch.tensor(7)}
AVERAGED: dict[str, Any] = {
    "state_dict and ema_state_dict": {"state_dict": WEIGHTS, "ema_state_dict": OTHER},
    "model and ema": {"model": WEIGHTS, "ema": OTHER, "optimizer": ADAM},
    "model and ema, two levels": {"model": before("module."), "ema": {"state_dict": OTHER, "decay": 0.99}},
    "params and params_ema": {"params": WEIGHTS, "params_ema": OTHER},
    "state_dict_ema": {"state_dict": WEIGHTS, "state_dict_ema": before("module.", OTHER), "epoch": 3},
    "g_ema": {"g": WEIGHTS, "g_ema": OTHER, "d": {"x.weight": torch.ones(2)}},
    "shadow_params": {"unet": WEIGHTS, "ema": {"shadow_params": list(OTHER.values()), "decay": 0.99}},
    "a callback of Lightning": {"state_dict": WEIGHTS, "callbacks": {"EMA": {"ema_weights": OTHER}}},
    "LitEma": before("model.diffusion_model.") | before("model_ema.", dotless(before("diffusion_model.", OTHER))) | COUNTS,
    "LitEma over the whole": WEIGHTS | before("model_ema.", dotless(OTHER)) | COUNTS,
    "ema_pytorch": before("online_model.")
    | before("ema_model.", OTHER)
    | {"initted": torch.tensor(True), "step": torch.tensor(1)},
    "AveragedModel": {"state_dict": before("module.", OTHER) | {"n_averaged": torch.tensor(3)}},
    "unet and unet_ema": before("unet.") | before("unet_ema.", OTHER),
    "ema. before half of the keys": before("model.") | before("ema.", OTHER),
    "averaged alone": {"ema_state_dict": OTHER, "step": 3},
    "averaged alone, as keys": before("ema_model.", OTHER),
}


FLAT = [name for name, content in AVERAGED.items() if all(isinstance(value, Tensor) for value in content.values())]


@pytest.mark.parametrize(("name", "container"), [*((n, "torch") for n in AVERAGED), *((n, "safetensors") for n in FLAT)])
def test_averaged_weights_come_first_and_it_is_said(tmp_path: Path, name: str, container: str) -> None:
    content = AVERAGED[name]
    if container == "torch":
        torch.save(content, path := tmp_path / "m.ckpt")
    else:
        save_file({key: value.clone() for key, value in content.items()}, path := tmp_path / "m.safetensors")
    motion, report = load_motion(path)
    state = motion.state_dict()
    assert all(torch.equal(state[key], value) for key, value in OTHER.items())
    if name != "AveragedModel":
        assert any("averaged weights" in line for line in report.notes), report.notes
        assert "averaged weights" in report.text()


def test_averaged_weights_of_other_names_or_shapes_are_not_taken_and_it_is_said(tmp_path: Path) -> None:
    for name, shadow in (("other names", {"a.b": torch.ones(2)}), ("other shapes", {k: torch.ones(1, 7) for k in OTHER})):
        torch.save({"model": WEIGHTS, "ema": shadow}, tmp_path / f"{name}.ckpt")
        motion, report = load_motion(tmp_path / f"{name}.ckpt")
        assert all(torch.equal(motion.state_dict()[key], value) for key, value in WEIGHTS.items())
        assert any("raw weights" in line for line in report.notes)


def test_averages_of_a_part_leave_the_rest_as_it_is(tmp_path: Path) -> None:
    key = next(iter(WEIGHTS))
    torch.save({"model": WEIGHTS, "ema": {key: OTHER[key]}}, tmp_path / "m.ckpt")
    held = read_file(tmp_path / "m.ckpt")
    assert [name for name, value in held.tensors.items() if torch.equal(value, OTHER[name])] == [key]
    assert any(f"1 of {len(WEIGHTS)}" in line for line in held.notes)


REFUSED: dict[str, tuple[Any, str]] = {
    "two models": (
        {"model": WEIGHTS, "net": OTHER},
        r"expected one model in the file, got 2: model \(\d+ tensors\) and net .*separate file",
    ),
    "two averages": ({"ema": {"a": OTHER, "b": OTHER}}, "got 2: ema.a .* and ema.b"),
    "names lost": (before("model_ema.", dotless(OTHER)) | COUNTS, "only averaged weights .model_ema., .*no dots"),
    "no names at all": ({"ema": {"shadow_params": list(OTHER.values())}}, "only averaged weights without names"),
    "optimizer alone": ({"optimizer": ADAM, "step": 4}, "holds no tensors of a model under its names .optimizer, step."),
    "nothing": ({}, "holds no tensors"),
    "a list": ([1, 2], "expected a table of tensors, got list"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_holds_no_one_model_is_refused_by_what_it_holds(tmp_path: Path, name: str) -> None:
    content, words = REFUSED[name]
    torch.save(content, tmp_path / "m.ckpt")
    with pytest.raises(ValueError, match=rf"m\.ckpt: .*{words}"):
        load_motion(tmp_path / "m.ckpt")


class Own:
    """An object of a class that no list names."""


def test_objects_of_other_names_are_refused_by_them(tmp_path: Path) -> None:
    torch.save({"state_dict": WEIGHTS, "extra": Own()}, tmp_path / "m.ckpt")
    with pytest.raises(ValueError, match=r"code or objects besides tensors.*Own"):
        load_motion(tmp_path / "m.ckpt")


def test_objects_of_training_are_named_and_never_made(tmp_path: Path) -> None:
    torch.save({"state_dict": WEIGHTS, "args": argparse.Namespace(lr=1)}, tmp_path / "m.ckpt")
    held = read_file(tmp_path / "m.ckpt")
    assert any("argparse.Namespace" in line for line in held.notes)
    assert "args" not in held.metadata


def foreign(module: str, name: str, base: type, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A class of a library that is not installed where the file is read."""
    made = type(name, (base,), {"__module__": module, "__qualname__": name})
    parts = module.split(".")
    for depth in range(1, len(parts) + 1):
        monkeypatch.setitem(sys.modules, ".".join(parts[:depth]), types.ModuleType(".".join(parts[:depth])))
    setattr(sys.modules[module], name, made)
    return made


LIBRARIES = [
    ("pytorch_lightning.utilities.parsing", "AttributeDict", dict), ("omegaconf.dictconfig", "DictConfig", object),
    ("easydict", "EasyDict", dict), ("lightning.fabric.utilities.data", "AttributeDict", dict),
    ("omegaconf.base", "Node", object),
]  # fmt: skip


@pytest.mark.parametrize(("module", "name", "base"), LIBRARIES)
def test_settings_of_libraries_that_are_not_here_are_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str, name: str, base: type
) -> None:
    with monkeypatch.context() as there:
        settings = foreign(module, name, base, there)()
        settings.lr = 1e-4
        if base is dict:
            settings["batch"] = 4
        torch.save({"state_dict": WEIGHTS, "hyper_parameters": settings, "epoch": 3}, tmp_path / "m.ckpt")
    assert load_motion(tmp_path / "m.ckpt")[1].family == "zoetrope"
    assert module.partition(".")[0] not in sys.modules


def test_numbers_of_numpy_are_passed_over(tmp_path: Path) -> None:
    torch.save({"model": WEIGHTS, "best": np.float64(0.5), "curve": np.zeros(3), "step": np.int64(3)}, tmp_path / "m.ckpt")
    allowed = torch.serialization.get_safe_globals()
    assert load_motion(tmp_path / "m.ckpt")[1].family == "zoetrope"
    assert torch.serialization.get_safe_globals() == allowed


@pytest.mark.parametrize("swap", [(".ckpt", ".safetensors"), (".safetensors", ".ckpt")])
def test_a_file_with_the_others_ending_is_read_as_what_it_is(tmp_path: Path, swap: tuple[str, str]) -> None:
    write: Callable[..., Any] = torch.save if swap[0] == ".ckpt" else save_file
    write(WEIGHTS, tmp_path / f"m{swap[1]}")
    assert read_tensors(tmp_path / f"m{swap[1]}")[0].keys() == WEIGHTS.keys()


def test_texts_and_numbers_beside_the_weights_are_the_header(tmp_path: Path) -> None:
    torch.save(
        {"state_dict": WEIGHTS, "rank": 4, "lora_config": {"r": 4, "lora_alpha": 1}, "optimizer": ADAM}, tmp_path / "m.pt"
    )
    assert read_tensors(tmp_path / "m.pt")[1] == {"rank": "4", "lora_config": '{"r": 4, "lora_alpha": 1}'}


def test_the_averaged_folder_of_diffusers_training_comes_first(tmp_path: Path) -> None:
    for folder, tensors in (("unet", WEIGHTS), ("unet_ema", OTHER)):
        (tmp_path / folder).mkdir()
        save_file(tensors, tmp_path / folder / "diffusion_pytorch_model.safetensors")
    motion, report = load_motion(tmp_path)
    assert all(torch.equal(motion.state_dict()[key], value) for key, value in OTHER.items())
    assert report.notes == ("averaged weights (the folder unet_ema)",)
