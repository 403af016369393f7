"""What an artist finds at every node: tooltips, a help page, a picture, a workflow, two languages; and graphs that last."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from locales import SPECIAL, all_nodes, leaves, node_definitions, read

pytestmark = pytest.mark.host

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "web" / "docs"
FROZEN = Path(__file__).parent / "frozen.json"
SECTIONS = ["When to use it", "Inputs", "Outputs", "Limits", "Time and memory"]
KINDS = {"INT", "FLOAT", "STRING", "BOOLEAN", "COMBO"}


def schemas() -> list[Any]:
    return [node.GET_SCHEMA() for node in all_nodes()]


def test_every_input_and_output_has_a_tooltip() -> None:
    counted = 0
    for schema in schemas():
        assert schema.description, schema.node_id
        for one in (*schema.inputs, *schema.outputs):
            assert one.tooltip, (schema.node_id, getattr(one, "id", one.display_name))
            counted += 1
    assert counted > 200


def test_every_seed_declares_whether_it_changes_after_a_run() -> None:
    """Without this the frontend adds a widget to inputs of this name, and the values of saved graphs move by one."""
    seeds = [(schema.node_id, one) for schema in schemas() for one in schema.inputs if one.id in ("seed", "noise_seed")]
    assert len(seeds) >= 5
    assert [name for name, one in seeds if one.control_after_generate is None] == []


def test_every_node_has_a_help_page_of_the_same_form_with_a_picture() -> None:
    pages = {path.stem for path in DOCS.glob("*.md")}
    assert pages == {schema.node_id for schema in schemas()}
    for schema in schemas():
        text = (DOCS / f"{schema.node_id}.md").read_text(encoding="utf-8")
        assert text.startswith(f"# {schema.display_name}\n"), schema.node_id
        assert re.findall(r"^## (.+)$", text, re.MULTILINE) == SECTIONS, schema.node_id
        assert all(f"`{one.id}`" in text for one in schema.inputs), schema.node_id
        assert all(f"`{one.display_name}`" in text for one in schema.outputs), schema.node_id
        (picture,) = re.findall(r"^!\[[^\]]{8,}\]\((pictures/\w+\.jpg)\)$", text, re.MULTILINE)
        assert picture == f"pictures/{schema.node_id}.jpg"
        with Image.open(DOCS / picture) as image:
            assert image.width >= 300
    assert {path.stem for path in (DOCS / "pictures").iterdir()} == pages


def test_every_node_is_in_a_workflow() -> None:
    used = {node["type"] for path in (ROOT / "workflows").glob("*.json") for node in json.loads(path.read_text())["nodes"]}
    assert {schema.node_id for schema in schemas()} <= used


def test_the_english_locale_is_what_the_nodes_say() -> None:
    assert read("en", "nodeDefs") == node_definitions(all_nodes()), "run tools/locales.py"


@pytest.mark.parametrize("name", ["nodeDefs", "main", "settings"])
def test_every_text_is_there_in_both_languages(name: str) -> None:
    english, chinese = leaves(read("en", name)), leaves(read("zh", name))
    assert english.keys() == chinese.keys()
    for path, text in chinese.items():
        assert text.strip(), path
        assert not SPECIAL & set(text), f"{path}: the frontend takes {SPECIAL & set(text)} for syntax"
        assert not SPECIAL & set(english[path]), path
    tooltips = [path for path in english if path[-1] in ("tooltip", "description")]
    assert all(re.search("[\u4e00-\u9fff]", chinese[path]) for path in tooltips)


def test_the_settings_of_the_panels_are_those_that_are_translated() -> None:
    source = (ROOT / "web" / "zoetrope.js").read_text(encoding="utf-8")
    shown = {f"Zoetrope_Panels_{name}" for name in re.findall(r"panel\('(\w+)'", source)}
    assert shown == set(read("en", "settings")) == set(read("zh", "settings"))
    for text in leaves(read("en", "settings")).values():
        assert f"'{text}'" in source


def test_ids_inputs_and_outputs_stay_where_saved_graphs_look_for_them() -> None:
    """A saved graph knows widgets by their order and outputs by their number. What is new goes to the end of its group."""
    frozen = json.loads(FROZEN.read_text())
    now = {schema.node_id: shape_of(schema) for schema in schemas()}
    assert now == frozen, f"if graphs of artists still load, store this in {FROZEN.name}: {json.dumps(now)}"


def shape_of(schema: Any) -> dict[str, list[str]]:
    def name(one: Any) -> str:
        return f"{one.id}: {one.get_io_type()}"

    required = [name(one) for one in schema.inputs if not one.optional]
    optional = [name(one) for one in schema.inputs if one.optional]
    outputs = [f"{one.display_name}: {one.get_io_type()}" for one in schema.outputs]
    return {"required": required, "optional": optional, "outputs": outputs}
