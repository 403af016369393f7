"""The host's VAEs on clips of any length."""
