"""Motion modules on a MODEL."""
