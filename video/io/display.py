"""Conversion of decoded frames for display: colour matrix and range, pixel aspect ratio, rotation, mirroring."""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from .av import pyav
from .picture import of_pixels

BT601, BT709, BT2020 = 5, 1, 9
"""Numbers of colour matrices in swscale."""
MATRICES = {1: BT709, 4: 4, 5: BT601, 6: BT601, 7: 7, 9: BT2020, 10: BT2020}
"""Number of a colour matrix in files (ITU-T H.273, table 4) -> in swscale."""
UNSPECIFIED = (0, 2, 3)
FULL, LIMITED = 2, 1
BICUBIC = 4
HDR = {16: "PQ", 18: "HLG"}
"""Transfer characteristics (H.273, table 3) that need tone mapping for an SDR screen."""
WIDE = {9: "BT.2020", 11: "DCI-P3", 12: "Display P3"}
"""Primaries (H.273, table 2) with a wider gamut than sRGB."""


def is_hd(width: int, height: int) -> bool:
    """Whether players take an untagged video of this size for BT.709 rather than BT.601."""
    return width >= 1280 or height > 576


@dataclass(frozen=True)
class Display:
    """Display properties of the frames of one video."""

    matrix: int
    """Colour matrix, as in swscale."""
    full: bool
    """Whether luma is full range, 0 to 255, rather than 16 to 235."""
    coded: tuple[int, int]
    """Coded width and height."""
    visible: tuple[int, int, int, int]
    """Left, top, width and height of the clean aperture, in coded pixels."""
    size: tuple[int, int]
    """Width and height of the clean aperture with square pixels, before rotation."""
    turned: tuple[bool, bool, bool]
    """Whether rows and columns are exchanged; then mirrored horizontally; then mirrored vertically."""
    notes: tuple[str, ...] = ()
    """Properties that are not applied, as text."""

    @property
    def upright(self) -> tuple[int, int]:
        """Width and height on the screen."""
        wide, tall = self.size
        return (tall, wide) if self.turned[0] else self.size


def display_of(stream: Any, frame: Any, aperture: tuple[int, int, int, int] | None) -> Display:
    """Display properties from stream and first frame, with the defaults of players where they are unspecified.

    aperture   left, top, width, height of the visible part; None: all of it
    """
    visible = aperture or (0, 0, frame.width, frame.height)
    wide, tall = visible[2:]
    pixel = getattr(stream, "sample_aspect_ratio", None) or 1
    if not 1 / 16 <= pixel <= 16:
        pixel = 1
    size = (_scaled(wide, pixel), tall) if pixel >= 1 else (wide, _scaled(tall, 1 / pixel))
    turned, slanted = _turns(frame)
    tag = frame.colorspace
    matrix = MATRICES.get(tag, BT709 if is_hd(frame.width, frame.height) else BT601)
    full = frame.color_range == FULL or frame.format.name.startswith("yuvj")
    notes = (*_notes(stream.codec_context), *slanted)
    if tag not in MATRICES and tag not in UNSPECIFIED:
        notes = (*notes, f"its colour matrix (number {tag} of ITU-T H.273) is not supported: colours may be off")
    return Display(matrix, full, (frame.width, frame.height), visible, size, turned, notes)


def _scaled(side: int, by: Any) -> int:
    """A scaled side; an even one stays even, as encoders require."""
    return max(1, round(side * by / 2) * 2 if side % 2 == 0 else round(side * by))


def _notes(codec: Any) -> tuple[str, ...]:
    light, wide = HDR.get(codec.color_trc), WIDE.get(codec.color_primaries)
    if light:
        return (f"it is HDR ({light}): its pictures are read without tone mapping and look flat; convert it to SDR first",)
    return (f"its colours are {wide}, read as sRGB: they look too pale; convert it to BT.709 first",) if wide else ()


def _turns(frame: Any) -> tuple[tuple[bool, bool, bool], tuple[str, ...]]:
    """Rotation and mirroring from the display matrix, whose rows are the images of a step right and a step down
    (ISO/IEC 14496-12, 6.2.2); notes for a rotation that is not applied."""
    data = frame.side_data.get("DISPLAYMATRIX")
    if data is None:
        return (False, False, False), ()
    a, b, _, c, d, *_ = struct.unpack("<9i", bytes(data)[:36])
    exchanged = abs(b) + abs(c) > abs(a) + abs(d)
    right, down = (c, b) if exchanged else (a, d)
    slanted = min(abs(a) + abs(d), abs(b) + abs(c)) > 0.02 * max(abs(a) + abs(d), abs(b) + abs(c))
    notes = ("it is rotated by other than a multiple of 90 degrees, which is not applied; rotate it first",) if slanted else ()
    return (exchanged, right < 0, down < 0), notes


def frame_converter(display: Display) -> Callable[[Any], Tensor]:
    """Makes a function from a decoded frame to its picture `(3, h, w)` in [0, 1], as displayed.

    Frames of another size than the first are scaled to it.
    """
    reformatter = pyav("reading a video").video.reformatter.VideoReformatter()
    left, top, wide, tall = display.visible
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
        options = {} if frame.format.is_rgb or frame.colorspace == 0 else colours
        pixels = reformatter.reformat(frame, *size, format="rgb24", interpolation=BICUBIC, **options).to_ndarray()
        if size != display.size:
            pixels = pixels[top : top + display.size[1], left : left + display.size[0]]
        return _upright(pixels, display.turned)

    return paint


def _upright(pixels: Any, turned: tuple[bool, bool, bool]) -> Tensor:
    exchanged, mirrored, flipped = turned
    if exchanged:
        pixels = pixels.swapaxes(0, 1)
    if mirrored:
        pixels = pixels[:, ::-1]
    if flipped:
        pixels = pixels[::-1]
    return of_pixels(pixels)
