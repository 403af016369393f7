"""Turns image Stable Diffusion checkpoints into video models, as ComfyUI nodes."""

from importlib.util import find_spec

WEB_DIRECTORY = "./web"

if find_spec("comfy_api"):  # absent where the pack is used without ComfyUI: the tests, a notebook with diffusers
    from .nodes import comfy_entrypoint as comfy_entrypoint
