"""Networks and files: the temporal layers, where they go, and the published families they come in."""
