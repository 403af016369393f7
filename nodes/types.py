"""Types of the pack's own links between nodes."""

from ..hosts.comfyui.api import io

Motion = io.Custom("ZOETROPE_MOTION")
"""A loaded motion module: `hosts.comfyui.motion.apply.HostMotion`."""

Settings = io.Custom("ZOETROPE_MOTION_SETTINGS")
"""Finer control of a motion module: `hosts.comfyui.motion.apply.Settings`."""

Projector = io.Custom("ZOETROPE_PROJECTOR")
"""A loaded image projector: `hosts.comfyui.conditioning.image_prompt.HostProjector`."""

KeyframesType = io.Custom("ZOETROPE_KEYFRAMES")
"""Pictures at frames of a long shot: `hosts.comfyui.sampling.known.Keyframes`."""

AnchorType = io.Custom("ZOETROPE_ANCHOR")
"""Image prompt from a long shot's own frames: `hosts.comfyui.conditioning.anchor.Anchor`."""

QueueType = io.Custom("ZOETROPE_QUEUE")
"""Queue settings of a long shot: `hosts.comfyui.sampling.fifo.QueueSettings`."""
