"""Frames that arrive while a model works: sources, and the feed between source and model."""
