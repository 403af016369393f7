"""Edits: hooks that change a backbone while it runs."""
