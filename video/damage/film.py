"""Old film from clean frames, with the exact mask of its damage, in the order in which a real film is damaged."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from torch import Tensor

from .marks import blotches, dust, marked
from .medium import bled, blurred, compressed, faded, flickered, grained, offset_at, shifted
from .scratches import lines_at, scratched
from .settings import FilmDamage

VISIBLE_DUST, VISIBLE_LINES = 4 / 255, 6 / 255
"""Least change of a pixel that counts as damage."""


@dataclass(frozen=True)
class DamagedFrame:
    """A damaged frame and the truth about it."""

    picture: Tensor
    """`(3, h, w)` in [0, 1]."""
    dust: Tensor
    """Pixels changed by dust and blotches, `(h, w)` bool."""
    lines: Tensor
    """Pixels changed by scratches, `(h, w)` bool."""
    undamaged: Tensor
    """The same frame without dust, blotches and lines, `(3, h, w)`: before compression, with everything else."""
    offset: tuple[float, float]
    """Shift of the picture by weave, right and down in pixels."""

    @property
    def mask(self) -> Tensor:
        return self.dust | self.lines


def damaged(frames: Iterable[Tensor], damage: FilmDamage, seed: int, first: int = 0) -> Iterator[DamagedFrame]:
    """Damages frames `(3 or 4, h, w)` in [0, 1], one at a time.

    first   number of the first frame; a part of a film has the damage that it has in the whole film
    """
    for number, frame in enumerate(frames, first):
        yield damaged_frame(frame[:3], damage, seed, number)


def damaged_frame(picture: Tensor, damage: FilmDamage, seed: int, number: int) -> DamagedFrame:
    """One damaged frame: camera gate, lens, emulsion, fading, printing light, print, projector gate, file."""
    height, width = picture.shape[1:]
    if min(height, width) < 8:
        raise ValueError(f"frames: expected 8x8 pixels or more, got {width}x{height}")
    scale, size = width / 256, (height, width)
    camera, projector = (offset_at(seed, number, scale * damage.weave * 0.5**0.5, gate) for gate in ("camera", "projector"))
    picture = shifted(picture.float(), *camera)
    picture = bled(blurred(picture, damage.blur * scale), damage.bleed * scale)
    picture = faded(grained(picture, seed, number, damage.grain), damage.fading)
    clean = flickered(picture, seed, number, damage.flicker)
    lined = scratched(clean, lines_at(seed, number, damage.lines)) if damage.lines else clean
    spoilt = marked(lined, blotches(seed, number, damage.blotches, size))
    spoilt = marked(spoilt, dust(seed, number, damage.dust, size))
    shown = [shifted(layer, *projector) for layer in (clean, lined, spoilt)]
    of_dust, of_lines = _differs(shown[2], shown[1], VISIBLE_DUST), _differs(shown[1], shown[0], VISIBLE_LINES)
    offset = (camera[0] + projector[0], camera[1] + projector[1])
    return DamagedFrame(compressed(shown[2], damage.compression), of_dust, of_lines, shown[0], offset)


def _differs(with_it: Tensor, without: Tensor, least: float) -> Tensor:
    return (with_it - without).abs().amax(0) > least
