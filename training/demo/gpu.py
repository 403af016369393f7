"""Trains, exports and evaluates the model of the lively world within a number of minutes on a GPU.

  python -m zoetrope.training.demo.gpu --output DIR [--minutes 25] [--call 9] [--device cuda]

The same command continues, also one with another number of minutes. Each stage takes as many steps as its share of the
remaining time allows at the measured speed, at most those of its configuration. The resulting configuration is written to
`DIR/stages` once, so that `python -m zoetrope.training.demo DIR/stages/lively_vae.json ...` repeats the stage.
Results: `DIR/demo` (the model), `DIR/figures` (figures and sheets of both worlds), `DIR/plan.jsonl` (speeds and steps).
"""

import argparse
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from threading import Timer

import torch

from ...hosts.diffusers.demo.model import load_demo
from ..loop import STATE, generators
from .__main__ import config_path
from .config import LivelyRun, read_config
from .evaluation import Asked, by_model, evaluate, read_set, summarise
from .lively import Stage, load_lively, new_stage, note, write_lively
from .lively_evaluation import by_model as by_lively_model
from .lively_evaluation import by_reconstruction, evaluate_into

SHARES = {"lively_vae": 0.2, "lively_image": 0.25, "lively_video": 0.45}
"""Stage -> share of the whole time; the rest is for export and evaluation."""
SLACK = 0.85
"""Share of a stage's time that is planned for its steps: sheets, states and the optimiser take the rest."""
LEAST = 20
"""Fewest steps of a stage."""
WARM, TIMED = 4, 8
"""Steps before and during the measurement of the speed; clips and stills take turns in it."""


@dataclass(frozen=True)
class Clock:
    """Time left of the budget, counted over all calls by a file."""

    path: Path
    seconds: float
    call: float
    """Seconds of this call; 0: no limit."""
    started: float
    spent: float

    @classmethod
    def of(cls, path: Path, minutes: float, call: float = 0) -> "Clock":
        spent = json.loads(path.read_text()) if path.is_file() else 0.0
        return cls(path, minutes * 60, call * 60, time.monotonic(), spent)

    def is_over(self) -> bool:
        """Whether this call's time is over, or nearly so; its interrupt may have arrived in the last step of a stage."""
        return self.call > 0 and time.monotonic() - self.started > self.call - 2

    def left(self) -> float:
        """Seconds left; negative after the end."""
        used = self.spent + time.monotonic() - self.started
        self.path.write_text(json.dumps(used))
        return self.seconds - used


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m zoetrope.training.demo.gpu", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--output", type=Path, required=True, help="folder of states, model and figures")
    parser.add_argument("--minutes", type=float, default=25, help="time for everything, over all calls; default: %(default)g")
    parser.add_argument("--call", type=float, default=0, help="minutes after which this call saves and stops; 0: never")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--every", type=int, default=1, help="evaluate only every n-th scene")
    arguments = parser.parse_args()
    torch.set_float32_matmul_precision("high")
    torch.backends.cudnn.benchmark = True
    arguments.output.mkdir(parents=True, exist_ok=True)
    with stopped_after(arguments.call * 60):
        clock = Clock.of(arguments.output / "spent.json", arguments.minutes, arguments.call)
        train_and_evaluate(arguments.output, clock, torch.device(arguments.device), arguments.every)


@contextmanager
def stopped_after(seconds: float) -> Iterator[None]:
    """Interrupts the block after some seconds as Ctrl-C does, unless they are 0."""
    timer = Timer(seconds, lambda: os.kill(os.getpid(), signal.SIGINT))
    timer.daemon = True
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where a shell runs this in the background
    if seconds:
        timer.start()
    try:
        yield
    finally:
        timer.cancel()
        signal.signal(signal.SIGINT, before)


