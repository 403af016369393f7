"""Long shots of the host's video transformers: `python benchmarks/dit.py [--latents 12]`; needs ComfyUI (COMFYUI_PATH).

Random weights in the host's own Wan class, so times and memory are those of the loop, and pictures are noise. Printed: wall
time of the queue's steady state over the network's own time, and over the host's guider called as often at one level;
with --memory N, main memory of a whole shot with journal, decoding and video at latents 100, N / 2 and N.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

sys.path[:0] = [str(Path(__file__).parents[1] / folder) for folder in ("tools", "tests/support")]
import hosting  # noqa: E402
from naming import name_the_checkout  # noqa: E402

HOST, WHY_NOT = hosting.enter_host()
name_the_checkout()

import torch  # noqa: E402
from zoetrope.sampling import fifo  # noqa: E402
from zoetrope.sampling.noise import FrameNoise  # noqa: E402
from zoetrope.sampling.queue import QueueSettings, clip_presets  # noqa: E402
from zoetrope.shots.measure import ram  # noqa: E402

LARGER = {"dim": 512, "num_heads": 4, "ffn_dim": 2048, "num_layers": 6, "freq_dim": 256}
LATENT = (16, 8, 12)


class Timed:
    """Seconds inside a network, and its calls."""

    def __init__(self, network: Any):
        self.spent, self.calls, self._begun = 0.0, 0, 0.0
        network.register_forward_pre_hook(self._before)
        network.register_forward_hook(self._after)

    def _before(self, *_: Any) -> None:
        self._begun = time.perf_counter()

    def _after(self, *_: Any) -> None:
        self.spent += time.perf_counter() - self._begun
        self.calls += 1


def overhead(latents: int) -> None:
    import tiny_dits
    from zoetrope.hosts.comfyui.sampling.layouts import layout_for

    patcher = tiny_dits.model("wan21", **LARGER)
    timed, queue = Timed(patcher.model.diffusion_model), replace(clip_presets(21, 20)["recommended"], shift=0)
    shape, noise = layout_for(patcher, queue, None), FrameNoise(0, LATENT)
    with torch.inference_mode():
        start = fifo.queue_of(torch.zeros(1, *LATENT), shape, noise.at)

        def steady(live: Any) -> tuple[float, float, int]:
            run = fifo.run(live, start, shape, noise.at, 0)
            next(run)
            timed.spent, timed.calls, began = 0.0, 0, time.perf_counter()
            for _ in islice(run, latents):
                pass
            return time.perf_counter() - began, timed.spent, timed.calls

        guider = tiny_dits.guider("wan21", patcher)
        wall, spent, calls = tiny_dits.in_round(guider, "wan21", shape.window, steady, latent=LATENT)
        plain = host_alone(tiny_dits, guider, shape.window, calls // 2)
    print(
        f"{latents} latents, {calls} calls of the network ({spent / calls:.3f} s each): wall time is {wall / spent:.4f} of it"
    )
    print(f"wall time is {wall / plain:.4f} of the host's guider, called as often at one level")


def host_alone(tiny_dits: Any, guider: Any, window: int, times: int) -> float:
    """Seconds of the host's guider alone for `times` windows, both conditions."""

    class Alone(tiny_dits.comfy.samplers.Sampler):
        seconds = 0.0

        def sample(
            self, model_wrap: Any, sigmas: Any, extra_args: Any, callback: Any, noise: Any, *more: Any, **named: Any
        ) -> Any:
            model_wrap(noise, torch.tensor([0.5]), model_options=extra_args["model_options"], seed=0)
            began = time.perf_counter()
            for _ in range(times):
                model_wrap(noise, torch.tensor([0.5]), model_options=extra_args["model_options"], seed=0)
            self.seconds = time.perf_counter() - began
            return noise

    c, h, w = LATENT
    clip, alone = torch.zeros((1, c, window, h, w)), Alone()
    guider.sample(clip, clip, alone, torch.tensor([1.0, 0.0]), seed=0)
    return alone.seconds


class Audience:
    """Notes main memory at some latents."""

    def __init__(self, at: tuple[int, ...]):
        self.at, self.found = at, dict[int, int]()

    def opening(self, folder: str, resumed: int, reason: Sequence[str]) -> None: ...

    def starting(self, step: int, steps: int) -> None: ...

    def progress(self, frame: int, done: int, total: int, decoded: Any, seconds_left: float) -> None:
        latent = (frame + 3) // 4
        if latent in self.at:
            self.found.setdefault(latent, ram())


def memory(latents: int) -> None:
    import tiny_dits
    from zoetrope.hosts.comfyui.shot import shot as comfyui_shot
    from zoetrope.shots.folder import ShotFolder

    c, h, w = tiny_dits.MODELS["wan21"][2]
    inputs, request = comfyui_shot.prepare(
        tiny_dits.guider("wan21"), tiny_dits.vae("wan21"), {"samples": torch.zeros(1, c, 3, h, w)}
    )
    queue = QueueSettings(window=5, context=1, shift=1, eta=0.0, steps=4)
    request = replace(request, frames=4 * latents - 3, queue=queue)
    audience = Audience((100, latents // 2, latents - 20))
    with TemporaryDirectory() as folder, torch.inference_mode():
        shot, _ = comfyui_shot.make_shot(inputs, request, ShotFolder(Path(folder), "shot"), audience)
        size = sum(path.stat().st_size for path in shot.video.parent.glob("*"))
    for latent, held in audience.found.items():
        print(f"latent {latent}: {held / 2**20:.1f} MiB of main memory, {held / audience.found[100]:.4f} of latent 100's")
    print(f"{4 * latents - 3} frames; the folder has {size / 2**20:.0f} MiB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--latents", type=int, default=12)
    parser.add_argument("--memory", type=int, help="latents of the memory run, instead of the others")
    arguments = parser.parse_args()
    if not HOST:
        raise SystemExit(WHY_NOT)
    torch.set_num_threads(1)
    print(f"ComfyUI {hosting.version(HOST)}, torch {torch.__version__}")
    memory(arguments.memory) if arguments.memory else overhead(arguments.latents)


if __name__ == "__main__":
    main()
