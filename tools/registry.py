"""Files for the registry: the repository's full address, and pictures as PNG.

`python tools/registry.py https://github.com/OWNER/NAME` changes the address in every file;
`python tools/registry.py --pictures` draws docs/icon.png and docs/banner.png from the .svg files (chromium).
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
PICTURES = {"icon": (400, 400), "banner": (1680, 720)}
"""Width and height: a square of at most 400, and 21:9."""


def address() -> str:
    """`OWNER/NAME` of the repository, as pyproject.toml has it."""
    found = re.search(r'^Repository = "https://github\.com/([\w.-]+/[\w.-]+)"$', (ROOT / "pyproject.toml").read_text(), re.M)
    assert found, "pyproject.toml: expected Repository under [project.urls]"
    return found[1]


def places() -> list[str]:
    """Files of the repository that have its address."""
    command = ["git", "grep", "-lIE", "--untracked", rf"github(usercontent)?\.com/{re.escape(address())}"]
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split()


def move(new: str) -> None:
    """Replaces the repository's address in every file."""
    match = re.fullmatch(r"https://github\.com/([\w.-]+/[\w.-]+?)(\.git|/)?", new)
    if not match:
        raise SystemExit(f"expected an address such as https://github.com/OWNER/NAME, got {new!r}")
    old, files = address(), places()
    for name in files:
        text = (ROOT / name).read_text(encoding="utf-8")
        (ROOT / name).write_text(
            re.sub(rf"(github(usercontent)?\.com/){re.escape(old)}", rf"\g<1>{match[1]}", text), encoding="utf-8"
        )


def draw() -> None:
    """Draws the pictures."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    assert browser, "expected chromium or google-chrome on the PATH"
    for name, (width, height) in PICTURES.items():
        target, source = ROOT / "docs" / f"{name}.png", (ROOT / "docs" / f"{name}.svg").as_uri()
        options = ["--headless", "--no-sandbox", "--hide-scrollbars", "--default-background-color=00000000"]
        command = [browser, *options, f"--window-size={width},{height}", f"--screenshot={target}", source]
        subprocess.run(command, check=True, capture_output=True, timeout=120)


if __name__ == "__main__":
    draw() if sys.argv[1:] == ["--pictures"] else move(*sys.argv[1:2] or ["nothing"])
