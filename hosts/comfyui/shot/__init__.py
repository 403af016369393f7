"""Endless shots in ComfyUI."""
