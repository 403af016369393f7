"""One home for the host's API, and schemas on hosts that differ."""

import importlib
import sys
from inspect import signature
from pathlib import Path

import pytest

pytestmark = pytest.mark.host

ROOT = Path(__file__).parents[3]


def test_nothing_else_of_the_pack_imports_the_hosts_api() -> None:
    importing = {
        path.relative_to(ROOT).as_posix()
        for room in ("nodes", "hosts")
        for path in (ROOT / room).rglob("*.py")
        if "from comfy_api" in path.read_text(encoding="utf-8")
    }
    assert importing == {"hosts/comfyui/api.py"}


def test_the_numbered_api_is_taken_and_a_host_without_it_gives_the_newest(monkeypatch: pytest.MonkeyPatch) -> None:
    from comfy_api import latest, v0_0_2
    from zoetrope.hosts.comfyui import api

    assert api.io is v0_0_2.io
    assert api.VideoFromFile is v0_0_2.InputImpl.VideoFromFile
    monkeypatch.setitem(sys.modules, "comfy_api.v0_0_2", None)
    try:
        importlib.reload(api)
        assert api.ComfyExtension is latest.ComfyExtension
        assert api.VideoFromFile is latest.InputImpl.VideoFromFile
    finally:
        monkeypatch.undo()
        importlib.reload(api)


def test_every_node_has_words_that_find_it_where_the_host_searches_them() -> None:
    from zoetrope.hosts.comfyui.api import io
    from zoetrope.nodes.aliases import ALIASES, words_of

    from locales import all_nodes

    schemas = [node.GET_SCHEMA() for node in all_nodes()]
    assert {schema.node_id for schema in schemas} == ALIASES.keys()
    searched = "search_aliases" in signature(io.Schema).parameters
    for schema in schemas:
        words = words_of(schema.node_id)
        assert words
        assert len(words) == len(set(words))
        assert all(word == word.lower().strip() for word in words), schema.node_id
        assert getattr(schema, "search_aliases", None) == (list(words) if searched else None)


def test_fields_that_a_host_lacks_are_left_out() -> None:
    from zoetrope.nodes.schema import known

    assert known(description="a", of_a_later_host=1) == {"description": "a"}
