"""Image and video autoencoders: networks, families, loading."""
