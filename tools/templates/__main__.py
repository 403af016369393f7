"""Writes workflows/*.json: `python -m templates URL [URL ...]` in tools, with a server of every ComfyUI at these URLs."""

import json
import sys
import urllib.request
from pathlib import Path
from typing import Any

from . import WORKFLOWS
from .drawing import draw

FOLDER = Path(__file__).parents[2] / "workflows"


def fetched(url: str, path: str) -> Any:
    with urllib.request.urlopen(url + path, timeout=60) as answer:
        return json.load(answer)


def main(urls: list[str]) -> None:
    info = {fetched(url, "/system_stats")["system"]["comfyui_version"]: fetched(url, "/object_info") for url in urls}
    for workflow in WORKFLOWS:
        if workflow.host not in info:
            print(f"{workflow.name} left out: no server of ComfyUI {workflow.host}")
            continue
        graph = draw(workflow, info[workflow.host])
        (FOLDER / f"{workflow.name}.json").write_text(json.dumps(graph, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        print(workflow.name, len(graph["nodes"]), "nodes")


if __name__ == "__main__":
    main(sys.argv[1:])
