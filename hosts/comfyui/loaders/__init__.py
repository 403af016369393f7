"""Loaders of files as the host's MODEL, CLIP and VAE."""
