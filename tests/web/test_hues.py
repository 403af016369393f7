"""A timeline's bars have the colour that a prompt names, and one that names none otherwise."""

import colorsys
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def hues(*prompts: str) -> list[str]:
    node = shutil.which("node")
    if not node:
        pytest.skip("needs node")
    command = [node, str(ROOT / "tests" / "web" / "hues.mjs"), str(ROOT / "web" / "zoetrope" / "hues.js")]
    done = subprocess.run(command, input=json.dumps([prompts]), capture_output=True, text=True, check=True, timeout=60)
    return json.loads(done.stdout)[0]


def rgb(colour: str) -> tuple[float, float, float]:
    hue, saturation, lightness = map(int, re.findall(r"\d+", colour))
    return colorsys.hls_to_rgb(hue / 360, lightness / 100, saturation / 100)


def test_a_bar_has_the_first_colour_that_its_prompt_names() -> None:
    red, green, blue = map(rgb, hues("a red circle on black", "a Green square", "blue, then red"))
    assert red[0] > 2 * max(red[1:])
    assert green[1] > 1.8 * max(green[0], green[2])
    assert blue[2] > 1.8 * blue[0]
    assert blue[2] > blue[1]


def test_other_prompts_are_grey_and_differ_from_their_neighbours() -> None:
    shown = hues("a dog", "a cat", "a dog", "reduced", "a bluebird", "")
    assert all(max(rgb(one)) - min(rgb(one)) < 0.15 for one in shown)
    assert shown[0] == shown[2]
    assert len(set(shown)) == 4  # of five prompts: the fifth begins anew
    assert all(one != other for one, other in zip(shown, shown[1:], strict=False))
