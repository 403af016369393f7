"""Report of `make e2e` on one page. `report.py FOLDER` reads FOLDER/tests.xml and the screenshots beside it."""

import html
import sys
import xml.etree.ElementTree as ET
from collections import defaultdict
from pathlib import Path

import hosting

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem; background: #16242b; color: #f4f1e8 }
figure { display: inline-block; margin: 0 1rem 1rem 0; width: 30rem; vertical-align: top }
img { width: 100%; border-radius: 6px }
td { padding: 0 1rem 0 0; vertical-align: top }
.failed { color: #ff8a80 } .skipped { color: #ffd54f } .passed { color: #a5d6a7 } a { color: #9fc3cc }
"""


def outcomes(report: Path) -> list[tuple[str, str, str]]:
    """(test, passed | failed | skipped, why) of every test."""
    found = []
    for case in ET.parse(report).iter("testcase"):
        bad = next((child for child in case if child.tag in ("failure", "error")), None)
        reason = bad if bad is not None else case.find("skipped")
        word = "failed" if bad is not None else "passed" if reason is None else "skipped"
        name = f"{case.get('classname')}: {case.get('name')}"
        found.append((name, word, "" if reason is None else reason.get("message", "")))
    return found


def page(folder: Path) -> str:
    groups: dict[str, list[str]] = defaultdict(list)
    for path in sorted(folder.glob("*.png")):
        groups["-".join(path.stem.split("-")[:3])].append(path.stem)
    hosts = ", ".join(hosting.version(host) for host in hosting.found_hosts()) or "none found"
    rows = "".join(
        f"<tr class={word}><td>{word}<td>{html.escape(name)}<td>{html.escape(why[:300])}"
        for name, word, why in outcomes(folder / "tests.xml")
    )
    figures = "".join(f"<h2>{group}</h2>" + "".join(map(figure, stems)) for group, stems in groups.items())
    head = f"<!doctype html><meta charset=utf-8><title>Zoetrope: make e2e</title><style>{STYLE}</style>"
    return f"{head}<h1>ComfyUI: {hosts}</h1><table>{rows}</table>{figures}"


def figure(stem: str) -> str:
    picture = f"<a href={stem}.png><img loading=lazy src={stem}.png></a>"
    return f"<figure>{picture}<figcaption>{stem}</figcaption></figure>"


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    if not (folder / "tests.xml").is_file():
        sys.exit("no report: the tests did not run")
    (folder / "index.html").write_text(page(folder), encoding="utf-8")
    tests = outcomes(folder / "tests.xml")
    for name, word, why in tests:
        if word == "skipped":
            print(f"skipped: {name}: {why}")
    print(f"{len(list(folder.glob('*.png')))} screenshots and {len(tests)} tests: {folder / 'index.html'}")
