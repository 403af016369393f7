"""Comparison of the motion modules of this pack and of AnimateDiff-Evolved: one ComfyUI, one UNet, one file, calls in turn.

    EVOLVED_PATH=<a checkout of AnimateDiff-Evolved> python benchmarks/against_evolved.py
        [--latent 16] [--frames 16] [--calls 3] [--dtype float32] [--device cpu|cuda] [--threads 1]

First both reproduce the golden outputs of AnimateDiff v2 and v3 in the host's own UNet, or there is nothing to compare. Then an
SD1.5-sized UNet (random weights) runs bare, with ours and with theirs, the same random v2 file in both, in changing order.
extra: time over the bare UNet. products: a module's linear layers alone, on the shapes they were called with: a floor for its
extra time. peak: live tensors during a call, weights left out. What either pack does around the UNet call, once per step or per
run, is not timed. Written against commit d8d163c of AnimateDiff-Evolved (version 1.5.7).
"""

import argparse
import importlib
import logging
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import motion
import torch
from torch import Tensor, nn

PACK = "evolved"  # import name of AnimateDiff-Evolved, in place of its path
TOLERANCE = 2e-5
SD15: dict[str, Any] = {
    "model_channels": 320, "num_res_blocks": [2] * 4, "channel_mult": [1, 2, 4, 4], "context_dim": 768, "num_heads": 8,
    "transformer_depth": [1] * 6 + [0] * 2, "transformer_depth_output": [1] * 9 + [0] * 3,
}  # fmt: skip
"""Differences of an SD1.5 UNet from `tiny_host.LAYOUT`."""


@dataclass(frozen=True)
class Contender:
    """A variant of the UNet: with a motion module or, where that is None, alone."""

    name: str
    side: motion.Side
    module: nn.Module | None


@dataclass(frozen=True)
class Figures:
    """Measurements of one contender."""

    output: Tensor  # (b f) c h w
    peak: int  # bytes
    seconds: tuple[float, ...]  # of one UNet call each
    products: float  # seconds; 0 without module

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)


class Evolved:
    """AnimateDiff-Evolved through its nodes, or its functions where a node works in a sampler only."""

    def __init__(self, path: Path, models: Path) -> None:
        """path: its checkout; models: the folder of `animatediff_models`, where it searches for motion files."""
        import folder_paths

        folder_paths.models_dir = str(models)  # else it makes folders in the host's
        spec = spec_from_file_location(PACK, path / "__init__.py", submodule_search_locations=[str(path)])
        assert spec
        assert spec.loader
        sys.modules[PACK] = module_from_spec(spec)
        spec.loader.exec_module(sys.modules[PACK])
        logging.getLogger("AnimateDiffEvo").setLevel(logging.WARNING)
        self.nodes: Mapping[str, Any] = sys.modules[PACK].NODE_CLASS_MAPPINGS
        names = ("motion_module_ad", "model_injection", "sampling")
        self.layers, self.patching, self.sampling = (importlib.import_module(f"{PACK}.animatediff.{name}") for name in names)

    def load(self, name: str) -> Any:
        """Loads a file in `animatediff_models` with its loader node."""
        return self.nodes["ADE_LoadAnimateDiffModel"]().load_motion_model(name)[0]

    def narrow(self, state: Mapping[str, Tensor], version: str) -> Any:
        """Builds a motion model of its layers in widths other than SD1.5's, which its loader does not accept."""
        info = self.layers.AnimateDiffInfo("SD1.5", "AnimateDiff", version, "golden")
        with torch.device("meta"):  # at full width, for its settings only
            model = self.layers.AnimateDiffModel(state, info)

        def blocks(kind: str) -> list[Any]:
            make, length = self.layers.MotionModule, model.encoding_max_len
            return [make(width, True, length, kind, i, ops=model.ops) for i, width in enumerate(widths_of(state, kind))]

        model.down_blocks, model.up_blocks = nn.ModuleList(blocks("down")), nn.ModuleList(blocks("up"))
        model.mid_block = next(iter(blocks("mid")), None)
        model.load_state_dict(state, strict=True)
        import comfy.model_management as management

        return self.patching.create_MotionModelPatcher(model, management.get_torch_device(), management.unet_offload_device())

    def apply(self, base: Any, model: Any) -> Any:
        """A MODEL that runs the motion model, as its nodes give it; the MODEL's own noise schedule is kept."""
        models = self.nodes["ADE_ApplyAnimateDiffModelSimple"]().apply_motion_model(model)[0]
        return self.nodes["ADE_UseEvolvedSampling"]().use_evolved_sampling(base, "use existing", m_models=models)[0]

    def start(self, patched: Any, frames: int) -> None:
        """Prepares the motion model as its sampling wrapper does before the first step."""
        helper = self.patching.ModelPatcherHelper(patched)
        params = helper.get_params().clone()
        assert params.apply_v2_properly, "v2 would normalise the image UNet over the clip"
        params.full_length = frames
        self.sampling.apply_params_to_motion_models(helper, params, patched.model_options)
        helper.pre_run()


