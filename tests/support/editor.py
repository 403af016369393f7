"""The real frontend in headless Chromium, by the scripts of tests/e2e; skips where a machine has no browser."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import hosting
import pytest

LOOKS = [(renderer, theme) for renderer in ("litegraph", "vue") for theme in ("dark", "light")]
SCRIPTS = Path(__file__).parents[1] / "e2e"
WORKFLOWS = Path(__file__).parents[2] / "workflows"


def run_script(name: str, *arguments: object, seconds: float) -> None:
    """Runs `tests/e2e/<name>` with these arguments."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if not chromium or not shutil.which("node") or not (hosting.CACHE / "node" / "node_modules" / "playwright-core").is_dir():
        pytest.skip("needs chromium, node and playwright-core: `make e2e` installs the last where npm is at hand")
    environment = {**os.environ, "CHROMIUM": chromium, "PLAYWRIGHT_FROM": str(hosting.CACHE / "node")}
    command = ["node", str(SCRIPTS / name), *map(str, arguments)]
    subprocess.run(command, check=True, env=environment, timeout=seconds)


def pictures(otherwise: Path) -> Path:
    """Where screenshots go: $SCREENSHOTS, or a folder of the test's."""
    folder = Path(os.environ.get("SCREENSHOTS", otherwise))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def short_shot(path: Path, frames: int, prompts: str, name: str = "short") -> Path:
    """Workflow 03 with so many frames and these prompts. A name of its own keeps the host from using a cached output."""
    graph = json.loads((WORKFLOWS / "03_endless_shot_demo.json").read_text())
    (shot,) = [node for node in graph["nodes"] if node["type"] == "ZoetropeEndlessShot"]
    assert shot["widgets_values"][1:5] == [96, 8.0, 3.0, "recommended"]
    shot["widgets_values"][1:6] = [frames, 8.0, 3.0, "fast", f"zoetrope/{name}"]
    (words,) = [node for node in graph["nodes"] if node["type"] == "ZoetropePromptTimeline"]
    words["widgets_values"][0] = prompts
    path.write_text(json.dumps(graph))
    return path
