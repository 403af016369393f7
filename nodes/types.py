"""Types of the pack's own links between nodes."""

from ..hosts.comfyui.api import io

Motion = io.Custom("ZOETROPE_MOTION")
"""A motion module in the host's hands: `hosts.comfyui.motion.apply.HostMotion`."""

Settings = io.Custom("ZOETROPE_MOTION_SETTINGS")
"""Finer control of a motion module: `hosts.comfyui.motion.apply.Settings`."""

Projector = io.Custom("ZOETROPE_PROJECTOR")
"""An image projector in the host's hands: `hosts.comfyui.conditioning.image_prompt.HostProjector`."""

QueueType = io.Custom("ZOETROPE_QUEUE")
"""How a long shot is sampled: `hosts.comfyui.sampling.fifo.QueueSettings`."""
