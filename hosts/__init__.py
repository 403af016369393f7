"""Thin adapters: site -> the host's own module, its devices and dtypes, and how to undo. Hosts do not know each other."""
