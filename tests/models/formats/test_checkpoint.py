"""Every bad file is refused with its name, what was expected, what was got, and what to do; nothing in it is executed."""

import json
import os
import pickle
import struct
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch
from layers import own_motion
from safetensors.torch import save_file
from zoetrope.models.backbones.unet import Base, sites_of
from zoetrope.models.formats.checkpoint import read_tensors
from zoetrope.models.motion.loading import load_motion

TINY = {s: w for s, w in sites_of(Base("tiny", (32,), 1, (True,), 16)).items() if not s.endswith("out")}


@pytest.fixture
def weights() -> dict[str, torch.Tensor]:
    return {key: value.contiguous() for key, value in own_motion(TINY).state_dict().items()}


@pytest.fixture
def good(tmp_path: Path, weights: dict[str, torch.Tensor]) -> Path:
    save_file(weights, tmp_path / "good.safetensors")
    return tmp_path / "good.safetensors"


def refused(path: Path, *words: str) -> None:
    with pytest.raises(ValueError, match=path.name) as error:
        load_motion(path)
    for word in words:
        assert word in str(error.value), str(error.value)


def test_missing(tmp_path: Path) -> None:
    refused(tmp_path / "nowhere.safetensors", "no such file", "expected a .safetensors or .ckpt")


def test_empty(tmp_path: Path) -> None:
    (tmp_path / "empty.safetensors").touch()
    refused(tmp_path / "empty.safetensors", "empty (0 bytes)", "download it again")


@pytest.mark.parametrize("keep", [4, 100, -1, -1000])
def test_truncated(good: Path, keep: int) -> None:
    good.write_bytes(good.read_bytes()[:keep])
    refused(good, "the file is truncated" if keep != 4 else "truncated, corrupt or of another kind", "download it again")


def test_bytes_appended(good: Path) -> None:
    good.write_bytes(good.read_bytes() + b"more")
    refused(good, "expected a safetensors file")


def test_a_header_that_lies(tmp_path: Path) -> None:
    header = json.dumps({"a": {"dtype": "F32", "shape": [1 << 40], "data_offsets": [0, 1 << 42]}}).encode()
    (tmp_path / "liar.safetensors").write_bytes(struct.pack("<Q", len(header)) + header)
    refused(tmp_path / "liar.safetensors", "expected a safetensors file")


def test_a_picture_with_a_models_name(tmp_path: Path) -> None:
    for name in ("cat.safetensors", "cat.ckpt"):
        (tmp_path / name).write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 20)
        refused(tmp_path / name, "this is a picture (PNG)")


