"""Files to the host's MODEL, CLIP and VAE."""
