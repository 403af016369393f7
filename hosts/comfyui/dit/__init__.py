"""Video transformers of ComfyUI with a noise level per latent frame."""
