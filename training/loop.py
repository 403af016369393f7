"""Training loop of all stages: seeded, resumable, with averaged weights (EMA) and progress output.

Everything random in step n (scenes, noise, levels) comes from generators seeded with (seed, n), so a resumed run gives the same
weights as an uninterrupted one. Under `torchrun` each process has its own batch, and gradients are averaged.
"""

import copy
import json
import math
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from threading import Event
from typing import Any

import torch
import torch.distributed as dist
from PIL.Image import Image
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from .run import Run

Loss = Callable[[torch.Generator, torch.Generator], tuple[Tensor, dict[str, float]]]
"""(generator for the kind of step, with the same seed in all processes; generator for the step's data) -> loss, log values"""
Show = Callable[[Mapping[str, Any]], Image]
"""Modules with the averaged weights -> sample sheet"""
STATE = "state.pt"


class Averaged:
    """Exponential moving average of weights."""

    def __init__(self, modules: Mapping[str, nn.Module], decay: float):
        self.decay = decay
        self.weights = {name: {k: v.detach().clone() for k, v in m.state_dict().items()} for name, m in modules.items()}

    @torch.no_grad()
    def update(self, modules: Mapping[str, nn.Module], step: int) -> None:
        """Adds the weights after a step to the average."""
        decay = min(self.decay, (1 + step) / (10 + step))  # lower at first, to forget the random initial weights
        for name, module in modules.items():
            current = module.state_dict()
            get_ema_multi_avg_fn(decay)([self.weights[name][key] for key in current], list(current.values()), None)

    def averaged_copies(self, modules: Mapping[str, nn.Module]) -> dict[str, nn.Module]:
        """Copies of the modules with the averaged weights, in eval mode."""
        copies = {name: copy.deepcopy(module).eval() for name, module in modules.items()}
        for name, module in copies.items():
            module.load_state_dict(self.weights[name])
        return copies


