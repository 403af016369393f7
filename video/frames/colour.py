"""Colour matching: the colours of one picture with the detail of another, against colour drift of upscalers.

Wavelet colour fix and AdaIN as in StableSR (arXiv 2305.07015; IceClear/StableSR 398ee93, `wavelet_color_fix.py`). Pictures
`(f, 3, h, w)` are processed frame by frame, in any range, without clamping.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence

import torch
from einops import rearrange
from torch import Tensor
from torch.nn import functional as F

from .cuts import is_cut

RADII = (1, 2, 4, 8, 16)
"""Radii in pixels of the successive blurs of the wavelet decomposition."""
EPS = 1e-5


def grey(picture: Tensor) -> Tensor:
    """A picture `(3, h, w)` without colour: the mean of the three channels in each of them."""
    return picture.mean(0, keepdim=True).expand_as(picture)


def wavelet(content: Tensor, style: Tensor) -> Tensor:
    """Fine detail of `content` on the coarse colours of `style`, both of one size."""
    _check(content, style)
    return content - blurred(content) + blurred(style)


def adain(content: Tensor, style: Tensor) -> Tensor:
    """`content` with mean and standard deviation of each channel of `style` (AdaIN, arXiv 1703.06868); sizes may differ."""
    mean, spread = _moments(content)
    target, target_spread = _moments(style)
    return (content - mean) / spread * target_spread + target


def blurred(picture: Tensor) -> Tensor:
    """Coarse colours: the picture after all blurs."""
    for radius in RADII:
        picture = blur(picture, radius)
    return picture


def blur(picture: Tensor, radius: int) -> Tensor:
    """3x3 binomial filter with taps `radius` pixels apart; edge pixels are repeated."""
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
"""Frames to either side in the average of `steady`, and threshold of scene cuts."""

MATCHES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"wavelet": wavelet, "adain": adain}


def matched(content: Tensor, style: Tensor, method: str) -> Tensor:
    """`content` in [0, 1] with the colours of `style`, which is resized; clamped. Raises ValueError for an unknown method."""
    if method not in MATCHES:
        raise ValueError(f"method: expected one of {', '.join(MATCHES)}, got {method!r}")
    return MATCHES[method](content, resized(style, content)).clamp(0, 1)


def carried(pairs: Iterable[tuple[Tensor, Tensor]], method: str) -> Iterator[Tensor]:
    """Matches frames `(3, h, w)` to smaller ones, from pairs (content, style), one at a time.

    steady   as wavelet, but the change is averaged over neighbouring frames, up to a cut, so that grain of the small frames
             does not make the large ones flicker
    """
    if method != STEADY:
        yield from (matched(content[None], style[None], method)[0] for content, style in pairs)
        return
    buffer: deque[tuple[Tensor, Tensor, int]] = deque()
    scene, before, done = 0, None, 0  # done: frames of the buffer before the next one to be yielded
    for content, style in pairs:
        scene += before is not None and is_cut(before, style, CUT)
        before = style
        large = resized(style[None], content)[0]
        buffer.append((content, blurred(large[None])[0] - blurred(content[None])[0], scene))
        if len(buffer) - done > REACH:
            yield _steadied(buffer, done)
            done += 1
        if done > REACH:
            buffer.popleft()
            done -= 1
    while done < len(buffer):
        yield _steadied(buffer, done)
        done += 1


def _steadied(buffer: Sequence[tuple[Tensor, Tensor, int]], at: int) -> Tensor:
    content, _, scene = buffer[at]
    changes = [change for n, (_, change, other) in enumerate(buffer) if other == scene and abs(n - at) <= REACH]
    return (content + torch.stack(changes).mean(0)).clamp(0, 1)


def resized(style: Tensor, content: Tensor) -> Tensor:
    """`style` resized to the size of `content` (bicubic)."""
    if style.shape[-2:] == content.shape[-2:]:
        return style
    return F.interpolate(style, content.shape[-2:], mode="bicubic", antialias=True, align_corners=False)


def along(contents: Tensor, styles: Tensor, method: str) -> Tensor:
    """Matches a clip frame by frame; the last reference frame is repeated. Raises ValueError without reference frames."""
    if not len(styles):
        raise ValueError("reference: expected a picture or more, got none")
    numbers = torch.arange(len(contents)).clamp(max=len(styles) - 1)
    return torch.cat([matched(contents[[n]], styles[[m]], method) for n, m in enumerate(numbers.tolist())])
