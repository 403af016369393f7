"""`zoetrope inspect FILE`: what a motion file or folder is."""

import argparse
import json
from pathlib import Path

from ..models.motion.loading import load_motion
from ..models.motion.report import sha256


def add_inspect(inspect: argparse.ArgumentParser) -> None:
    """Adds the arguments of `zoetrope inspect`."""
    inspect.add_argument("file", type=Path)
    inspect.add_argument("--json", action="store_true", help="plain data instead of text")
    inspect.set_defaults(run=_inspect, stopped="nothing was written")


def _inspect(arguments: argparse.Namespace) -> None:
    _, report = load_motion(arguments.file)
    digest = sha256(arguments.file)
    as_json = {**report.as_dict(), "sha256": digest}
    print(json.dumps(as_json, indent=1) if arguments.json else f"{report.text()}\nsha256      {digest}")
