"""The recipe of the embedded model: one stage per file in `stages/`."""
