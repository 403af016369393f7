"""Types of the pack's own links between nodes."""

from comfy_api.latest import io

Motion = io.Custom("ZOETROPE_MOTION")
"""A motion module in the host's hands: `hosts.comfyui.HostMotion`."""

Settings = io.Custom("ZOETROPE_MOTION_SETTINGS")
"""Finer control of a motion module: `hosts.comfyui.Settings`."""

Projector = io.Custom("ZOETROPE_PROJECTOR")
"""An image projector in the host's hands: `hosts.comfyui_picture.HostProjector`."""

QueueSettings = io.Custom("ZOETROPE_QUEUE")
"""How a long shot is sampled: `hosts.comfyui_fifo.Queue`."""
