"""The editor's panels, acted upon in the real browser, and the language of the nodes."""

import json
from pathlib import Path
from typing import Any

import pytest
from editor import pictures, run_script, short_shot
from real_server import Server

from locales import read

pytestmark = [pytest.mark.e2e, pytest.mark.host]

FOLDER = Path(__file__).parents[2] / "workflows"
SHOT = "0: a red circle moving right on black\n24: a blue circle moving right on black ~6"
LOOK = {"0.3.64": ("litegraph", "dark")}


def test_an_artist_works_with_the_panels(page_server: Server, tmp_path: Path) -> None:
    renderer, theme = LOOK.get(page_server.version, ("vue", "light"))
    shots = pictures(tmp_path) / f"panels-{page_server.version}-{renderer}-{theme}"
    workflow, plan = short_shot(tmp_path / "shot.json", 48, SHOT), FOLDER / "15_plan_a_long_shot_demo.json"
    run_script("panels.mjs", page_server.url, tmp_path / "out.json", shots, renderer, theme, workflow, plan, seconds=900)
    seen = json.loads((tmp_path / "out.json").read_text())
    told = seen["told"]
    assert not [error for error in seen["errors"] if "zoetrope" in error.lower()]
    check_timeline(told)
    check_filmstrip(told)
    assert [line.split("\n")[0] for line in told["plan"]] == ["Time", "Disk", "Memory", "Graphics card"]
    assert "a frame" in told["plan"][0]
    assert "free" in told["plan"][1]


def check_timeline(told: dict[str, Any]) -> None:
    red, blue = "0: a red circle moving right on black", "a blue circle moving right on black"
    assert told["at first"] == f"{red}\n24: {blue} ~6"
    assert told["cut dragged a quarter to the left"] == f"{red}\n12: {blue} ~6"
    assert told["fade dragged longer by an eighth"] == f"{red}\n12: {blue} ~12"
    assert told["cut moved by keys"] == f"{red}\n6: {blue} ~12"
    assert told["fade taken away by Home"] == f"{red}\n6: {blue}"
    typed = f"{red}\n6: {blue}\n36: a green circle moving right on black at 8 fps ~4"
    assert told["a prompt typed"] == typed
    assert told["bars"] == [red[3:], blue, "a green circle moving right on black at 8 fps"]
    assert sorted(slider[:2] for slider in told["sliders"]) == [["cut", "36"], ["cut", "6"], ["fade", "0"], ["fade", "4"]]
    assert "Frame 6 begins: a blue circle" in told["sliders"][0][2]
    assert told["fault"].startswith("Line 3, column 1: expected a frame number and a colon")
    added = told["added by a double click"].split("\n")
    frames = [int(line.split(":")[0]) for line in added]
    assert frames == [0, 6, pytest.approx(9.6, abs=1), 36]  # a fifth of 48 frames, to the pixel
    assert told["removed by Delete"].split("\n")[1:] == added[2:]
    assert told["loaded again"] == told["removed by Delete"]
    before, after = (json.loads(told[name])["nodes"] for name in ("saved", "reloaded"))
    # nodes without widgets have no such key in newer frontends
    assert [node.get("widgets_values") for node in before] == [node.get("widgets_values") for node in after]


def check_filmstrip(told: dict[str, Any]) -> None:
    assert "of 48" in told["running"]
    assert "Press Run to resume" in told["stopped"]
    assert "resumed after" in told["resumed"]
    assert told["done"].startswith("Done: 48 frames, the first ")
    numbers = [int(number) for number in told["frames"] if number.isdigit()]
    assert numbers == sorted(numbers)
    assert numbers[-1] == 47
    assert {int(number) for number in told["kept"] if number.isdigit()} <= set(numbers)  # what was seen stays on the strip
    assert min(told["pictures"]) == 256
    last = int(told["kept"][-1])
    assert told["enlarged"] == [f"frame {last}", f"frame {numbers[numbers.index(last) + 1]}"]
    assert told["closed"] == 0


def test_the_editor_speaks_chinese(page_server: Server, tmp_path: Path) -> None:
    shots = pictures(tmp_path) / f"chinese-{page_server.version}"
    workflow = FOLDER / "03_endless_shot_demo.json"
    run_script("language.mjs", page_server.url, tmp_path / "out.json", shots, "zh", workflow, seconds=240)
    told = json.loads((tmp_path / "out.json").read_text())
    chinese = read("zh", "nodeDefs")["ZoetropeEndlessShot"]
    assert told["title"] == chinese["display_name"]
    assert not told["title"].isascii()
    assert told["category"] == f"Zoetrope/{read('zh', 'main')['nodeCategories']['Long shot']}"
    assert told["labels"] == {name: one["name"] for name, one in chinese["inputs"].items() if name in told["labels"]}
    assert told["waiting"] in (FOLDER.parent / "web" / "zoetrope" / "words.js").read_text(encoding="utf-8")
    assert not told["waiting"].isascii()
    assert "Generates a shot of any length" in told["help"]
    ((address, width),) = told["pictures"]
    assert address.endswith("/docs/pictures/ZoetropeEndlessShot.jpg")
    assert width > 300
