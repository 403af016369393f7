"""Live shots: a source that goes on, its record, and their replay."""
