"""Vocabulary of the embedded model, and the sizes of its clips. Imports no torch, so that checks and help are fast."""

COLOURS: dict[str, tuple[float, float, float]] = {
    "red": (0.92, 0.16, 0.16),
    "green": (0.16, 0.78, 0.24),
    "blue": (0.20, 0.34, 0.96),
    "yellow": (0.96, 0.88, 0.16),
    "cyan": (0.16, 0.86, 0.90),
    "magenta": (0.90, 0.22, 0.88),
}
BACKGROUNDS: dict[str, float] = {"black": 0.04, "grey": 0.36, "white": 0.96}
SHAPES = ("circle", "square", "triangle")
MOTIONS: dict[str, tuple[float, float]] = {
    "moving right": (1.0, 0.0),
    "moving left": (-1.0, 0.0),
    "moving up": (0.0, -1.0),
    "moving down": (0.0, 1.0),
    "standing still": (0.0, 0.0),
}
"""Caption -> unit velocity (x right, y down)."""
RATES = (4, 8, 16)
"""Frame rates of the embedded model's training, as words of the prompt ("... at 8 fps")."""
USUAL_RATE = 8
"""Default frame rate."""
FRAMES = 16
"""Clip length of training."""
LONGEST = 64
"""Length of the position table, and so of the longest clip."""
PIXELS = 64
"""Picture side of training."""
MOST_STEPS = 1000
"""Most sampling steps: noise levels of the schedule."""

EXAMPLE = "a red circle moving right on black"
GRAMMAR = (
    f"colours: {', '.join(COLOURS)}; shapes: {', '.join(SHAPES)}; motions: {', '.join(MOTIONS)}; "
    f"grounds: on {', on '.join(BACKGROUNDS)}; rates: at {', '.join(map(str, RATES))} fps"
)
"""Vocabulary and grammar of training, for messages."""


def write_caption(named: dict[str, str]) -> str:
    """A prompt of this grammar with those of `colour`, `shape`, `motion` and `background` that are given."""
    ground = f"on {named['background']}" if "background" in named else ""
    words = ("a", *(named.get(kind, "") for kind in ("colour", "shape", "motion")), ground)
    return " ".join(filter(None, words))


def check_clip(frames: int, size: int = PIXELS, steps: int = 1, rate: int = USUAL_RATE) -> None:
    """Raises ValueError for sizes that the embedded model does not support."""
    if not 1 <= steps <= MOST_STEPS:
        raise ValueError(f"steps: expected 1 to {MOST_STEPS}, got {steps}")
    if not 1 <= frames <= LONGEST:
        raise ValueError(f"frames: expected 1 to {LONGEST} (trained on {FRAMES}), got {frames}")
    if rate not in RATES:
        raise ValueError(f"fps: expected one of {', '.join(map(str, RATES))}, got {rate}")
    if size < PIXELS or size % 8:
        raise ValueError(f"size: expected a multiple of 8 pixels, {PIXELS} or more, got {size}")
