"""ComfyUI as host."""
