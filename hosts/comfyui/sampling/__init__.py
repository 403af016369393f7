"""Sampling through the host's guiders: rounds, FIFO, windows."""
