"""The embedded model in diffusers."""
