"""Cost of the edits of the category Restyle in ComfyUI: time over the bare call, its floor, and memory over many calls.

    python benchmarks/restyle.py [--rounds 3] [--frames 4] [--attention host|pytorch]

Three parts, each in one process with calls in turn, in an order that changes with every round:

attention   one self-attention of SD1.x's finest level (width 320, 8 heads), with the norm before it, on 32x32
            latents; merging on 64x64, too
UNet        a whole UNet of SD1.5's size (random weights) on 16x16 latents
memory      live tensors after few and after many calls of a small UNet

Times are seconds of the processor, so that other work on the machine does not count. products: those of the additional matrix
products alone, measured in the same rounds; no code can take less. operations: ratio of floating-point operations to those of
the bare call.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import motion
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

BARE = "bare"
SD15: dict[str, Any] = {
    "model_channels": 320, "num_res_blocks": [2] * 4, "channel_mult": [1, 2, 4, 4], "context_dim": 768, "num_heads": 8,
    "transformer_depth": [1] * 6 + [0] * 2, "transformer_depth_output": [1] * 9 + [0] * 3,
}  # fmt: skip
ONE_LEVEL: dict[str, Any] = {
    "model_channels": 320, "num_res_blocks": [1], "channel_mult": [1], "context_dim": 768, "num_heads": 8,
    "transformer_depth": [1], "transformer_depth_output": [0, 0], "transformer_depth_middle": -1,
}  # fmt: skip
"""Differences from `tiny_host.LAYOUT`."""
RANK = 16
Sides = Mapping[str, motion.Side]


@dataclass(frozen=True)
class Row:
    """An edit of the table."""

    side: str
    floor: str = ""
    """The side with its additional matrix products alone, beside those of the bare call."""
    less: str = ""
    """The side whose time is taken off `floor`; the bare call's products."""


def race(sides: Sides, rounds: int) -> dict[str, list[float]]:
    """Seconds of each side by round. The order turns with every round; the first calls are not timed."""
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    names = list(sides)
    for turn in range(-1, rounds):
        at = turn % len(names)
        for name in names[at:] + names[:at]:
            with sides[name]() as call:
                begun = time.process_time()
                call()
                taken = time.process_time() - begun
            if turn >= 0:
                seconds[name].append(taken)
    return seconds


def report(title: str, rows: Sequence[Row], sides: Sides, rounds: int) -> None:
    """Prints a table: median times, ratios to the bare call in the same round, and the extra time over its floor."""
    seconds, operations = race(sides, rounds), {row.side: counted(sides[row.side]) for row in rows}
    print(
        f"\n{title}\n\n| | ms | ÷ bare (rounds) | operations | extra ms | products ms | extra ÷ products |\n|---|" + "---|" * 6
    )
    for row in rows:
        ratios = [mine / bare for mine, bare in zip(seconds[row.side], seconds[BARE], strict=True)]
        extra = [mine - bare for mine, bare in zip(seconds[row.side], seconds[BARE], strict=True)]
        middle, more = statistics.median(ratios), statistics.median(extra)
        cells = [
            f"{statistics.median(seconds[row.side]) * 1e3:.0f}", f"{middle:.3f} ({min(ratios):.3f} to {max(ratios):.3f})",
            f"{operations[row.side] / operations[BARE]:.3f}", f"{more * 1e3:.0f}",
        ]  # fmt: skip
        if row.floor:
            less = seconds[row.less] if row.less else [0.0] * rounds
            floor = statistics.median(a - b for a, b in zip(seconds[row.floor], less, strict=True))
            cells += [f"{floor * 1e3:.0f}", f"{more / floor:.2f}"]
        print(f"| {row.side} | {' | '.join([*cells, '', ''][:6])} |", flush=True)


def counted(side: motion.Side) -> int:
    with side() as call, FlopCounterMode(display=False) as flops:
        call()
    return flops.get_total_flops()


