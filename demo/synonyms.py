"""Synonyms in everyday English for the embedded model's vocabulary."""


def _all(meaning: str, words: str) -> dict[str, str]:
    return dict.fromkeys(words.split(), meaning)


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


SAME = {
    **_all("grey", "gray"),
    **_all("circle", "ball disc disk dot orb round circular"),
    **_all("square", "box block quadratic"),
    **_all("triangle", "triangular"),
}
"""Word -> the vocabulary's word with the same meaning."""
NEAREST = {
    **_all("red", "crimson scarlet ruby"),
    **_all("green", "lime emerald"),
    **_all("blue", "navy azure"),
    **_all("yellow", "orange gold golden"),
    **_all("cyan", "turquoise teal aqua"),
    **_all("magenta", "purple violet pink fuchsia lilac"),
    **_all("circle", "sphere oval ellipse"),
    **_all("square", "cube rectangle"),
    **_all("triangle", "pyramid cone"),
    **_all("grey", "silver"),
}
"""Word -> the vocabulary's nearest word; messages name the replacement."""
SHADES = {"dark": "black", "light": "white", "bright": "white"}
"""Grounds before a word such as "background": "on a dark background"."""

DIRECTIONS = {
    **_all("moving right", "right rightward rightwards"),
    **_all("moving left", "left leftward leftwards"),
    **_all("moving up", "up upward upwards rising rises ascending ascends climbing climbs"),
    **_all("moving down", "down downward downwards falling falls sinking sinks descending descends dropping drops"),
}
ENDS = {"top": "moving up", "bottom": "moving down"}
"""Directions after "to" and "from" only."""
OPPOSITE = {
    "moving right": "moving left", "moving left": "moving right", "moving up": "moving down", "moving down": "moving up",
}  # fmt: skip
STILL = _set("still static stationary motionless immobile unmoving resting rest frozen idle")
STAYING = _set("standing stands stand staying stays stay rests sitting sits hovering hovers")
"""The same, where no direction is named."""
MOVING = _set(
    "moving moves move motion movement going goes go traveling travelling travels flying flies drifting drifts sliding slides "
    "gliding glides heading heads rolling rolls running runs floating floats scrolling coming comes"
)
NEGATIONS = _set("not no without non never isn't doesn't don't aren't")

GROUNDS = _set("background backgrounds backdrop ground canvas floor surface bg")
BEFORE_GROUNDS = _set("on against upon over onto front before")
ARTICLES = _set("a an the its his her some")
BETWEEN = ARTICLES | _set("of is in plain solid simple pure uniform empty colour color coloured colored")
"""Words allowed between a preposition and the ground's colour."""
SEPARATORS = _set("and plus with beside besides next near behind under while then or")
NUMBERS = _set("two three four five six several many multiple both another second couple")
FILLERS = (
    BETWEEN | GROUNDS | BEFORE_GROUNDS | SEPARATORS
    | _set("are be do does it that which there to toward towards from into at as for side direction shape shaped object one "
        "single this scene clip video fps frames frame per")
)  # fmt: skip
"""Words that are ignored without a message."""
