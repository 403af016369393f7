"""Fixtures of this folder."""

import pytest
from tiny_training import Encoder
from zoetrope.training.demo.library import Library, build_library


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Library:
    return build_library(tmp_path_factory.mktemp("library") / "library.pt", Encoder(), "a", 6, 64, print)