def test_another_kind_of_file(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("hello")
    refused(tmp_path / "notes.txt", "expected a file that ends in", ".safetensors", "got '.txt'")


def test_a_folder(tmp_path: Path) -> None:
    (tmp_path / "folder.safetensors").mkdir()
    refused(tmp_path / "folder.safetensors", "this is a folder without weights", "expected diffusion_pytorch_model.safetensors")


class Bomb:
    """What a malicious checkpoint holds: an object whose unpickling runs a command."""

    def __init__(self, mark: Path):
        self.mark = mark

    def __reduce__(self) -> tuple[object, ...]:
        return (os.system, (f"touch {self.mark}",))


@pytest.mark.parametrize("how", ["torch", "pickle"])
def test_a_pickle_with_code_is_refused_and_not_run(tmp_path: Path, how: str, weights: dict[str, torch.Tensor]) -> None:
    path, mark = tmp_path / "evil.ckpt", tmp_path / "ran"
    content = {"state_dict": weights, "extra": Bomb(mark)}
    torch.save(content, path) if how == "torch" else path.write_bytes(pickle.dumps(content))
    refused(path, "code or objects besides tensors", ".safetensors version")
    assert not mark.exists()
    subprocess.run(["touch", mark], check=True)  # the bomb's own command does leave its mark
    assert mark.exists()


def test_a_torch_file_of_something_else(tmp_path: Path) -> None:
    torch.save([1, 2, 3], tmp_path / "list.pt")
    refused(tmp_path / "list.pt", "expected a table of tensors, got list")
    torch.save({"epoch": 3}, tmp_path / "number.pt")
    refused(tmp_path / "number.pt", "holds no tensors")


@pytest.mark.parametrize(
    "nest", [lambda w: w, lambda w: {"state_dict": w, "epoch": 3}, lambda w: {f"module.{k}": v for k, v in w.items()}]
)
def test_torch_files_flat_nested_and_prefixed(tmp_path: Path, nest: object, weights: dict[str, torch.Tensor]) -> None:
    torch.save(nest(weights), tmp_path / "m.ckpt")  # type: ignore[operator]
    assert set(read_tensors(tmp_path / "m.ckpt")[0]) == set(weights)
    assert load_motion(tmp_path / "m.ckpt")[1].family == "zoetrope"


def test_a_model_of_another_kind_names_the_families(tmp_path: Path) -> None:
    save_file({"first_stage_model.encoder.conv_in.weight": torch.zeros(2)}, tmp_path / "vae.safetensors")
    refused(
        tmp_path / "vae.safetensors", "not a motion module that Zoetrope supports", "AnimateDiff", "first_stage_model.encoder"
    )


def test_keys_missing_left_over_and_misshapen_are_named(tmp_path: Path, weights: dict[str, torch.Tensor]) -> None:
    path, key = tmp_path / "m.safetensors", "down.0.0.attention.proj_in.bias"
    save_file({k: v for k, v in weights.items() if k != key}, path)
    refused(path, "lacks keys", key)
    save_file(weights | {"down.0.0.attention.surprise": torch.zeros(1)}, path)
    refused(path, "has keys that Zoetrope does not have", "down.0.0.attention.surprise")
    save_file(weights | {key: torch.zeros(31)}, path)
    refused(path, "wrong shapes", f"{key}: expected [32], got [31]")
    save_file({k: v for k, v in weights.items() if k != "down.0.0.attention.blocks.0.attentions.1.to_k.weight"}, path)
    refused(path, "do not make a complete network", "attentions.1.to_k.weight")
    save_file(weights | {"down.0.0.attention.norm.weight": torch.zeros(31)}, path)
    refused(path, "do not make a complete network", "divisible")
    save_file(weights | {"down.0.0.attention.blocks.0.attentions.0.positions.pe": torch.zeros(3)}, path)
    refused(path, "do not make a complete network")


def test_the_report_reads_well_and_is_plain_data(good: Path) -> None:
    _, report = load_motion(good)
    assert report.text().startswith("good.safetensors (")
    for word in ("Zoetrope v1", "frames      trained on 16, at most 16", "float32", "32"):
        assert word in report.text()
    assert json.loads(json.dumps(report.as_dict()))["variant"]["max_frames"] == 16


@pytest.mark.parametrize("place", ["", "unet", "motion_adapter"])
@pytest.mark.parametrize("name", ["diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.fp16.safetensors"])
def test_a_folder_as_diffusers_writes_it(tmp_path: Path, weights: dict[str, torch.Tensor], place: str, name: str) -> None:
    folder = tmp_path / "adapter"
    (folder / place).mkdir(parents=True)
    save_file(weights, folder / place / name)
    _, report = load_motion(folder)
    assert (report.file, report.keys) == ("adapter", len(weights))
    assert report.size_bytes == (folder / place / name).stat().st_size


def test_a_folder_in_parts_and_with_a_part_missing(tmp_path: Path, weights: dict[str, torch.Tensor]) -> None:
    keys = sorted(weights)
    half = len(keys) // 2
    for number, some in ((1, keys[:half]), (2, keys[half:])):
        save_file({key: weights[key] for key in some}, tmp_path / f"diffusion_pytorch_model-0000{number}-of-00002.safetensors")
    assert load_motion(tmp_path)[1].keys == len(weights)
    (tmp_path / "diffusion_pytorch_model-00001-of-00002.safetensors").unlink()
    refused(tmp_path, "expected 2 parts of weights, got 1")


@pytest.mark.parametrize(
    "wrap",
    [
        lambda t: {"state_dict": t},
        lambda t: {"ema": t, "model": {k: v * 0 for k, v in t.items()}},
        lambda t: {"module": {f"_forward_module.{k}": v for k, v in t.items()}, "global_step": 7},
        lambda t: {"epoch": 3, "state_dict": {f"module.{k}": v for k, v in t.items()}},
        lambda t: {**t, "animatediff_config": {"any": 1}, "global_step": 7},
    ],
    ids=["state_dict", "ema before model", "DeepSpeed", "data parallel", "loose entries"],
)
def test_nested_and_prefixed_torch_files(tmp_path: Path, weights: dict[str, torch.Tensor], wrap: Any) -> None:
    torch.save(wrap(weights), tmp_path / "m.ckpt")
    tensors, _ = read_tensors(tmp_path / "m.ckpt")
    assert tensors.keys() == weights.keys()
    assert all(torch.equal(tensors[key], value) for key, value in weights.items())
    assert load_motion(tmp_path / "m.ckpt")[1].family == "zoetrope"


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_every_dtype_is_kept(tmp_path: Path, weights: dict[str, torch.Tensor], dtype: torch.dtype) -> None:
    save_file({key: value.to(dtype) for key, value in weights.items()}, tmp_path / "m.safetensors")
    motion, report = load_motion(tmp_path / "m.safetensors")
    assert report.dtypes == (str(dtype).removeprefix("torch."),)
    assert all(parameter.dtype == dtype for parameter in motion.parameters())
