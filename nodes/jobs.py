"""Inputs and outputs of nodes that write a video file from a video."""

from typing import Any, cast

from comfy_execution.graph_utils import ExecutionBlocker

from ..hosts.comfyui.api import VideoFromFile, io, ui
from ..hosts.comfyui.jobs.job import FinishedStage, Job


def file_inputs(prefix: str, fps: str) -> list[Any]:
    return [
        io.Float.Input("fps", default=0.0, min=0.0, max=480.0, step=0.01, tooltip=fps),
        io.String.Input("filename_prefix", default=prefix, tooltip="Folder and name in ComfyUI's output."),
    ]


def output_of(made: FinishedStage) -> io.NodeOutput:
    """Node output with a finished file as VIDEO, and a preview below the node."""
    saved = ui.SavedResult(made.path.name, made.subfolder, io.FolderType.output)
    return io.NodeOutput(VideoFromFile(str(made.path)), ui=ui.PreviewVideo([saved]))


def plan_output(job: Job, text: str) -> io.NodeOutput:
    """Node output with a plan as text below the node; nodes behind it are not executed."""
    job.node_progress.show_text(text)
    return io.NodeOutput(ExecutionBlocker(None), ui=cast(Any, ui.PreviewText(text)))


def plan_input() -> Any:
    return io.Boolean.Input(
        "plan_only", default=False, optional=True,
        tooltip="Estimate time, memory and disk space from a few timed model calls, without making the video.",
    )  # fmt: skip


def needed(name: str, value: Any) -> Any:
    """Raises ValueError for None, which loaders output for parts that a file does not contain."""
    if value is None:
        raise ValueError(f"{name}: the loaded file contains none; connect one here or to its loader")
    return value


def seed_input() -> Any:
    return io.Int.Input(
        "seed", default=0, min=0, max=2**64 - 2, control_after_generate=False,
        tooltip="Noise seed. Stays fixed between runs, so that finished stages are reused.",
    )  # fmt: skip


def window_input(default: int, most: int, tooltip: str) -> io.Int.Input:
    """Input `window`; where the default is 0, 0 means the length of training."""
    return io.Int.Input("window", default=default, min=min(default, 1), max=most, optional=True, tooltip=tooltip)


def to_a_file() -> dict[str, Any]:
    """Schema fields of nodes that write a video file."""
    return {
        "outputs": [io.Video.Output(display_name="video", tooltip="Video file. Save Video makes a copy.")],
        "hidden": [io.Hidden.unique_id],
        "is_output_node": True,
    }


def overlap_input(default: int) -> io.Int.Input:
    return io.Int.Input(
        "overlap", default=default, min=0, max=128, optional=True,
        tooltip="Frames shared by neighbouring windows, blended at every step.",
    )  # fmt: skip


def scene_cut_input(effect: str) -> io.Float.Input:
    tooltip = f"Colour difference that counts as a cut. {effect} 0: no cut detection."
    return io.Float.Input("scene_cut", default=0.3, min=0.0, max=1.0, step=0.01, optional=True, tooltip=tooltip)
