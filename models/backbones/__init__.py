"""Networks that edits are installed in, and their named places."""
