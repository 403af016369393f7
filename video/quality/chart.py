"""Charts of a study without a plotting library: bars per change of time, and lines frame by frame."""

from collections.abc import Mapping, Sequence

from PIL import Image, ImageDraw, ImageFont

from .study import Result

WIDTH, ROW, LEFT, RIGHT, TITLE = 1100, 26, 250, 70, 54
MARKED = 24
"""Most points of a line that are also drawn as dots."""
LINES_HEIGHT = 260
PAPER, INK, FAINT = (250, 249, 246), (38, 38, 44), (206, 204, 198)
COLOURS = ((52, 101, 164), (214, 96, 52), (78, 140, 66))


def chart_of(results: Sequence[Result]) -> Image.Image:
    """Bars of the jump error with PSNR beside them; below, the jump error frame by frame of the first change."""
    vaes = list(dict.fromkeys(result.vae for result in results))
    changes = list(dict.fromkeys(result.change for result in results))
    group = ROW * len(vaes) + 10
    bars = TITLE + group * len(changes) + 20
    page = Image.new("RGB", (WIDTH, bars + LINES_HEIGHT + 90), PAPER)
    pen = _Pen(page)
    pen.text(20, 16, "Error of differences between neighbouring frames, in levels of 255 (PSNR beside)", size=20)
    top = max(result.jump for result in results) or 1.0
    for index, change in enumerate(changes):
        y = TITLE + group * index
        pen.text(LEFT - 14, y + (group - 10) / 2 - 8, change, right=True)
        for number, vae in enumerate(vaes):
            row = next(r for r in results if (r.change, r.vae) == (change, vae))
            length = (WIDTH - LEFT - RIGHT - 120) * row.jump / top
            above = y + ROW * number
            pen.draw.rectangle((LEFT, above + 3, LEFT + length, above + ROW - 5), fill=COLOURS[number % 3])
            pen.text(LEFT + length + 8, above + 4, f"{row.jump:.2f}   {row.psnr:.1f} dB")
    series = [[(n + 1.0, float(v)) for n, v in enumerate(r.jumps)] for r in results if r.change == changes[0]]
    _lines(pen, f"Frame by frame, {changes[0]}", "frame", series, bars)
    _legend(pen, vaes, page.height - 34)
    return page


def curves(title: str, across: str, series: Mapping[str, Sequence[tuple[float, float]]]) -> Image.Image:
    """Line chart of points (x, y), y from 0 on; across: label of the x axis."""
    page = Image.new("RGB", (WIDTH, LINES_HEIGHT + 130), PAPER)
    pen = _Pen(page)
    _lines(pen, title, across, list(series.values()), 16)
    _legend(pen, list(series), page.height - 34)
    return page


def stacked(pages: Sequence[Image.Image]) -> Image.Image:
    """Stacks charts vertically on one page."""
    page = Image.new("RGB", (WIDTH, sum(one.height for one in pages)), PAPER)
    top = 0
    for one in pages:
        page.paste(one, (0, top))
        top += one.height
    return page


def _lines(pen: "_Pen", title: str, across: str, series: Sequence[Sequence[tuple[float, float]]], top: int) -> None:
    bottom, height, width = top + LINES_HEIGHT, LINES_HEIGHT - 50, WIDTH - 120 - RIGHT
    pen.text(20, top, title, size=20)
    points = [point for one in series for point in one]
    highest = max((y for _, y in points), default=1.0) or 1.0
    low, high = (pick((x for x, _ in points), default=0.0) for pick in (min, max))
    for share in (0.0, 0.5, 1.0):
        y = bottom - height * share
        pen.draw.line((100, y, 100 + width, y), fill=FAINT)
        pen.text(90, y - 9, f"{highest * share:.3g}", right=True)
    for number, one in enumerate(series):
        line = [(100 + width * (x - low) / ((high - low) or 1), bottom - height * y / highest) for x, y in one]
        pen.draw.line(line, fill=COLOURS[number % 3], width=3, joint="curve")
        if len(line) <= MARKED:
            for x, y in line:
                pen.draw.ellipse((x - 5, y - 5, x + 5, y + 5), fill=COLOURS[number % 3])
    pen.text(100, bottom + 8, f"{low:g}")
    pen.text(100 + width / 2, bottom + 8, across)
    pen.text(100 + width, bottom + 8, f"{high:g}", right=True)


def _legend(pen: "_Pen", vaes: Sequence[str], y: int) -> None:
    x = 250
    for number, vae in enumerate(vaes):
        pen.draw.rectangle((x, y + 2, x + 18, y + 16), fill=COLOURS[number % 3])
        x = pen.text(x + 26, y, vae) + 30


class _Pen:
    def __init__(self, page: Image.Image):
        self.draw = ImageDraw.Draw(page)

    def text(self, x: float, y: float, words: str, size: int = 16, right: bool = False) -> float:
        """Draws text and returns the x of its end."""
        font = ImageFont.load_default(size)
        width = self.draw.textlength(words, font=font)
        self.draw.text((x - width if right else x, y), words, fill=INK, font=font)
        return x if right else x + width