def edits(model: Any, lora: str) -> dict[str, Any]:
    """The MODEL with each edit, as its node applies it."""
    import tiny_loras
    from zoetrope.hosts.comfyui.conditioning.merging import MergeSettings, merge_across_frames
    from zoetrope.hosts.comfyui.conditioning.shared_attention import SharedSettings, apply_shared
    from zoetrope.models.edits.frame_table import FIRST, FIRST_AND_PREVIOUS, FrameTable

    both = FrameTable(FIRST_AND_PREVIOUS)
    return {
        BARE: model,
        "Look, first": apply_shared(model, SharedSettings(FrameTable(FIRST)))[0],
        "Look, first and previous": apply_shared(model, SharedSettings(both))[0],
        "Look, first and previous, strength .5": apply_shared(model, SharedSettings(both, strength=0.5))[0],
        "Merge": merge_across_frames(model, MergeSettings())[0],
        "LoRA by Frame, a ramp": tiny_loras.by_frame(model, lora, tiny_loras.ramp(0.25, 0.5, 0.75, 1.0)),
    }


def loaded(model: Any, given: Mapping[str, Tensor], chunks: int, more: Mapping[str, Any]) -> motion.Side:
    """A MODEL's call of its UNet, as one step of sampling makes it."""
    import tiny_host

    @contextmanager
    def side() -> Iterator[motion.Call]:
        tiny_host.load_unet(model)
        own = model.model_options["transformer_options"]
        options = {**own, **more, "wrappers": model.wrappers, "cond_or_uncond": list(range(chunks))}
        yield lambda: model.model.diffusion_model(
            given["x"], given["t"], context=given["text"], y=None, transformer_options=options
        )

    return side


def lora_file(model: Any, folder: Path) -> str:
    """A LoRA of rank 16 for the linear layers of all transformer blocks."""
    import tiny_loras

    tiny_loras.RANK = RANK
    return tiny_loras.saved(tiny_loras.random_lora(model, only="transformer_blocks"), folder)


def whole_unet(arguments: argparse.Namespace, folder: Path) -> None:
    import tiny_host

    model = tiny_host.model(tiny_host.LAYOUT | SD15)
    given = motion.inputs(argparse.Namespace(frames=arguments.frames, latent=16, dtype="float32"), model.load_device)
    given = {name: value[: arguments.frames] for name, value in given.items()}
    patched = edits(model, lora_file(model, folder))
    sides = {name: loaded(one, given, 1, {}) for name, one in patched.items()}
    shapes = low_rank_shapes(patched["LoRA by Frame, a ramp"], sides["LoRA by Frame, a ramp"])
    sides["products of the LoRA"] = lambda: nullcontext(lambda: products(shapes))
    rows = [Row(name, "products of the LoRA" if name.startswith("LoRA") else "") for name in patched]
    report(f"UNet of SD1.5's size, {arguments.frames} frames, 16x16 latents", rows, sides, arguments.rounds)


def low_rank_shapes(model: Any, side: motion.Side) -> list[tuple[Any, Tensor]]:
    """Each low-rank layer of a MODEL, with an input of the shape that a call gives it."""
    found: list[tuple[Any, Tensor]] = []
    network = next(iter(model.get_additional_models())).model
    layers = [layer for layer in network.modules() if isinstance(layer, nn.Linear)]
    hooks = [
        layer.register_forward_hook(lambda module, args, output: found.append((module, torch.randn(args[0].shape))))
        for layer in layers
    ]
    with side() as call:
        call()
    for hook in hooks:
        hook.remove()
    return found


def products(shapes: Sequence[tuple[Any, Tensor]]) -> Tensor:
    for layer, x in shapes:
        nn.functional.linear(x, layer.weight)
    return torch.empty(0)


def one_attention(side: int, frames: int, rounds: int, kind: str = "") -> None:
    """Times a norm and a self-attention, with hooks as a loaded MODEL has them. kind: beginning of the edits' names."""
    from zoetrope.hosts.comfyui.call import host_attention

    def alone(keys: int) -> motion.Side:
        q, k = (torch.randn(frames, count * side * side, 320) for count in (1, keys))
        return lambda: nullcontext(lambda: host_attention({})(q, k, k, 8))

    edited = attention_sides(side, frames)
    sides = {**edited, "attention": alone(1), "attention to two frames": alone(2)}
    both = ("attention to two frames", "attention")
    rows = [Row(name, *(both if name == "Look, first and previous" else ())) for name in edited]
    rows = [row for row in rows if row.side == BARE or row.side.startswith(kind)]
    used = {name for row in rows for name in (row.side, row.floor, row.less)}
    sides = {name: one for name, one in sides.items() if name in used}
    report(f"One self-attention of width 320, {frames} frames, {side}x{side} latents", rows, sides, rounds)


