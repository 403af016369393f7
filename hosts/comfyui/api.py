"""ComfyUI's node API, by version number where the host has it: `latest` may change without notice."""

try:
    from comfy_api.v0_0_2 import ComfyExtension, InputImpl, Types, io, ui
except ImportError:
    from comfy_api.latest import ComfyExtension, InputImpl, Types, io, ui

VideoFromFile = InputImpl.VideoFromFile

__all__ = ["ComfyExtension", "InputImpl", "Types", "VideoFromFile", "io", "ui"]
