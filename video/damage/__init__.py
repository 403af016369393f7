"""Synthetic damage by seed and frame number: that of old film, with exact masks, and second-order degradations."""
