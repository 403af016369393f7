"""Networks that are edited, and the named places they have."""
