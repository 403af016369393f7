"""VAEs of the host on clips of any length."""
