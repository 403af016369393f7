"""A shot's folder: all files that are needed to resume it bit for bit after a crash; none of them can execute code.

    shot.json                   settings, sizes, environment
    latents_00000.safetensors   finished latents, one segment per file; never changed
    state.safetensors           the queue, finished latents of the incomplete segment, and the number of the next frame
    video.json, video_*.mp4     the frames: `videos.py`

Files are renamed into place after they are completely written to disk. The state is written after the files that it refers
to, so a crash at any moment leaves a folder that can be resumed.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from ..video.io.whole_file import write_whole

FORMAT, VERSION = "zoetrope.shot", 1
LARGEST_HEADER = 1 << 20
SEGMENT = 16
"""Frames per segment of latents and of video."""
Scalar = str | int | float | bool | None
CUE_REPR = re.compile(r"Cue\(frame=(\d+), said='([^']*)', fade=(\d+)\)")
"""A cue in the repr that version 0.1 stored for a setting by frame."""


@dataclass(frozen=True)
class State:
    """State of a shot between two frames."""

    frame: int
    """Number of the next frame; negative during warm-up."""
    queue: Tensor
    """`(places, c, h, w)` float32 on the CPU."""
    pending: Tensor
    """Finished latents of the incomplete segment `(p, c, h, w)`."""
    position: tuple[int, ...] = ()
    """Numbers by which the sampler finds its place again, where that of the next frame does not suffice."""


@dataclass(frozen=True)
class Sizes:
    """Sizes of a journal's tensors."""

    places: int
    segment: int
    """Frames per file of latents and of video."""
    latent: tuple[int, ...]
    """c h w"""


