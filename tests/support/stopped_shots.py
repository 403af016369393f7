"""Shots of the cheap sampler."""

import pytest

pytest.importorskip("av")

FRAMES = 20