def attention_sides(side: int, frames: int) -> dict[str, motion.Side]:
    """The attention without an edit and with each of them."""
    import tiny_host
    from zoetrope.hosts.comfyui.unet import unet_places
    from zoetrope.models.edits.frame_table import FIRST, FIRST_AND_PREVIOUS, FrameTable
    from zoetrope.models.edits.merging import MergeInputs, OtherWindows, TokenMerging, blocks_of
    from zoetrope.models.edits.shared_attention import SharedAttention, SharedInputs

    places = unet_places(tiny_host.model(tiny_host.LAYOUT | ONE_LEVEL).model.diffusion_model)
    ((name, block),) = blocks_of(places).items()
    x = torch.randn(frames, side * side, 320, generator=torch.Generator().manual_seed(0))
    draws = torch.rand(8, generator=torch.Generator().manual_seed(0)).tolist()
    stored = {(name, "one"): torch.randn(int(1.3 * side * side), 320)}

    def call() -> Tensor:
        return block.attn1(block.norm1(x))

    def look(pattern: str, strength: float = 1.0) -> motion.Side:
        table = FrameTable(pattern).of(range(frames))
        return installed(SharedAttention(), places, call, lambda: SharedInputs(table, frames, strength, (side, side)))

    def merge(before: Mapping[Any, Tensor] | None = None) -> motion.Side:
        def inputs() -> MergeInputs:
            others = None if before is None else OtherWindows(before, {}, (("one",),), 0.8, True)
            return MergeInputs(frames, frames, (side, side), draws, others=others)

        return installed(TokenMerging(), places, call, inputs)

    return {
        BARE: lambda: nullcontext(call), "Look, first": look(FIRST), "Look, first and previous": look(FIRST_AND_PREVIOUS),
        "Look, first and previous, strength .5": look(FIRST_AND_PREVIOUS, 0.5), "Merge": merge(),
        "Merge, with tokens of another window": merge(stored),
    }  # fmt: skip


def installed(edit: Any, places: Any, call: motion.Call, inputs: Callable[[], Any]) -> motion.Side:
    @contextmanager
    def side() -> Iterator[motion.Call]:
        edit.install(None, places)
        edit.give(inputs())
        try:
            yield call
        finally:
            edit.remove()

    return side


def memory(folder: Path, calls: int = 30) -> None:
    """Prints live bytes after few and after many steps of two windows, by edit."""
    import tiny_host
    from zoetrope.hosts.comfyui.call import CALL_STATES, FRAMES, LENGTH

    model = tiny_host.model()
    given = motion.inputs(argparse.Namespace(frames=4, latent=8, dtype="float32"), model.load_device)
    given["text"] = given["text"][..., :16].contiguous()
    print(f"\nBytes of live tensors after 4 and after {calls} steps of two windows, small UNet\n")
    for name, one in edits(model, lora_file(model, folder)).items():
        found = []
        with motion.LivePeak(model.model.parameters()) as tracked:
            for step in range(calls):
                for numbers in (range(4), range(4, 8)):
                    sigma = torch.full((8,), 14.0 * (1 - step / calls))
                    more = {FRAMES: list(numbers), LENGTH: 8, CALL_STATES: SimpleNamespace(steps=step), "sigmas": sigma}
                    with loaded(one, given, 2, more)() as call:
                        call()
                    del sigma, more, call
                found.append(tracked.live)
        print(f"{name}: {found[3]} and {found[-1]}", flush=True)


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--frames", type=int, default=4)
    parser.add_argument("--attention", choices=("host", "pytorch"), default="host", help="host: its default on this machine")
    arguments = parser.parse_args()
    sys.argv = sys.argv[:1]  # the host reads them too
    import hosting
    from naming import name_the_checkout

    host, why = hosting.enter_host()
    name_the_checkout()
    if host is None:
        return print(f"skipped: {why}")
    torch.set_num_threads(1)
    import comfy.ldm.modules.attention as host_functions

    if arguments.attention == "pytorch":
        host_functions.optimized_attention = host_functions.attention_pytorch
    function = host_functions.optimized_attention.__name__
    print(f"ComfyUI {hosting.version(host)}, {function}, torch {torch.__version__}, CPU, 1 thread, float32")
    one_attention(32, arguments.frames, arguments.rounds)
    one_attention(64, arguments.frames, arguments.rounds, "Merge")
    with tempfile.TemporaryDirectory() as folder:
        whole_unet(arguments, Path(folder))
        memory(Path(folder))


if __name__ == "__main__":
    main()