@dataclass(frozen=True)
class Journal:
    """The files of a shot."""

    folder: Path
    sizes: Sizes
    settings: Mapping[str, Scalar]
    """All settings that the latents depend on, except the length; tensors as digests."""
    made_with: Mapping[str, Scalar]
    """Device, precision, versions: a shot is continued bit for bit only if they are the same."""

    @classmethod
    def create(cls, folder: Path, sizes: Sizes, settings: Mapping[str, Scalar], made_with: Mapping[str, Scalar]) -> "Journal":
        folder.mkdir(parents=True)
        journal = cls(folder, sizes, dict(settings), dict(made_with))
        header = {
            "format": FORMAT, "version": VERSION, "settings": journal.settings, "made_with": journal.made_with,
            "sizes": {"places": sizes.places, "segment": sizes.segment, "latent": list(sizes.latent)},
        }  # fmt: skip
        write_whole(folder / "shot.json", json.dumps(header, indent=1).encode())
        return journal

    @classmethod
    def open(cls, folder: Path) -> "Journal":
        """Opens a shot's folder. Raises ValueError where it has no valid header."""
        path = folder / "shot.json"
        try:
            if path.stat().st_size > LARGEST_HEADER:
                raise ValueError(f"more than {LARGEST_HEADER} bytes")
            header = json.loads(path.read_text())
            if (header["format"], header["version"]) != (FORMAT, VERSION):
                raise ValueError(f"expected {FORMAT} {VERSION}, got {header['format']} {header['version']}")
            sizes = header["sizes"]
            numbers = [sizes["places"], sizes["segment"], *sizes["latent"]]
            if len(numbers) != 5 or not all(isinstance(n, int) and 0 < n < 1 << 20 for n in numbers):
                raise ValueError(f"impossible sizes {sizes}")
            checked = Sizes(sizes["places"], sizes["segment"], tuple(sizes["latent"]))
            return cls(folder, checked, _scalars(header["settings"]), _scalars(header["made_with"]))
        except (OSError, KeyError, TypeError, ValueError, RecursionError) as error:
            raise ValueError(
                f"{path}: not the header of a shot ({error}); delete the folder to start this shot again"
            ) from error

    def state(self) -> State | None:
        """Reads the saved state; None if none has been saved yet. Raises ValueError where the file is damaged."""
        path = self.folder / "state.safetensors"
        if not path.exists():
            return None
        shapes = {"queue": (self.sizes.places, *self.sizes.latent), "pending": (None, *self.sizes.latent)}
        tensors = read_tensors(path, shapes, self.sizes.places + self.sizes.segment)
        pending, frame = tensors["pending"], _frame_of(path, tensors)
        segments = max(0, frame) // self.sizes.segment
        if len(pending) != max(0, frame) % self.sizes.segment or not all(
            self.latents_path(k).exists() for k in range(segments)
        ):
            raise ValueError(f"{path}: does not match the files beside it; delete the folder {self.folder} to start again")
        return State(frame, tensors["queue"], pending, tuple(tensors.get("position", torch.zeros(0)).long().tolist()))

    def save(self, state: State) -> None:
        tensors = {"queue": state.queue, "pending": state.pending, "frame": torch.tensor(state.frame)}
        if state.position:
            tensors["position"] = torch.tensor(state.position)
        write_whole(self.folder / "state.safetensors", save({k: v.contiguous() for k, v in tensors.items()}))

    def close_segment(self, number: int, latents: Tensor) -> None:
        """Stores the latents of a full segment."""
        assert len(latents) == self.sizes.segment
        write_whole(self.latents_path(number), save({"latents": latents.contiguous()}))

    def latents(self, number: int) -> Tensor:
        """Reads the latents of a full segment `(segment, c, h, w)`. Raises ValueError where the file is damaged."""
        shape = (self.sizes.segment, *self.sizes.latent)
        return read_tensors(self.latents_path(number), {"latents": shape}, self.sizes.segment)["latents"]

    def first(self, count: int) -> Tensor:
        """The first `count` finished latents, or as many as there are `(n, c, h, w)`. Raises ValueError for a damaged file."""
        state, parts = self.state(), [torch.zeros(0, *self.sizes.latent)]
        for number in range(-(-count // self.sizes.segment)):
            if not self.latents_path(number).exists():
                parts += [state.pending] if state else []
                break
            parts.append(self.latents(number))
        return torch.cat(parts)[:count]

    def latents_path(self, number: int) -> Path:
        return self.folder / f"latents_{number:05}.safetensors"


def _as_typed(value: Scalar) -> Scalar:
    """A setting by frame as the text that users type; version 0.1 stored the repr of a Python object. Others are unchanged."""
    cues = CUE_REPR.findall(value) if isinstance(value, str) and value.startswith("Numbers(cues=(") else ()
    texts = [f"{frame}: {number}" + (f" ~{fade}" if fade != "0" else "") for frame, number, fade in cues]
    return value if not texts else texts[0].removeprefix("0: ") if len(texts) == 1 else " / ".join(texts)


def changed(before: Mapping[str, Scalar], now: Mapping[str, Scalar]) -> list[str]:
    """Settings that differ, as text: `cfg (7.0, now 8.0)`."""
    names = [name for name in {**now, **before} if before.get(name) != now.get(name)]
    return [f"{name}{_both(before.get(name), now.get(name))}" for name in names]


def _both(before: Scalar, now: Scalar) -> str:
    digests = any(isinstance(value, str) and value.startswith("sha256:") for value in (before, now))
    texts = ["none" if value in (None, "", "None") else value for value in (before, now)]
    return "" if digests else f" ({texts[0]}, now {texts[1]})"


def read_tensors(path: Path, shapes: Mapping[str, tuple[int | None, ...]], most: int) -> dict[str, Tensor]:
    """Reads and checks the tensors of one file. most: largest possible number of frames."""
    _, *latent = next(iter(shapes.values()))
    cap = most * 4 * int(torch.tensor(latent).prod()) + LARGEST_HEADER
    try:
        if path.stat().st_size > cap:
            raise ValueError(f"expected at most {cap} bytes, got {path.stat().st_size}")
        tensors = load(path.read_bytes())
        for name, shape in shapes.items():
            got = tensors[name]
            fits = got.ndim == len(shape) and all(side in (None, size) for side, size in zip(shape, got.shape, strict=True))
            if not fits or got.dtype != torch.float32 or not bool(got.isfinite().all()):
                raise ValueError(f"{name}: expected finite float32 of shape {shape}, got {got.dtype} {tuple(got.shape)}")
        return tensors
    except (OSError, KeyError, ValueError, SafetensorError) as error:
        raise ValueError(f"{path}: damaged ({error}); delete the folder {path.parent} to start this shot again") from error


def _frame_of(path: Path, tensors: Mapping[str, Tensor]) -> int:
    frame = tensors.get("frame")
    if frame is None or frame.dtype != torch.int64 or frame.ndim:
        raise ValueError(f"{path}: damaged (no frame number); delete the folder {path.parent} to start this shot again")
    return int(frame)


def _scalars(values: Any) -> dict[str, Scalar]:
    if not all(isinstance(value, Scalar) for value in dict(values).values()):
        raise ValueError("settings or environment with values other than text, numbers and booleans")
    return {name: _as_typed(value) for name, value in dict(values).items()}
