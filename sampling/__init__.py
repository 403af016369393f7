"""Maths on latents. Torch only; a model is any callable."""
