"""Writes workflows/*.json and subgraphs/*.json: `python -m templates [URL ...]` in tools.

URLs are those of running servers, one of every ComfyUI; without any, the ComfyUIs that are found are started in turn.
"""

import json
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from . import WORKFLOWS
from .blueprints import BLUEPRINTS, made
from .drawing import draw

ROOT = Path(__file__).parents[2]


def fetched(url: str, path: str) -> Any:
    with urllib.request.urlopen(url + path, timeout=60) as answer:
        return json.load(answer)


def served() -> Iterator[str]:
    """The URL of each found ComfyUI while it runs."""
    import hosting
    from real_server import serve

    for host in hosting.found_hosts():
        with TemporaryDirectory() as folder, serve(host, Path(folder)) as server:
            yield server.url


def write(folder: str, name: str, graph: dict[str, Any]) -> None:
    (ROOT / folder).mkdir(exist_ok=True)
    (ROOT / folder / f"{name}.json").write_text(json.dumps(graph, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def main(urls: list[str]) -> None:
    info = {}
    for url in urls or served():
        info[fetched(url, "/system_stats")["system"]["comfyui_version"]] = fetched(url, "/object_info")
    for workflow in WORKFLOWS:
        if workflow.host not in info:
            print(f"{workflow.name} left out: no server of ComfyUI {workflow.host}")
            continue
        graph = draw(workflow, info[workflow.host])
        write("workflows", workflow.name, graph)
        print(workflow.name, len(graph["nodes"]), "nodes")
    for blueprint in BLUEPRINTS:
        if blueprint.inside.host in info:
            write("subgraphs", blueprint.title, made(blueprint, info[blueprint.inside.host]))


if __name__ == "__main__":
    main(sys.argv[1:])
