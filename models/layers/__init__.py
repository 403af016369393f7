"""Temporal layers and their parts."""