def train(
    config: Run, modules: Mapping[str, nn.Module], loss: Loss, show: Show, folder: Path, until: int | None = None
) -> None:
    """Trains the parameters of `modules` that require gradients, and saves `folder/state.pt` and sample sheets at intervals.

    show    makes a sample sheet
    until   step after which to save and stop, if before config.steps
    """
    folder.mkdir(parents=True, exist_ok=True)
    parameters = [p for module in modules.values() for p in module.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(parameters, lr=config.rate, betas=(0.9, 0.99), weight_decay=0.01, fused=True)
    average = Averaged(modules, config.ema)
    step = resume(config, modules, optimiser, average, folder)
    last = min(config.steps, until or config.steps)
    started, first = time.monotonic(), step
    with interrupts() as interrupted:
        while step < last and not interrupted.is_set():
            for group in optimiser.param_groups:
                group["lr"] = config.rate * learning_rate_factor(step, config)
            value, figures = loss(*generators(config.seed, step))
            optimiser.zero_grad(set_to_none=True)
            value.backward()
            average_gradients(parameters)
            nn.utils.clip_grad_norm_(parameters, 1.0)
            optimiser.step()
            average.update(modules, step)
            step += 1
            if not is_main_process():
                continue
            if step % config.save_every == 0 or step == last:
                save(config, modules, optimiser, average, step, folder)
            if step % config.show_every == 0 or step == last:
                show(average.averaged_copies(modules)).save(folder / f"sheet_{step:06d}.png")
            each = (time.monotonic() - started) / (step - first)
            progress(step, last, figures | {"loss": float(value.detach())}, each, folder)
        if step < last and is_main_process():
            save(config, modules, optimiser, average, step, folder)
            print(f"\nstopped at step {step}; run the same command again to continue", file=sys.stderr)


@contextmanager
def interrupts() -> Iterator[Event]:
    """Within the block the first Ctrl-C only sets the event, so that the step completes; the next raises KeyboardInterrupt."""
    interrupted = Event()

    def interrupt(*_: Any) -> None:
        interrupted.set()
        signal.signal(signal.SIGINT, signal.default_int_handler)

    before = signal.signal(signal.SIGINT, interrupt)
    try:
        yield interrupted
    finally:
        signal.signal(signal.SIGINT, before)


def is_main_process() -> bool:
    """Whether this process saves and prints: it is the only one, or has rank 0."""
    return not dist.is_initialized() or dist.get_rank() == 0


def generators(seed: int, step: int) -> tuple[torch.Generator, torch.Generator]:
    """Generators for the kind of a step (the same seed in all processes) and for its data."""
    kind = seed * 10_000_019 + step
    rank = dist.get_rank() if dist.is_initialized() else 0
    return torch.Generator().manual_seed(kind), torch.Generator().manual_seed(kind + (rank + 1) * 1_000_000_007)


def average_gradients(parameters: Sequence[nn.Parameter]) -> None:
    """Averages gradients over all processes in one all-reduce. In a step all processes train the same parameters."""
    if not dist.is_initialized():
        return
    gradients = [p.grad for p in parameters if p.grad is not None]
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    dist.all_reduce(flat)
    flat /= dist.get_world_size()
    for gradient, mean in zip(gradients, flat.split([gradient.numel() for gradient in gradients]), strict=True):
        gradient.copy_(mean.view_as(gradient))


def learning_rate_factor(step: int, config: Run) -> float:
    """Factor of the learning rate at a step: linear warm-up, then cosine decay."""
    if step < config.warmup:
        return (step + 1) / config.warmup
    return 0.5 * (1 + math.cos(math.pi * (step - config.warmup) / max(1, config.steps - config.warmup)))


def save(config: Run, modules: Any, optimiser: Any, average: Averaged, step: int, folder: Path) -> None:
    """Writes `folder/state.pt` atomically."""
    state = {
        "config": asdict(config),
        "step": step,
        "modules": {name: module.state_dict() for name, module in modules.items()},
        "average": average.weights,
        "optimiser": optimiser.state_dict(),
    }
    torch.save(state, folder / "state.new")
    os.replace(folder / "state.new", folder / STATE)


def resume(config: Run, modules: Any, optimiser: Any, average: Averaged, folder: Path) -> int:
    """Loads `folder/state.pt` if it exists. Returns the number of completed steps.

    Raises ValueError if it was saved with another configuration.
    """
    path = folder / STATE
    if not path.is_file():
        return 0
    state = torch.load(path, map_location="cpu", weights_only=True)
    if state["config"] != asdict(config):
        changed = [key for key, value in asdict(config).items() if state["config"].get(key) != value]
        raise ValueError(f"{path}: saved with another configuration ({', '.join(changed)} differ); choose another --output")
    for name, module in modules.items():
        module.load_state_dict(state["modules"][name])
        for key, value in state["average"][name].items():
            average.weights[name][key].copy_(value)
    optimiser.load_state_dict(state["optimiser"])
    return state["step"]


def averaged_weights(folder: Path) -> dict[str, dict[str, Tensor]]:
    """Averaged weights in a stage's output folder: module -> key -> tensor. Raises ValueError if it has no `state.pt`."""
    path = folder / STATE
    if not path.is_file():
        raise ValueError(f"{folder}: expected the output folder of a trained stage, got no state.pt; train the stage first")
    return torch.load(path, map_location="cpu", weights_only=True)["average"]


def progress(step: int, last: int, figures: Mapping[str, float], each: float, folder: Path) -> None:
    """Prints the log values and appends them to `folder/log.jsonl` every 50 steps. each: seconds per step."""
    if step % 50 and step != last:
        return
    with (folder / "log.jsonl").open("a") as log:
        print(json.dumps({"step": step, **{k: round(v, 5) for k, v in figures.items()}}), file=log)
    text = "  ".join(f"{name} {value:.4f}" for name, value in figures.items())
    print(
        f"step {step}/{last}  {text}  {each:.2f} s/step, {(last - step) * each / 60:.0f} min left", file=sys.stderr, flush=True
    )
