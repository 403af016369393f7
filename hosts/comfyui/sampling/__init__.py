"""Sampling through the host's guiders: rounds, queue, windows."""