def train_and_evaluate(output: Path, clock: Clock, device: torch.device, every: int) -> None:
    """Runs all stages, then export and evaluation. Raises SystemExit where a stage was interrupted."""
    size = 0
    for name in SHARES:
        run = train_stage(name, output, clock, device)
        size = run.size
    write_lively(output / "demo", output / "lively_vae", output / "lively_video", size)
    note(f"exported to {output / 'demo'}; {clock.left() / 60:.1f} minutes left")
    demo = load_lively(output / "demo", device)
    for name, make in (("lively", by_lively_model(demo, size)), ("ceiling", by_reconstruction(demo, size))):
        if not (output / "figures" / name / "figures.json").is_file():
            evaluate_into(output / "figures" / name, make, 1, every)
    shipped = output / "figures" / "shipped.json"
    if not shipped.is_file():
        evaluate_shipped(shipped, device, every)
    note(f"\nfinished: {output / 'figures'}; {clock.left() / 60:.1f} minutes left")


def train_stage(name: str, output: Path, clock: Clock, device: torch.device) -> LivelyRun:
    """Trains a stage to its end, if it is not complete, with half precision. Raises SystemExit where it was interrupted."""
    planned, folder = output / "stages" / f"{name}.json", output / name
    run = read_config(planned if planned.is_file() else config_path(name))
    assert isinstance(run, LivelyRun)
    if planned.is_file() and completed(folder) >= run.steps:
        return run
    torch.manual_seed(run.seed)
    start = output / "lively_image" if name == "lively_video" else None
    stage = new_stage(run, output / "lively_vae", start, device, half=True)
    if not planned.is_file():
        run = fitted(run, stage, device, lambda: clock.left() * SHARES[name] / share_left(name), output / "plan.jsonl")
        planned.parent.mkdir(exist_ok=True)
        planned.write_text(json.dumps(asdict(run), indent=1) + "\n")
    stage.train(run, folder)
    note(f"\n{name}: {completed(folder)} of {run.steps} steps; {clock.left() / 60:.1f} minutes left")
    if completed(folder) < run.steps or clock.is_over():
        raise SystemExit("stopped before the end; the same command continues")
    return run


def share_left(name: str) -> float:
    """Share of the whole time from the beginning of a stage on."""
    names = list(SHARES)
    return 1 - sum(SHARES[earlier] for earlier in names[: names.index(name)])


def fitted(run: LivelyRun, stage: Stage, device: torch.device, seconds: Callable[[], float], log: Path) -> LivelyRun:
    """The run with as many steps as fit into the time; the speed is noted in a log."""
    started = time.monotonic()
    for step in range(WARM + TIMED):
        if step == WARM:
            synchronise(device)
            started = time.monotonic()
        stage.loss(*generators(run.seed + 1, step))[0].backward()
    synchronise(device)
    each = (time.monotonic() - started) / TIMED
    for module in stage.modules.values():
        module.zero_grad(set_to_none=True)
    steps = min(run.steps, max(LEAST, int(SLACK * seconds() / each)))
    run = replace(run, steps=steps, warmup=min(run.warmup, steps // 10), save_every=max(1, min(run.save_every, steps // 4)))
    with log.open("a") as lines:
        line = {"stage": run.stage, "seconds_per_step": round(each, 4), "steps": steps, "device": str(device)}
        print(json.dumps(line), file=lines)
    return run


def synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def completed(folder: Path) -> int:
    """Number of completed steps of a stage's folder."""
    path = folder / STATE
    return int(torch.load(path, map_location="cpu", weights_only=True)["step"]) if path.is_file() else 0


def evaluate_shipped(path: Path, device: torch.device, every: int) -> None:
    """Figures of the shipped model over the plain world, by its own detector, for comparison in the same run."""
    tasks = [(Asked.whole(scene), seeds[0]) for scene, seeds in read_set()[::every]]
    found = [(asked, detection) for asked, _, detection in evaluate(by_model(load_demo(device=device)), tasks)]
    path.write_text(json.dumps(asdict(summarise(found)), indent=1) + "\n")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("stopped before the end; the same command continues")
