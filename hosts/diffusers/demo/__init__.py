"""The embedded model on diffusers."""
