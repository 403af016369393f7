"""What a file is that cannot be read: by its first bytes and its size, and nothing beyond."""

import json
import struct
import zipfile
from pathlib import Path

import pytest
import torch
from mangled import sound
from safetensors.torch import save_file
from zoetrope.models.motion.loading import load_motion

LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:abc\nsize 1234\n"
FOUND = {
    "GGUF": (b"GGUF\x03\0\0\0" + bytes(200), "a GGUF file, whose weights are quantised; use the .safetensors"),
    "LFS": (LFS, "a pointer of Git LFS, not the file itself"),
    "page": (b"<!DOCTYPE html><html>", "a web page that was saved in place of the file"),
    "answer": (b"Invalid username or password.", "a server's response"),
    "picture": (b"\xff\xd8\xff\xe0" + bytes(99), "a picture .JPEG."),
    "HDF5": (b"\x89HDF\r\n\x1a\n" + bytes(99), "an HDF5 file"),
}


@pytest.mark.parametrize("ending", [".safetensors", ".ckpt", ".gguf"])
@pytest.mark.parametrize("name", FOUND)
def test_other_files_are_told_by_their_first_bytes(tmp_path: Path, name: str, ending: str) -> None:
    content, words = FOUND[name]
    (tmp_path / f"m{ending}").write_bytes(content)
    with pytest.raises(ValueError, match=rf"m\{ending}: .*{words}"):
        load_motion(tmp_path / f"m{ending}")


@pytest.fixture(params=[".safetensors", ".ckpt"])
def file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / f"m{request.param}"
    save_file(sound(), path) if request.param == ".safetensors" else torch.save(sound(), path)
    return path


@pytest.mark.parametrize("part", [0.02, 0.5, 0.999])
def test_a_file_that_is_cut_off_is_told_so(file: Path, part: float) -> None:
    content = file.read_bytes()
    file.write_bytes(content[: int(len(content) * part)])
    with pytest.raises(ValueError, match=r"the file is truncated: .*; download it again"):
        load_motion(file)


def test_an_index_of_several_disks_is_torchs_own_to_judge(tmp_path: Path) -> None:
    torch.save(sound(), path := tmp_path / "m.ckpt")
    content = path.read_bytes()
    path.write_bytes(content[:-22] + struct.pack("<4sLQL", b"PK\x06\x07", 0, 0, 2) + content[-22:])
    assert load_motion(path)[1].family == "animatediff"  # python's own reader raises BadZipFile where torch reads on
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(ValueError, match=r"m\.ckpt: .*truncated"):
        load_motion(path)


def test_a_whole_file_of_another_sort_is_never_to_be_loaded_again(tmp_path: Path) -> None:
    save_file({"a.weight": torch.ones(2)}, tmp_path / "a.safetensors")
    with zipfile.ZipFile(tmp_path / "b.ckpt", "w") as archive:
        archive.writestr("notes.txt", "hello")
    save_file({k: v for k, v in sound().items() if "to_out.0.bias" not in k}, tmp_path / "c.safetensors")
    for name, words in (
        ("a.safetensors", "not a motion module"),
        ("b.ckpt", "not a torch file"),
        ("c.safetensors", "lacks keys"),
    ):
        with pytest.raises(ValueError, match=words) as error:
            load_motion(tmp_path / name)
        assert "again" not in str(error.value)


def test_a_damaged_header_and_further_bytes_are_told(tmp_path: Path) -> None:
    save_file(sound(), path := tmp_path / "m.safetensors")
    content = path.read_bytes()
    path.write_bytes(content + b"more")
    with pytest.raises(ValueError, match="by the file's header, got .*, 4 more"):
        load_motion(path)
    path.write_bytes(content[:9] + b"x" + content[10:])
    with pytest.raises(ValueError, match=r"its header of [\d,]+ bytes is damaged"):
        load_motion(path)
    header = json.dumps({"a": {"dtype": "F32", "shape": [2], "data_offsets": "none"}}).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header + bytes(8))
    with pytest.raises(ValueError, match="is damaged"):
        load_motion(path)
