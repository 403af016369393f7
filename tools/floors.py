"""Draws docs/architecture.svg: the rooms of the pack on their floors, from the table of tests/test_layers.py.

`python tools/floors.py`. A room stands above every room that it may import; columns follow the order of the table.
"""

import html
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from test_layers import MAY_IMPORT, lets_in, room_of, sources  # noqa: E402

WIDTH, HEIGHT, GAP, MARGIN = 190, 74, 14, 24
COLOURS = {
    "nodes": "#fde7c8", "cli": "#fde7c8", "hosts": "#d8ead3", "training": "#fff4d6", "demo": "#fff4d6", "shots": "#f6d9dd",
    "video": "#f6d9dd", "models": "#cfe0f5", "sampling": "#e6dbf2",
}  # fmt: skip


def below(room: str) -> set[str]:
    """Packages that a package may import."""
    modules = {room_of(module): module for module in sources()}
    return {
        other
        for target in MAY_IMPORT[room].split()
        for other, module in modules.items()
        if other != room and (lets_in(target, module) or other == target)
    }


def floors() -> list[list[str]]:
    """Levels of packages, lowest first, without packages that have sub-packages only."""
    full = {room_of(module) for module, path in sources().items() if path.name != "__init__.py"}
    rooms = [room for room in MAY_IMPORT if room in full]
    height: dict[str, int] = {}

    def of(room: str) -> int:
        if room not in height:
            height[room] = 1 + max((of(other) for other in below(room) if other in full), default=-1)
        return height[room]

    return [[room for room in rooms if of(room) == floor] for floor in range(1 + max(map(of, rooms)))]


def files_of(room: str) -> list[str]:
    """Names of the files directly in a package."""
    parts = [module.rpartition(".") for module, path in sources().items() if path.name != "__init__.py"]
    return sorted(name for parent, _, name in parts if parent == room)


def box(room: str, x: int, y: int) -> str:
    names, lines = files_of(room), [""]
    for name in names:
        if len(lines[-1]) + len(name) > 30:
            lines.append("")
        lines[-1] += ("" if not lines[-1] else ", ") + name
    lines = lines[:2] + (["..."] if len(lines) > 2 else [])
    text = "".join(
        f'<text x="{x + 10}" y="{y + 38 + 14 * n}" font-size="11" fill="#33415c">{html.escape(line)}</text>'
        for n, line in enumerate(lines)
    )
    return (
        f'<rect x="{x}" y="{y}" width="{WIDTH}" height="{HEIGHT}" rx="8" fill="{COLOURS[room.partition(".")[0]]}" '
        f'stroke="#33415c"/><text x="{x + 10}" y="{y + 20}" font-size="13" font-weight="bold" fill="#1b2436">'
        f"{html.escape(room.replace('.', '/'))}</text>{text}"
    )


def picture() -> str:
    drawn = [floor for floor in floors() if floor]
    width = 2 * MARGIN + max(len(floor) for floor in drawn) * (WIDTH + GAP) - GAP
    height = 2 * MARGIN + len(drawn) * (HEIGHT + GAP) - GAP + 30
    parts = []
    for number, floor in enumerate(reversed(drawn)):
        y = MARGIN + number * (HEIGHT + GAP)
        start = (width - len(floor) * (WIDTH + GAP) + GAP) // 2
        parts += [box(room, start + n * (WIDTH + GAP), y) for n, room in enumerate(floor)]
    parts.append(
        f'<text x="{MARGIN}" y="{height - 18}" font-size="12" fill="#54627d">A room imports only what lies on floors below '
        "it; tests/test_layers.py has the table.</text>"
    )
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
    return (
        head
        + f'font-family="Helvetica, Arial, sans-serif"><rect width="{width}" height="{height}" fill="#ffffff"/>'
        + ("".join(parts) + "</svg>\n")
    )


if __name__ == "__main__":
    (ROOT / "docs" / "architecture.svg").write_text(picture())
