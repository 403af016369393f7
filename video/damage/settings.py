"""Amounts of film damage, and presets."""

from dataclasses import dataclass, fields, replace
from types import MappingProxyType


@dataclass(frozen=True)
class FilmDamage:
    """Amount of each kind of damage; 0: none. Lengths are in pixels of a picture 256 wide and grow with the picture."""

    dust: float = 0.0
    """Specks and hairs per frame of 256 x 192 pixels, on average."""
    lines: float = 0.0
    """Scratches at a time, on average."""
    blotches: float = 0.0
    """Blotches per frame, on average."""
    flicker: float = 0.0
    """Standard deviation of the exposure from frame to frame."""
    weave: float = 0.0
    """Standard deviation of the picture's position."""
    fading: float = 0.0
    """Share of fading: 1 is contrast .5, black lifted by .12, a yellow cast and a vignette."""
    grain: float = 0.0
    """Standard deviation of the grain in middle grey."""
    blur: float = 0.0
    """Standard deviation of the blur."""
    bleed: float = 0.0
    """Width of the blur of the colours alone, along rows, as on tape."""
    compression: float = 0.0
    """Strength of JPEG compression: 0 none, 1 the worst quality."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value, most = getattr(self, field.name), 1.0 if field.name in ("fading", "compression") else 1000.0
            if not 0 <= value <= most:
                raise ValueError(f"{field.name}: expected 0 to {most:g}, got {value:g}")

    def times(self, **factors: float) -> "FilmDamage":
        """These amounts, multiplied. Fading and compression are at most 1."""
        scaled = {name: getattr(self, name) * factor for name, factor in factors.items()}
        limited = {name: min(1.0, scaled[name]) for name in ("fading", "compression") if name in scaled}
        return replace(self, **{**scaled, **limited})

    @property
    def changes_nothing(self) -> bool:
        return not any(getattr(self, field.name) for field in fields(self))


PRESETS = MappingProxyType(
    {
        "old film": FilmDamage(
            dust=6, lines=3, blotches=0.15, flicker=0.07, weave=0.7, fading=0.5, grain=0.025, blur=0.4
        ),
        "tape": FilmDamage(flicker=0.01, weave=0.2, fading=0.15, grain=0.02, blur=0.6, bleed=3.0, compression=0.3),
        "web": FilmDamage(blur=0.7, compression=0.75),
        "all kinds": FilmDamage(
            dust=6, lines=3, blotches=0.15, flicker=0.07, weave=0.7, fading=0.5, grain=0.025, blur=0.6, bleed=2.0,
            compression=0.4,
        ),
    }
)  # fmt: skip
