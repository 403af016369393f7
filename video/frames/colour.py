"""Colours of one picture with the detail of another: what upscalers drift away from is put back.

Wavelet colour fix and AdaIN as in StableSR (arXiv 2305.07015; IceClear/StableSR 398ee93, `wavelet_color_fix.py`). Pictures
`(f, 3, h, w)`, each frame for itself, in any range; nothing is clamped.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence

import torch
from einops import rearrange
from torch import Tensor
from torch.nn import functional as F

from .cuts import is_cut

RADII = (1, 2, 4, 8, 16)
"""Of the blurs that take a picture apart, one after another, in pixels."""
EPS = 1e-5


def wavelet(content: Tensor, style: Tensor) -> Tensor:
    """The fine detail of `content` on the coarse colours of `style`, both of one size."""
    _check(content, style)
    return content - blurred(content) + blurred(style)


def adain(content: Tensor, style: Tensor) -> Tensor:
    """`content` with mean and spread of each channel of `style` (AdaIN, arXiv 1703.06868), sizes may differ."""
    mean, spread = _moments(content)
    wanted, wanted_spread = _moments(style)
    return (content - mean) / spread * wanted_spread + wanted


def blurred(picture: Tensor) -> Tensor:
    """What is left after all blurs: the coarse colours."""
    for radius in RADII:
        picture = blur(picture, radius)
    return picture


def blur(picture: Tensor, radius: int) -> Tensor:
    """A 3x3 binomial filter whose taps stand `radius` pixels apart; the edge repeats."""
    line = picture.new_tensor([0.25, 0.5, 0.25])
    kernel = rearrange(line[:, None] * line, "h w -> 1 1 h w")
    flat = F.pad(rearrange(picture, "f c h w -> (f c) 1 h w"), (radius,) * 4, mode="replicate")
    return rearrange(F.conv2d(flat, kernel, dilation=radius), "(f c) 1 h w -> f c h w", f=len(picture))


def _moments(picture: Tensor) -> tuple[Tensor, Tensor]:
    flat = rearrange(picture, "f c h w -> f c (h w)")
    spread = (flat.var(dim=-1) + EPS).sqrt()
    return flat.mean(-1)[..., None, None], spread[..., None, None]


def _check(content: Tensor, style: Tensor) -> None:
    if content.shape != style.shape:
        raise ValueError(f"expected two pictures of one size, got {list(content.shape)} and {list(style.shape)}")


STEADY = "steady"
REACH, CUT = 4, 0.3
"""Frames to either side that count in a steady match, and how different colours are where a scene ends."""

MATCHES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"wavelet": wavelet, "adain": adain}


def matched(content: Tensor, style: Tensor, method: str) -> Tensor:
    """`content` in [0, 1] with the colours of `style`, which is resized to it, clamped to [0, 1]."""
    if method not in MATCHES:
        raise ValueError(f"method: expected one of {', '.join(MATCHES)}, got {method!r}")
    return MATCHES[method](content, resized(style, content)).clamp(0, 1)


def carried(pairs: Iterable[tuple[Tensor, Tensor]], method: str) -> Iterator[Tensor]:
    """Frames `(3, h, w)` in the colours of smaller ones, one pair at a time in, one frame at a time out.

    steady   as wavelet, but what is changed is averaged over the frames around, up to a cut: grain of the small frames, which
             differs from one to the next, does not make the large ones flicker
    """
    if method != STEADY:
        yield from (matched(content[None], style[None], method)[0] for content, style in pairs)
        return
    held: deque[tuple[Tensor, Tensor, int]] = deque()
    scene, before, done = 0, None, 0  # done: frames in front of the one that comes next
    for content, style in pairs:
        scene += before is not None and is_cut(before, style, CUT)
        before = style
        large = resized(style[None], content)[0]
        held.append((content, blurred(large[None])[0] - blurred(content[None])[0], scene))
        if len(held) - done > REACH:
            yield _steadied(held, done)
            done += 1
        if done > REACH:
            held.popleft()
            done -= 1
    while done < len(held):
        yield _steadied(held, done)
        done += 1


def _steadied(held: Sequence[tuple[Tensor, Tensor, int]], at: int) -> Tensor:
    content, _, scene = held[at]
    around = [change for n, (_, change, other) in enumerate(held) if other == scene and abs(n - at) <= REACH]
    return (content + torch.stack(around).mean(0)).clamp(0, 1)


def resized(style: Tensor, content: Tensor) -> Tensor:
    """`style` in the size of `content`."""
    if style.shape[-2:] == content.shape[-2:]:
        return style
    return F.interpolate(style, content.shape[-2:], mode="bicubic", antialias=True, align_corners=False)


def along(contents: Tensor, styles: Tensor, method: str) -> Tensor:
    """A clip matched frame by frame; of fewer reference frames the last one holds on."""
    if not len(styles):
        raise ValueError("reference: expected a picture or more, got none")
    numbers = torch.arange(len(contents)).clamp(max=len(styles) - 1)
    return torch.cat([matched(contents[[n]], styles[[m]], method) for n, m in enumerate(numbers.tolist())])
