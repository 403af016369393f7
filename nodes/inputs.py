"""Inputs that several nodes share, and a check of combos."""

from typing import Any

from ..hosts.comfyui.api import io

SCALES = ("scaled", "reference")


def chosen(name: str, value: str, options: Any) -> str:
    """Returns a combo's value, which the host does not check. Raises ValueError for an unknown option."""
    if value not in options:
        raise ValueError(f"{name}: expected one of {', '.join(options)}, got {value!r}")
    return value


def own_id(node: Any) -> Any:
    """Id of a running node in its graph; None where it is called from Python."""
    return getattr(node.hidden, "unique_id", None)


def workflow_id(node: Any) -> str:
    """Id of the workflow that a running node is in, from the request; empty where it has none."""
    info = getattr(node.hidden, "extra_pnginfo", None)
    graph = info.get("workflow") if isinstance(info, dict) else None
    return str(graph.get("id", "")) if isinstance(graph, dict) else ""


def strength_input(tooltip: str, **more: Any) -> Any:
    return io.Float.Input("strength", default=1.0, min=0.0, max=2.0, step=0.01, tooltip=tooltip, **more)


def range_inputs(what: str) -> tuple[Any, Any]:
    """Inputs `start` and `end`: the part of the sampling in which something acts."""
    share: dict[str, Any] = {"min": 0.0, "max": 1.0, "step": 0.01, "optional": True}
    return (
        io.Float.Input(
            "start", default=0.0, tooltip=f"Fraction of sampling at which {what} starts: 0 is the first step.", **share
        ),
        io.Float.Input("end", default=1.0, tooltip=f"Fraction of sampling at which {what} stops: 1 is the last step.", **share),
    )


def conditioning_fps_input(**more: Any) -> Any:
    tooltip = "Frame rate as conditioning of VideoCrafter and DynamiCrafter, not of the video file. 0: the model's default."
    return io.Float.Input("conditioning_fps", default=0.0, min=0.0, max=120.0, step=0.5, tooltip=tooltip, **more)


def scale_input(**more: Any) -> Any:
    tooltip = (
        "Latent scaling of VideoCrafter and DynamiCrafter. scaled: as in training; reference: none, as in FIFO-Diffusion's "
        "published sampler. Other models are not affected."
    )
    return io.Combo.Input("scaled_latents", options=list(SCALES), default=SCALES[0], tooltip=tooltip, **more)


def is_scaled(value: str) -> bool:
    """Whether `scale_input` is set to scaled."""
    return chosen("scaled_latents", value, SCALES) == SCALES[0]
