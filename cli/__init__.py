"""Commands that use the library without a graph: `zoetrope inspect FILE`, `zoetrope demo --prompt ...`, `zoetrope shot`."""

import argparse
import sys
from collections.abc import Callable, Sequence

from ..demo.cpu import share_the_cpu

share_the_cpu()  # before anything below loads torch

from . import demo, inspect, shot, study  # noqa: E402

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command. Returns the exit status: 0; 2 where the input was bad (the reason goes to stderr); 130 on Ctrl-C."""
    arguments = _parser().parse_args(argv)
    run: Callable[[argparse.Namespace], None] = arguments.run
    try:
        run(arguments)
    except (ValueError, OSError) as error:
        print(f"zoetrope: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"\nzoetrope: stopped; {arguments.stopped}", file=sys.stderr)
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="zoetrope", description="Any image checkpoint becomes an endless shot.")
    commands = parser.add_subparsers(dest="command", required=True)
    inspect.add_inspect(commands.add_parser("inspect", help="say what a motion file or folder is and what it fits"))
    demo.add_demo(commands.add_parser("demo", help="a prompt to a video with the embedded model, no ComfyUI needed"))
    shot.add_shot(commands.add_parser("shot", help="a shot of any length with the embedded model; run again, it goes on"))
    study.add_metrics(commands.add_parser("metrics", help="flicker, seams and drift of a video, in numbers and a chart"))
    study.add_study(commands.add_parser("vae-study", help="what time does to a video VAE: a table and a chart"))
    return parser
