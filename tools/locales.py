"""Texts for translation: names and tooltips of every node, in the layout of the frontend's `nodeDefs.json`.

`python tools/locales.py` writes locales/en/nodeDefs.json from the nodes' own schemas; the other languages are
written by people, and a test counts what they lack.
"""

import asyncio
import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
LOCALES = ROOT / "locales"
SPECIAL = set("{}@|%")
"""Characters that are syntax in the frontend's message compiler."""


def node_definitions(nodes: list[Any]) -> dict[str, Any]:
    """Node id -> display name, description, inputs by id and outputs by number, each with name and tooltip."""
    return {node.GET_SCHEMA().node_id: _of(node.GET_SCHEMA()) for node in nodes}


def _of(schema: Any) -> dict[str, Any]:
    named = {one.id: {"name": one.id, "tooltip": one.tooltip} for one in schema.inputs}
    made = {str(at): {"name": one.display_name, "tooltip": one.tooltip} for at, one in enumerate(schema.outputs)}
    return {"display_name": schema.display_name, "description": schema.description, "inputs": named, "outputs": made}


def leaves(tree: Any, path: tuple[str, ...] = ()) -> dict[tuple[str, ...], str]:
    """Every text of a locale file, by its path."""
    if isinstance(tree, dict):
        return {where: text for key, value in tree.items() for where, text in leaves(value, (*path, key)).items()}
    return {path: tree}


def read(language: str, name: str) -> Any:
    return json.loads((LOCALES / language / f"{name}.json").read_text(encoding="utf-8"))


def all_nodes() -> list[Any]:
    from zoetrope.nodes import comfy_entrypoint

    return asyncio.run(asyncio.run(comfy_entrypoint()).get_node_list())


if __name__ == "__main__":
    import hosting
    from naming import name_the_checkout

    host, why_not = hosting.enter_host()
    assert host, why_not
    name_the_checkout()
    target = LOCALES / "en" / "nodeDefs.json"
    target.write_text(json.dumps(node_definitions(all_nodes()), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"{len(leaves(read('en', 'nodeDefs')))} texts in {target.relative_to(ROOT)}")
