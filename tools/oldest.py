"""Prints the lower bounds of requirements.txt and of the `standalone` extra as exact versions, for `make oldest`."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]


def bounds() -> list[str]:
    """`einops==0.7` for `einops>=0.7`, of every package that an installation without ComfyUI needs."""
    extra = re.search(r"^standalone = \[(.*?)\]", (ROOT / "pyproject.toml").read_text(), re.M | re.S)
    assert extra
    asked = (ROOT / "requirements.txt").read_text().split() + re.findall(r'"([^"]+)"', extra.group(1))
    return [one.replace(">=", "==") for one in asked]


if __name__ == "__main__":
    print(" ".join(bounds()))
