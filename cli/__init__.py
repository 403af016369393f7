"""Commands that use the library without a graph: `zoetrope inspect FILE`, `zoetrope demo --prompt ...`, `zoetrope shot`.

Importing this package does not import torch, so that help and errors in arguments are immediate. Each command imports its
dependencies after its arguments are checked.
"""

import argparse
import re
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path

from ..demo.cpu import share_the_cpu
from . import demo, inspect, live, shot, study
from .checks import in_words

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command. Returns the exit status: 0; 2 for invalid input (with the reason on stderr); 130 on Ctrl-C."""
    parser = _parser()
    arguments = parser.parse_args(argv)
    if arguments.command is None:
        parser.print_help(sys.stderr)
        return 2
    share_the_cpu()  # before a command imports torch
    run: Callable[[argparse.Namespace], None] = arguments.run
    try:
        run(arguments)
    except OSError as error:
        print(f"zoetrope: {in_words(error)}", file=sys.stderr)
        return 2
    except ValueError as error:
        print(f"zoetrope: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"\nzoetrope: stopped; {arguments.stopped}", file=sys.stderr)
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="zoetrope", description="Any image checkpoint becomes an endless shot.")
    parser.add_argument("--version", action="version", version=f"zoetrope {_version()}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    inspect.add_inspect(
        commands.add_parser("inspect", help="describe a motion module's file or folder, and the models that it fits")
    )
    demo.add_demo(commands.add_parser("demo", help="make a video from a prompt with the embedded model, without ComfyUI"))
    shot.add_shot(
        commands.add_parser("shot", help="make a shot of any length with the embedded model; run again to continue it")
    )
    live.add_live(commands.add_parser("live", help="give a video the look of a prompt while it arrives; run again to go on"))
    study.add_metrics(commands.add_parser("metrics", help="measure flicker, seams and drift of videos, as a table and a chart"))
    study.add_study(commands.add_parser("vae-study", help="measure VAEs on clips with changes of time, as a table and a chart"))
    return parser


def _version() -> str:
    """Version of the checkout, else of the installed package."""
    checkout = Path(__file__).parents[1] / "pyproject.toml"
    found = re.search(r'^version = "(.+)"$', checkout.read_text(encoding="utf-8"), re.M) if checkout.is_file() else None
    return found[1] if found else version("zoetrope")
