"""Cost of a motion module per UNet call in both hosts: time, memory, and the lower bound.

    python benchmarks/motion.py [--latent 16] [--frames 16] [--calls 5] [--dtype float32]

An SD1.5-sized UNet (random weights) runs bare and with an AnimateDiff v2 module in turn, in one process, after a warm-up;
medians and their ratio are printed. floor: the ratio of floating-point operations, which no code can beat at equal speed per
operation. memory: peak of live tensors during a call, weights left out, which the modules' are named apart.
"""

import argparse
import statistics
import sys
import time
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / folder) for folder in ("tools", "tests/support")]

Call = Callable[[], torch.Tensor]
Side = Callable[[], AbstractContextManager[Call]]
"""Context of a model with or without motion, with the call to be timed."""


class LivePeak(TorchDispatchMode):
    """Context that tracks the bytes of all storages allocated in it, and their peak."""

    def __init__(self, weights: Iterable[torch.Tensor]) -> None:
        super().__init__()
        self.live = self.peak = 0
        self._tracked = {weight.untyped_storage().data_ptr() for weight in weights}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(out):
            if isinstance(tensor, torch.Tensor):
                self._follow(tensor.untyped_storage())
        return out

    def _follow(self, storage: Any) -> None:
        pointer, size = storage.data_ptr(), storage.nbytes()
        if pointer and pointer not in self._tracked:
            self._tracked.add(pointer)
            self.live += size
            self.peak = max(self.peak, self.live)
            weakref.finalize(storage, self._forget, pointer, size)

    def _forget(self, pointer: int, size: int) -> None:
        self._tracked.discard(pointer)
        self.live -= size


def measure(bare: Side, moved: Side, weights: list[torch.Tensor], calls: int) -> dict[str, float]:
    """Medians over interleaved calls, peaks and operation counts of the two. Entering a side (loading) is not timed."""
    results: dict[str, float] = {}
    times: dict[str, list[float]] = {"bare": [], "moved": []}
    sides = (("bare", bare), ("moved", moved))
    for name, side in sides:
        with side() as call:
            call()
            with FlopCounterMode(display=False) as flops:
                call()
            with LivePeak(weights) as memory:
                call()
        results |= {f"{name}_flops": flops.get_total_flops(), f"{name}_peak": memory.peak}
    for _ in range(calls):
        for name, side in sides:
            with side() as call:
                times[name].append(seconds(call))
    return results | {name: statistics.median(values) for name, values in times.items()}


def seconds(call: Call) -> float:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    start = time.perf_counter()
    call()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - start


def products_alone(motion: torch.nn.Module, side: Side) -> float:
    """Seconds of the module's matrix products alone: a lower bound of its time."""
    shapes: list[tuple[Any, torch.Size]] = []
    hooks = [
        m.register_forward_hook(
            lambda m, args, kwargs, out: shapes.append((m, (args or tuple(kwargs.values()))[0].shape)), with_kwargs=True
        )
        for m in motion.modules()
        if isinstance(m, torch.nn.Linear)
    ]
    with side() as call:
        call()
    for hook in hooks:
        hook.remove()
    total = 0.0
    for layer, shape in shapes:
        x = torch.randn(shape, dtype=layer.weight.dtype, device=layer.weight.device)
        total += seconds(lambda layer=layer, x=x: torch.nn.functional.linear(x, layer.weight))
    return total


def report(host: str, figures: dict[str, float], products: float, weights: int) -> None:
    ratio, floor = figures["moved"] / figures["bare"], figures["moved_flops"] / figures["bare_flops"]
    extra = (figures["moved_peak"] - figures["bare_peak"]) / 2**20
    cost = figures["moved"] - figures["bare"]
    print(
        f"{host}: bare {figures['bare'] * 1e3:.0f} ms, with motion {figures['moved'] * 1e3:.0f} ms, ratio {ratio:.2f} "
        f"(operations {floor:.2f}); extra {cost * 1e3:.0f} ms, its matrix products alone {products * 1e3:.0f} ms, "
        f"ratio {cost / products:.2f}; peak {figures['bare_peak'] / 2**20:.0f} MiB, with motion {extra:+.0f} MiB; "
        f"weights {weights / 2**20:.0f} MiB",
        flush=True,
    )


def inputs(arguments: argparse.Namespace, device: torch.device) -> dict[str, torch.Tensor]:
    rows = 2 * arguments.frames  # conditional and unconditional, as every guided sampler calls
    draw = torch.Generator().manual_seed(0)
    kind = {"device": device, "dtype": getattr(torch, arguments.dtype)}
    return {
        "x": torch.randn(rows, 4, arguments.latent, arguments.latent, generator=draw).to(**kind),
        "t": torch.full((rows,), 500.0, device=device),
        "text": torch.randn(rows, 77, 768, generator=draw).to(**kind),
    }