def widths_of(state: Mapping[str, Tensor], kind: str) -> list[int]:
    """Channels of the levels that have motion modules, in file order; kind: down, up or mid."""
    last = "motion_modules.0.temporal_transformer.proj_in.weight"
    return [value.shape[0] for key, value in sorted(state.items()) if key.startswith(f"{kind}_block") and key.endswith(last)]


def run_as(dtype: str) -> None:
    """Sets the host's dtype of UNets, as its options --fp16-unet and the like do."""
    from comfy.cli_args import args

    args.fp32_unet, args.fp16_unet, args.bf16_unet = (dtype == name for name in ("float32", "float16", "bfloat16"))


def apply_ours(base: Any, file: Path, frames: int) -> tuple[Any, nn.Module]:
    """A MODEL that runs a motion file with this pack, and the module; the MODEL's own noise schedule is kept."""
    from zoetrope.hosts.comfyui.motion import apply as comfyui

    loaded = comfyui.load(str(file))
    return comfyui.apply(base, loaded, comfyui.Settings(frames=frames, schedule=comfyui.MODEL)), loaded.patcher.model


def check_golden(evolved: Evolved, folder: Path) -> None:
    """Prints the errors of both packs against the golden outputs; exits where they exceed the tolerance."""
    import golden
    import tiny_host
    from layers import error_of
    from safetensors.torch import save_file

    path = next((p for p in golden.all_files() if p.stem == "unet_tiny_cases"), None)
    if path is None:
        raise SystemExit("no unet_tiny_cases.safetensors: set GOLDEN_DIR to the folder of the golden files")
    for name in ("out.v2", "out.v3"):
        case = golden.unet_case(path, name)
        base = tiny_host.model(case.layout, case.spatial)
        save_file({key: value.contiguous() for key, value in case.motion.items()}, folder / "golden.safetensors")
        ours, _ = apply_ours(base, folder / "golden.safetensors", case.frames)
        theirs = evolved.apply(base, evolved.narrow(case.motion, name.removeprefix("out.")))
        evolved.start(theirs, case.frames)
        x, t, text = (value.to(base.load_device) for value in (case.sample, case.timesteps.float(), case.context))
        errors = [error_of(tiny_host.call_unet(patched, x, t, text).cpu(), case.output) for patched in (ours, theirs)]
        print(f"golden {name}: largest error of ours {errors[0]:.1e}, of theirs {errors[1]:.1e}", flush=True)
        if max(errors) > TOLERANCE:
            raise SystemExit(f"{name} is not reproduced within {TOLERANCE}: times of different computations cannot be compared")


def random_file(path: Path, dtype: torch.dtype) -> None:
    """An AnimateDiff v2 file in weights of the size a trained one has: scaled by fan-in, norms near one."""
    from published_keys import animatediff
    from safetensors.torch import save_file

    draw = torch.Generator().manual_seed(0)
    state: dict[str, Tensor] = {}
    for key, shape in ((key, value.shape) for key, value in animatediff("v2").items()):
        scale = 1.0 if key.endswith(".pe") else shape[-1] ** -0.5 if len(shape) > 1 else 0.1
        offset = float(len(shape) == 1 and "norm" in key and key.endswith("weight"))
        state[key] = (torch.randn(shape, generator=draw) * scale + offset).to(dtype)
    save_file(state, path)


def contenders(evolved: Evolved, file: Path, arguments: argparse.Namespace) -> tuple[list[Contender], list[Tensor]]:
    """Bare, ours and theirs around one UNet, and all the tensors that they hold between calls."""
    import tiny_host

    base = tiny_host.model(tiny_host.LAYOUT | SD15, storage=getattr(torch, arguments.dtype))
    theirs = evolved.load(file.name)
    with_ours, ours = apply_ours(base, file, arguments.frames)
    with_theirs = evolved.apply(base, theirs)
    given = motion.inputs(arguments, base.load_device)

    def side(patcher: Any, start: Callable[[], None] = lambda: None) -> motion.Side:
        @contextmanager
        def loaded() -> Iterator[motion.Call]:
            tiny_host.load_unet(patcher)
            start()
            yield lambda: tiny_host.call_loaded_unet(patcher, given["x"], given["t"], given["text"], chunks=2)

        return loaded

    weights = [tensor for m in (base.model, ours, theirs.model) for tensor in (*m.parameters(), *m.buffers())]
    return [
        Contender("bare UNet", side(base), None),
        Contender("Zoetrope", side(with_ours), ours),
        Contender("AnimateDiff-Evolved", side(with_theirs, lambda: evolved.start(with_theirs, arguments.frames)), theirs.model),
    ], weights


