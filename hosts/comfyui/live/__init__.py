"""Live shots in ComfyUI."""
