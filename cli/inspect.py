"""`zoetrope inspect FILE`: report on a motion module's file or folder."""

import argparse
import json
from pathlib import Path


def add_inspect(inspect: argparse.ArgumentParser) -> None:
    """Adds the arguments of `zoetrope inspect`."""
    inspect.add_argument(
        "file", type=Path, metavar="FILE",
        help="a .safetensors, .ckpt, .pt, .pth or .bin file, or a folder in diffusers' layout; nothing in it is executed",
    )  # fmt: skip
    inspect.add_argument("--json", action="store_true", help="print JSON instead of text")
    inspect.set_defaults(run=_inspect, stopped="nothing was written")


def _inspect(arguments: argparse.Namespace) -> None:
    path: Path = arguments.file
    if not path.exists():
        folder = "" if path.parent.is_dir() else f", and no folder {path.parent}"
        raise ValueError(f"{path}: there is no such file or folder{folder}; check the spelling")
    from ..models.motion.loading import load_motion
    from ..models.motion.report import sha256

    _, report = load_motion(path)
    digest = sha256(path)
    as_json = {**report.as_dict(), "sha256": digest}
    print(json.dumps(as_json, indent=1) if arguments.json else f"{report.text()}\nsha256      {digest}")
