"""The library without a graph: `zoetrope inspect FILE`, `zoetrope demo`."""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from einops import einsum
from torch import Tensor, nn

from .media.sheet import contact_sheet
from .models.attention import scaled_dot_product
from .models.families.zoetrope import transformer
from .models.loading import load_motion
from .models.temporal import Clip


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command. Returns the exit status: 0, or 2 where the input was bad (the reason goes to stderr)."""
    parser = argparse.ArgumentParser(prog="zoetrope", description="Any image checkpoint becomes an endless shot.")
    commands = parser.add_subparsers(dest="command", required=True)
    inspect = commands.add_parser("inspect", help="say what a motion file is and what it fits")
    inspect.add_argument("file", type=Path)
    inspect.add_argument("--json", action="store_true", help="plain data instead of text")
    inspect.set_defaults(run=_inspect)
    demo = commands.add_parser("demo", help="a synthetic clip through the temporal core (the embedded model is not there yet)")
    demo.add_argument("--output", type=Path, default=Path("output/demo"), metavar="DIR")
    demo.set_defaults(run=_demo)
    arguments = parser.parse_args(argv)
    run: Callable[[argparse.Namespace], None] = arguments.run
    try:
        run(arguments)
    except (ValueError, OSError) as error:
        print(f"zoetrope: {error}", file=sys.stderr)
        return 2
    return 0


def _inspect(arguments: argparse.Namespace) -> None:
    _, report = load_motion(arguments.file)
    print(json.dumps(report.as_dict(), indent=1) if arguments.json else report.text())


def _demo(arguments: argparse.Namespace) -> None:
    """An untrained temporal layer on a moving disc: shows that the core runs and that strength 0 changes nothing."""
    frames, width = 16, 32
    generator = torch.Generator().manual_seed(0)
    pixels = moving_disc(frames, 48)
    torch.manual_seed(0)
    layer = transformer(width, width, frames, nn)
    for parameter in layer.proj_out.parameters():
        nn.init.normal_(parameter, std=0.3, generator=generator)
    lift = torch.linalg.qr(torch.randn(width, 3, generator=generator)).Q  # orthogonal columns: lowering undoes lifting
    features = einsum(pixels, lift, "f c h w, d c -> f d h w")
    text = torch.randn(frames, 4, width, generator=generator)
    rows = [pixels]
    with torch.inference_mode():
        off, on = (layer(features, Clip(frames, s, text, scaled_dot_product)) for s in (0.0, 1.0))
    rows += [einsum(out, lift, "f d h w, d c -> f c h w") for out in (off, on)]
    arguments.output.mkdir(parents=True, exist_ok=True)
    sheet = arguments.output / "clip.png"
    contact_sheet(rows).save(sheet)
    summary = {"sheet": str(sheet), "rows": ["input", "strength 0", "strength 1"], "frames": frames}
    summary["strength_0_unchanged"] = torch.equal(off, features)
    summary["strength_1_mean_change"] = round((on - features).abs().mean().item(), 4)
    print("The embedded model is not part of this version: this is a synthetic clip through an untrained temporal layer.")
    print(json.dumps(summary))


def moving_disc(frames: int, size: int) -> Tensor:
    """A disc that crosses a torus once, `(frames, 3, size, size)` in [0, 1]."""
    line = torch.arange(size) / size
    centre = torch.arange(frames) / frames
    away = (line[None] - centre[:, None] + 0.5) % 1 - 0.5  # (frames, size), the short way round
    disc = (away[:, None, :] ** 2 + (line - 0.5)[None, :, None] ** 2 < 0.04).float()[:, None]
    colours = torch.tensor([[0.95, 0.45, 0.2], [0.1, 0.12, 0.2]])[:, None, :, None, None]
    return disc * colours[0] + (1 - disc) * colours[1]


if __name__ == "__main__":
    sys.exit(main())
