"""Autoencoders of pictures and of clips: networks, families and their files."""
