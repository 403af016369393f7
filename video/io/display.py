"""How a decoded frame is to be shown: colour matrix and range, shape of its pixels, turns and mirrors."""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from .av import pyav
from .picture import of_pixels

BT601, BT709, BT2020 = 5, 1, 9
"""Colour matrices as swscale numbers them."""
MATRICES = {1: BT709, 4: 4, 5: BT601, 6: BT601, 7: 7, 9: BT2020, 10: BT2020}
"""Colour matrices as files number them (ITU-T H.273, table 4) and as swscale does."""
UNSAID = (0, 2, 3)
FULL, LIMITED = 2, 1
BICUBIC = 4
HDR = {16: "PQ", 18: "HLG"}
"""Transfer characteristics (H.273, table 3) whose light has to be brought down for an ordinary screen."""
WIDE = {9: "BT.2020", 11: "DCI-P3", 12: "Display P3"}
"""Primaries (H.273, table 2) that hold colours which sRGB has not."""


def is_hd(width: int, height: int) -> bool:
    """Whether players take an untagged video of this size for BT.709 rather than BT.601."""
    return width >= 1280 or height > 576


@dataclass(frozen=True)
class Display:
    """How the frames of one video are shown."""

    matrix: int
    """Of swscale."""
    full: bool
    """Whether luma takes all levels, 0 to 255, rather than 16 to 235."""
    coded: tuple[int, int]
    """Width and height as they are coded."""
    shown: tuple[int, int, int, int]
    """Left, top, width and height of the clean aperture, in coded pixels."""
    size: tuple[int, int]
    """Width and height that this takes with square pixels, before it is turned."""
    turned: tuple[bool, bool, bool]
    """Rows and columns exchanged; then mirrored left to right; then upside down."""
    notes: tuple[str, ...] = ()
    """What is not applied, in words."""

    @property
    def upright(self) -> tuple[int, int]:
        """Width and height on the screen."""
        wide, tall = self.size
        return (tall, wide) if self.turned[0] else self.size


def display_of(stream: Any, frame: Any, aperture: tuple[int, int, int, int] | None) -> Display:
    """What stream and first frame say, and what players take for granted where they say nothing.

    aperture   left, top, width, height of the part to be shown; None: all of it
    """
    shown = aperture or (0, 0, frame.width, frame.height)
    wide, tall = shown[2:]
    pixel = getattr(stream, "sample_aspect_ratio", None) or 1
    if not 1 / 16 <= pixel <= 16:
        pixel = 1
    size = (_scaled(wide, pixel), tall) if pixel >= 1 else (wide, _scaled(tall, 1 / pixel))
    turned, slanted = _turns(frame)
    said = frame.colorspace
    matrix = MATRICES.get(said, BT709 if is_hd(frame.width, frame.height) else BT601)
    full = frame.color_range == FULL or frame.format.name.startswith("yuvj")
    notes = (*_notes(stream.codec_context), *slanted)
    if said not in MATRICES and said not in UNSAID:
        notes = (*notes, f"its colour matrix (number {said} of ITU-T H.273) is not known here: colours may be off")
    return Display(matrix, full, (frame.width, frame.height), shown, size, turned, notes)


def _scaled(side: int, by: Any) -> int:
    """A side stretched; an even one stays even, as encoders want it."""
    return max(1, round(side * by / 2) * 2 if side % 2 == 0 else round(side * by))


def _notes(codec: Any) -> tuple[str, ...]:
    light, wide = HDR.get(codec.color_trc), WIDE.get(codec.color_primaries)
    if light:
        return (f"it is HDR ({light}): its pictures are read without tone mapping and look flat; convert it to SDR first",)
    return (f"its colours are {wide}, read as sRGB: they look paler than meant; convert it to BT.709 first",) if wide else ()


def _turns(frame: Any) -> tuple[tuple[bool, bool, bool], tuple[str, ...]]:
    """From the display matrix, whose rows say where a step to the right and a step down lead (ISO/IEC 14496-12, 6.2.2)."""
    held = frame.side_data.get("DISPLAYMATRIX")
    if held is None:
        return (False, False, False), ()
    a, b, _, c, d, *_ = struct.unpack("<9i", bytes(held)[:36])
    exchanged = abs(b) + abs(c) > abs(a) + abs(d)
    right, down = (c, b) if exchanged else (a, d)
    crooked = min(abs(a) + abs(d), abs(b) + abs(c)) > 0.02 * max(abs(a) + abs(d), abs(b) + abs(c))
    notes = ("it is turned by less than a quarter, which is not done here; turn it first",) if crooked else ()
    return (exchanged, right < 0, down < 0), notes


def frame_converter(display: Display) -> Callable[[Any], Tensor]:
    """A function of a decoded frame that gives its picture `(3, h, w)` in [0, 1], as it is shown.

    Frames of another size than the first are stretched to it.
    """
    reformatter = pyav("reading a video").video.reformatter.VideoReformatter()
    left, top, wide, tall = display.shown
    across, down = (size / part for size, part in zip(display.size, (wide, tall), strict=True))
    size = (round(display.coded[0] * across), round(display.coded[1] * down))
    left, top = round(left * across), round(top * down)
    colours: dict[str, Any] = {
        "src_colorspace": display.matrix,
        "dst_colorspace": BT601 if display.matrix == BT709 else BT709,  # older PyAV does nothing where the two are the same
        "src_color_range": FULL if display.full else LIMITED,
        "dst_color_range": FULL,
    }

    def paint(frame: Any) -> Tensor:
        said = {} if frame.format.is_rgb or frame.colorspace == 0 else colours
        pixels = reformatter.reformat(frame, *size, format="rgb24", interpolation=BICUBIC, **said).to_ndarray()
        if size != display.size:
            pixels = pixels[top : top + display.size[1], left : left + display.size[0]]
        return _laid_out(pixels, display.turned)

    return paint


def _laid_out(pixels: Any, turned: tuple[bool, bool, bool]) -> Tensor:
    exchanged, mirrored, upturned = turned
    if exchanged:
        pixels = pixels.swapaxes(0, 1)
    if mirrored:
        pixels = pixels[:, ::-1]
    if upturned:
        pixels = pixels[::-1]
    return of_pixels(pixels)
