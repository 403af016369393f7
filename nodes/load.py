"""The Load shelf: files from the model folders."""

import os
from pathlib import Path
from typing import Any

import folder_paths
from comfy_api.latest import io

from ..hosts import comfyui, comfyui_demo
from ..models.checkpoint import SAFETENSORS, TORCH
from .types import Motion

FOLDERS = ("animatediff_models", "zoetrope_motion")
"""Model folders that hold motion modules: the one everybody has them in already, and our own."""

NOTHING = "(no file yet)"


def register_folders() -> None:
    """Tells the host about the model folders; those it knows already keep their paths."""
    for name in FOLDERS:
        folder_paths.add_model_folder_path(name, os.path.join(folder_paths.models_dir, name))


def motion_files() -> dict[str, str]:
    """File name as shown -> model folder, for every motion file the host can see."""
    suffixes = SAFETENSORS | TORCH
    found = {name: folder for folder in reversed(FOLDERS) for name in folder_paths.get_filename_list(folder)}
    return {name: found[name] for name in sorted(found) if Path(name).suffix.lower() in suffixes}


def motion_path(name: str) -> str:
    """The path of a file that the host lists. Raises ValueError for any other name: paths come from the host only."""
    folder = motion_files().get(name)
    path = folder and folder_paths.get_full_path(folder, name)
    if not path:
        where = " or ".join(f"models/{folder}" for folder in FOLDERS)
        raise ValueError(
            f"motion module {name!r}: no such file. Put a .safetensors or .ckpt into {where}, then reload the page."
        )
    return path


class LoadMotionModule(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="ZoetropeLoadMotionModule",
            display_name="Load Motion Module",
            category="Zoetrope/Load",
            description="Loads temporal layers. What kind they are is read off the file itself, never off its name.",
            inputs=[
                io.Combo.Input(
                    "motion_name",
                    options=list(motion_files()) or [NOTHING],
                    tooltip="A motion module in models/animatediff_models or models/zoetrope_motion.",
                ),
            ],
            outputs=[Motion.Output(display_name="motion", tooltip="The motion module; connect it to Apply Motion Module.")],
        )

    @classmethod
    def fingerprint_inputs(cls, motion_name: str) -> Any:
        """The same name with another file behind it is another module."""
        try:
            status = os.stat(motion_path(motion_name))
        except (ValueError, OSError):
            return float("nan")
        return [motion_name, status.st_mtime_ns, status.st_size]

    @classmethod
    def execute(cls, motion_name: str) -> io.NodeOutput:
        return io.NodeOutput(comfyui.load(motion_path(motion_name)))


class LoadDemoModel(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="ZoetropeLoadDemoModel",
            display_name="Load Demo Model",
            category="Zoetrope/Load",
            description=(
                "The tiny text-to-video model that comes with Zoetrope: nothing to download. It films one coloured shape, for "
                "example: a red circle moving right on black at 8 fps. 64x64 pixels, 16 frames."
            ),
            inputs=[],
            outputs=[
                io.Model.Output(display_name="model", tooltip="The image model; motion comes with Apply Motion Module."),
                io.Clip.Output(
                    display_name="clip", tooltip="Knows colours, shapes, motions and backgrounds; see the help page."
                ),
                io.Vae.Output(display_name="vae", tooltip="For Decode Video and Encode Video."),
                Motion.Output(display_name="motion", tooltip="The motion module; connect it to Apply Motion Module."),
            ],
        )

    @classmethod
    def execute(cls) -> io.NodeOutput:
        demo = comfyui_demo.load_demo()
        return io.NodeOutput(demo.model, demo.clip, demo.vae, demo.motion)


NODES: list[type[io.ComfyNode]] = [LoadMotionModule, LoadDemoModel]
