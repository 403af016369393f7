"""Files in the host's model folders, for the inputs of loaders."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import folder_paths

from ..hosts.comfyui.api import io
from ..models.formats.checkpoint import SAFETENSORS, TORCH

NOTHING = "(no file yet)"


@dataclass(frozen=True)
class ModelFolder:
    """One kind of files and its model folders; of files with the same name, the one in the first folder is used."""

    what: str
    folders: tuple[str, ...]
    own: tuple[str, ...]
    """Those of them that the pack registers; the others are the host's."""


MOTION = ModelFolder("motion module", ("animatediff_models", "zoetrope_motion"), ("animatediff_models", "zoetrope_motion"))
LORA = ModelFolder(
    "motion LoRA", ("animatediff_motion_lora", "zoetrope_motion_lora"), ("animatediff_motion_lora", "zoetrope_motion_lora")
)
IMAGE_LORA = ModelFolder("LoRA", ("loras",), ())
VAES = ModelFolder("VAE", ("vae", "checkpoints", "zoetrope_vae"), ("zoetrope_vae",))
VIDEO = ModelFolder("video checkpoint", ("checkpoints", "diffusion_models", "zoetrope_video"), ("zoetrope_video",))
PROJECTORS = ModelFolder(
    "image projector", ("ipadapter", "checkpoints", "zoetrope_projector"), ("ipadapter", "zoetrope_projector")
)
CONTROLS = ModelFolder("ControlNet", ("controlnet",), ())


def register_folders() -> None:
    """Registers the model folders with the host; folders that exist keep their paths."""
    for model_folder in (MOTION, LORA, VAES, VIDEO, PROJECTORS, CONTROLS):
        for name in model_folder.own:
            folder_paths.add_model_folder_path(name, os.path.join(folder_paths.models_dir, name))


def files_of(model_folder: ModelFolder) -> dict[str, str]:
    """Displayed file name -> model folder, for every file that the host lists."""
    suffixes = SAFETENSORS | TORCH
    found = {name: folder for folder in reversed(model_folder.folders) for name in folder_paths.get_filename_list(folder)}
    return {name: found[name] for name in sorted(found) if Path(name).suffix.lower() in suffixes}


def path_of(model_folder: ModelFolder, name: str) -> str:
    """Path of a file that the host lists. Raises ValueError for any other name, so that no other path is opened."""
    folder = files_of(model_folder).get(name)
    path = folder and folder_paths.get_full_path(folder, name)
    if not path:
        where = " or ".join(f"models/{folder}" for folder in model_folder.folders)
        raise ValueError(
            f"{model_folder.what} {name!r}: no such file. Put a .safetensors or .ckpt into {where}, then reload the page."
        )
    return path


def file_input(name: str, model_folder: ModelFolder, tooltip: str) -> Any:
    """A combo input with the files of a kind."""
    return io.Combo.Input(name, options=list(files_of(model_folder)) or [NOTHING], tooltip=tooltip)


def fingerprint(model_folder: ModelFolder, name: str | None) -> Any:
    """Name, time and size of a file, for the host's cache; NaN (never equal) for a missing file."""
    try:
        status = os.stat(path_of(model_folder, name or ""))
    except (ValueError, OSError):
        return float("nan")
    return [name, status.st_mtime_ns, status.st_size]
