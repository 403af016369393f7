"""A workflow as a picture: its title, its groups and nodes, its wires. For graphs that need files of one's own to be run."""

from typing import Any

from PIL import Image, ImageDraw, ImageFont

from .wires import wire_of

SIZE, MARGIN, HEAD = (960, 540), 36, 110
GROUND, GROUP, NODE, OURS, TEXT, QUIET = "#16242b", "#1d3440", "#3a4046", "#355a5a", "#f4f1e8", "#9fc3cc"
WIRES = {
    "MODEL": "#b39ddb", "CLIP": "#ffd500", "VAE": "#ff6e6e", "CONDITIONING": "#ffa931", "LATENT": "#ff9cf9", "IMAGE": "#64b5f6",
    "VIDEO": "#8fcf74", "CONTROL_NET": "#a5d6a7", "CLIP_VISION": "#a8dadc",
}  # fmt: skip


def poster(graph: dict[str, Any]) -> Image.Image:
    """graph: a workflow in the editor's format."""
    nodes = {node["id"]: node for node in graph["nodes"] if node["type"] != "MarkdownNote"}
    (note,) = [node["widgets_values"][0] for node in graph["nodes"] if node["type"] == "MarkdownNote"]
    image = Image.new("RGB", SIZE, GROUND)
    draw = ImageDraw.Draw(image)
    draw.text((MARGIN, 30), note.splitlines()[0].removeprefix("## "), TEXT, _font(38))
    place, scale = _fit(graph)
    for group in graph["groups"]:
        x, y, width, height = group["bounding"]
        draw.rounded_rectangle((*place(x, y), *place(x + width, y + height)), 6, GROUP)
        draw.text(place(x + 10, y + 6), group["title"], QUIET, _font(max(9, round(30 * scale))))
    for link in graph["links"]:
        draw.line([place(*point) for point in wire_of(graph, link)], WIRES.get(link[5], "#9aa5ab"), 2, "curve")
    for node in nodes.values():
        (x, y), (width, height) = node["pos"], node["size"]
        draw.rounded_rectangle(
            (*place(x, y - 30), *place(x + width, y + height)), 5, OURS if "Zoetrope" in node["type"] else NODE
        )
        _title(draw, node["title"], place(x + 10, y - 22), (width - 20) * scale, max(9, round(30 * scale)))
    return image


def _fit(graph: dict[str, Any]) -> Any:
    """(place of a point of the graph on the picture, scale)."""
    boxes = [group["bounding"] for group in graph["groups"]]
    left, right = min(x for x, *_ in boxes), max(x + width for x, _, width, _ in boxes)
    top = min([y for _, y, *_ in boxes] + [knot["pos"][1] for knot in graph["extra"]["reroutes"]])
    bottom = max(y + height for _, y, _, height in boxes)
    room = (SIZE[0] - 2 * MARGIN, SIZE[1] - HEAD - MARGIN)
    scale = min(room[0] / (right - left), room[1] / (bottom - top))
    start = (SIZE[0] - (right - left) * scale) / 2, HEAD
    return (lambda x, y: (start[0] + (x - left) * scale, start[1] + (y - top) * scale)), scale


def _title(draw: ImageDraw.ImageDraw, words: str, at: tuple[float, float], room: float, size: int) -> None:
    """In as many lines as it takes."""
    lines: list[str] = [""]
    for word in words.split():
        longer = f"{lines[-1]} {word}".strip()
        if draw.textlength(longer, _font(size)) <= room or not lines[-1]:
            lines[-1] = longer
        else:
            lines.append(word)
    draw.multiline_text(at, "\n".join(lines), TEXT, _font(size), spacing=2)


def _font(size: int) -> Any:
    return ImageFont.load_default(size)