def in_diffusers(arguments: argparse.Namespace, device: torch.device, layout: dict[str, Any]) -> None:
    from layers import diffusers_unet
    from zoetrope.hosts.diffusers.motion import motion_in

    unet = diffusers_unet(layout).to(device, getattr(torch, arguments.dtype))
    motion = random_module(torch.nn)
    given = inputs(arguments, device)
    call = lambda: unet(given["x"], given["t"], given["text"]).sample  # noqa: E731

    @contextmanager
    def moved() -> Iterator[Call]:
        with motion_in(unet, motion, frames=arguments.frames):
            yield call

    weights = [*unet.parameters(), *motion.parameters()]
    figures = measure(lambda: nullcontext(call), moved, weights, arguments.calls)
    report("diffusers", figures, products_alone(motion, moved), weights_of(motion))
    of_diffusers(arguments, unet, call, given)


def of_diffusers(arguments: argparse.Namespace, unet: Any, bare: Call, given: dict[str, torch.Tensor]) -> None:
    """diffusers' own UNetMotionModel of the same size, whose motion norm spans the clip, beside the same bare UNet."""
    from diffusers.models.unets.unet_motion_model import MotionAdapter, UNetMotionModel
    from einops import rearrange

    adapter = MotionAdapter(motion_norm_num_groups=32, use_motion_mid_block=True, motion_max_seq_length=32)
    theirs = UNetMotionModel.from_unet2d(unet, adapter).to(unet.device, unet.dtype).eval()
    clips = rearrange(given["x"], "(b f) c h w -> b c f h w", f=arguments.frames)
    call = lambda: theirs(clips, given["t"][:1], given["text"]).sample  # noqa: E731
    figures = measure(lambda: nullcontext(bare), lambda: nullcontext(call), [*theirs.parameters()], arguments.calls)
    motion = [m for name, m in theirs.named_modules() if name.rpartition(".")[0].endswith("motion_modules")]
    report("diffusers' UNetMotionModel", figures, products_alone(torch.nn.ModuleList(motion), lambda: nullcontext(call)), 0)


def in_comfyui(arguments: argparse.Namespace, layout: dict[str, Any]) -> None:
    import tiny_host
    from zoetrope.hosts.comfyui.motion import apply as comfyui

    dtype = getattr(torch, arguments.dtype)
    base = tiny_host.model(layout, storage=dtype)
    module = random_module(comfyui.comfy.ops.manual_cast)
    motion = tiny_host.host_motion(module, module.report)
    patched = comfyui.apply(base, motion, comfyui.Settings(frames=arguments.frames, schedule="keep the model's"))
    given = inputs(arguments, base.load_device)

    def side(patcher: Any) -> Side:
        @contextmanager
        def loaded() -> Iterator[Call]:
            tiny_host.load_unet(patcher)
            yield lambda: tiny_host.call_loaded_unet(patcher, given["x"], given["t"], given["text"], chunks=2)

        return loaded

    weights = [*base.model.parameters(), *module.parameters()]
    figures = measure(side(base), side(patched), weights, arguments.calls)
    report("ComfyUI", figures, products_alone(module, side(patched)), weights_of(module))


def random_module(ops: Any) -> Any:
    from layers import motion_from, randomise
    from published_keys import animatediff

    tensors = {key: torch.zeros(value.shape) for key, value in animatediff("v2").items()}
    motion, motion.report = motion_from(tensors, "random", ops)
    return randomise(motion)


def weights_of(motion: torch.nn.Module) -> int:
    return sum(p.numel() * p.element_size() for p in motion.parameters())


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--latent", type=int, default=16, help="height and width of the latent (64 is a 512 px picture)")
    parser.add_argument("--frames", type=int, default=16)
    parser.add_argument("--calls", type=int, default=5)
    parser.add_argument("--dtype", default="float32", choices=("float32", "float16", "bfloat16"))
    arguments = parser.parse_args()
    sys.argv = sys.argv[:1]
    import hosting
    from naming import name_the_checkout

    host, why = hosting.enter_host()
    name_the_checkout()

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    layout = {
        "image_size": 32, "in_channels": 4, "out_channels": 4, "model_channels": 320, "num_res_blocks": [2] * 4,
        "channel_mult": [1, 2, 4, 4], "transformer_depth": [1] * 6 + [0] * 2, "transformer_depth_output": [1] * 9 + [0] * 3,
        "transformer_depth_middle": 1, "context_dim": 768, "num_heads": 8, "use_spatial_transformer": True,
        "use_linear_in_transformer": False, "adm_in_channels": None, "legacy": False, "use_checkpoint": False,
    }  # fmt: skip
    where = torch.cuda.get_device_name() if device.type == "cuda" else f"CPU, {torch.get_num_threads()} threads"
    print(f"SD1.5 UNet, AnimateDiff v2, {arguments.frames} frames x 2, {arguments.latent}x{arguments.latent} latents, "
          f"{arguments.dtype}, {where}, torch {torch.__version__}")  # fmt: skip
    in_diffusers(arguments, device, layout)
    in_comfyui(arguments, layout) if host else print(f"ComfyUI    skipped: {why}")


if __name__ == "__main__":
    main()