def race(field: list[Contender], weights: list[Tensor], calls: int) -> dict[str, Figures]:
    """Figures by name. The order turns with every round; loading and the first calls are not timed."""
    first: dict[str, tuple[Tensor, int]] = {}
    for runner in field:
        with runner.side() as call:
            first[runner.name] = call().float(), peak(call, weights)
    seconds: dict[str, list[float]] = {runner.name: [] for runner in field}
    for turn in range(calls):
        for runner in field[turn % len(field) :] + field[: turn % len(field)]:
            with runner.side() as call:
                seconds[runner.name].append(motion.seconds(call))
    products = {r.name: motion.products_alone(r.module, r.side) if r.module else 0.0 for r in field}
    return {name: Figures(*first[name], tuple(seconds[name]), products[name]) for name in first}


def peak(call: motion.Call, weights: list[Tensor]) -> int:
    """Peak bytes of a call, above those before it."""
    if not torch.cuda.is_available():
        with motion.LivePeak(weights) as memory:
            call()
        return memory.peak
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    call()
    return torch.cuda.max_memory_allocated() - before


def report(figures: Mapping[str, Figures]) -> None:
    bare, ours, theirs = figures.values()
    for name, own in figures.items():
        extra = own.median - bare.median
        text = f"{name:<20}{own.median * 1e3:7.0f} ms ({min(own.seconds) * 1e3:.0f} to {max(own.seconds) * 1e3:.0f})"
        if own.products:
            text += f", extra {extra * 1e3:.0f} ms, products {own.products * 1e3:.0f} ms, ratio {extra / own.products:.2f}"
        print(f"{text}; peak {own.peak / 2**20:.0f} MiB ({(own.peak - bare.peak) / 2**20:+.0f})")
    ratio = (theirs.median - bare.median) / (ours.median - bare.median)
    rounds = [(c - a) / (b - a) for a, b, c in zip(*(own.seconds for own in figures.values()), strict=True)]
    print(f"extra of AnimateDiff-Evolved / extra of Zoetrope: {ratio:.2f} (by round {min(rounds):.2f} to {max(rounds):.2f})")
    apart, moved = ((one.output - ours.output).abs().max().item() for one in (theirs, bare))
    print(f"outputs: theirs differ from ours by {apart:.1e} at most, those of the bare UNet by {moved:.1e}")


def commit_of(path: Path) -> str:
    if not (path / ".git").exists():
        return "of unknown commit"
    done = subprocess.run(["git", "-C", str(path), "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--latent", type=int, default=16, help="height and width of the latent (64 is a 512 px picture)")
    parser.add_argument("--frames", type=int, default=16)
    parser.add_argument("--calls", type=int, default=3)
    parser.add_argument("--dtype", default="float32", choices=("float32", "float16", "bfloat16"))
    parser.add_argument("--device", choices=("cpu", "cuda"), help="default: cuda where there is one")
    parser.add_argument("--threads", type=int, default=1, help="of the CPU; more than one spin where other work wants the core")
    arguments = parser.parse_args()
    if arguments.device == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""  # read when CUDA is first asked for, which nothing has done yet
    if arguments.device == "cuda" and not torch.cuda.is_available():
        parser.error("no CUDA device here")
    return arguments


@torch.inference_mode()
def main() -> None:
    arguments = parsed()
    sys.argv = sys.argv[:1]  # the host reads them too
    given = os.environ.get("EVOLVED_PATH")
    if not given:
        return print("skipped: set EVOLVED_PATH to a checkout of AnimateDiff-Evolved")
    import hosting
    from naming import name_the_checkout

    host, why = hosting.enter_host()
    if not host:
        return print(f"skipped: {why}")
    name_the_checkout()
    torch.set_num_threads(arguments.threads)
    where = torch.cuda.get_device_name() if torch.cuda.is_available() else f"CPU, {torch.get_num_threads()} threads"
    print(f"ComfyUI {hosting.version(host)}, AnimateDiff-Evolved {commit_of(Path(given))}, torch {torch.__version__}, {where}")
    with tempfile.TemporaryDirectory() as temporary:
        file = Path(temporary) / "animatediff_models" / "random_v2.safetensors"
        file.parent.mkdir()
        random_file(file, getattr(torch, arguments.dtype))
        evolved = Evolved(Path(given), Path(temporary))
        run_as("float32")
        with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            check_golden(evolved, Path(temporary))
        run_as(arguments.dtype)
        print("SD1.5 UNet, AnimateDiff v2, {frames} frames x 2, {latent}x{latent} latents, {dtype}".format(**vars(arguments)))
        report(race(*contenders(evolved, file, arguments), arguments.calls))


if __name__ == "__main__":
    main()
