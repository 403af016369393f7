"""Training the embedded model: pictures and clips per second of CPU time, one thread, old and new recipe in one run.

`python benchmarks/training.py [rounds]`: each row's best of so many steps, all rows in turns. CPU time, so that other
programs on the machine count little. The library is of noise; nothing is learned.
"""

import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).parents[1] / "tools"))
from naming import name_the_checkout  # noqa: E402

name_the_checkout()

from zoetrope.training.demo.__main__ import config_path, read_config  # noqa: E402
from zoetrope.training.demo.denoising import image_loss, video_loss  # noqa: E402
from zoetrope.training.demo.library import LENGTH, Library, scene_of  # noqa: E402
from zoetrope.training.demo.networks import new_motion, new_text, new_unet  # noqa: E402
from zoetrope.training.half import half_precision  # noqa: E402
from zoetrope.training.loop import Averaged, generators  # noqa: E402

SHOTS = 40
CASES = (
    ("image", 64, "float32"), ("image", 64, "bfloat16"), ("image", 128, "bfloat16"), ("image", 128, "compiled"),
    ("video", 4, "float32"), ("video", 4, "bfloat16"), ("video", 8, "bfloat16"), ("video", 8, "compiled"),
)  # fmt: skip
"""Stage, batch and how: the recipe before (float32, AdamW and average parameter by parameter), after, and with the transformer
blocks compiled as well."""


def stepper(library: Library, stage: str, batch: int, how: str) -> Callable[[int], None]:
    """A function that does step n."""
    torch.manual_seed(0)
    unet, text, motion = new_unet(), new_text(), new_motion()
    modules: dict[str, nn.Module] = {"unet": unet, "text": text} | ({"motion": motion} if stage == "video" else {})
    run: Any = replace(read_config(config_path(stage)), batch=batch)
    if how == "compiled":
        compile_blocks(unet)
    if stage == "video":
        loss = video_loss(replace(run, frames=(16,), image_share=0.0), library, unet, text, motion)
    else:
        loss = image_loss(run, library, unet, text)
    parameters = [p for module in modules.values() for p in module.parameters()]
    before = how == "float32"
    optimiser = torch.optim.AdamW(parameters, lr=1e-4, betas=(0.9, 0.99), weight_decay=0.01, fused=not before)
    average = Averaged(modules, run.ema)

    def step(number: int) -> None:
        with nullcontext() if before else half_precision():
            value, _ = loss(*generators(0, number))
        optimiser.zero_grad(set_to_none=True)
        value.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        update_one_by_one(average, modules) if before else average.update(modules, number)

    return step


def compile_blocks(unet: Any) -> None:
    for module in unet.modules():
        if type(module).__name__ == "BasicTransformerBlock":
            module.compile()


@torch.no_grad()
def update_one_by_one(average: Averaged, modules: dict[str, nn.Module]) -> None:
    for name, module in modules.items():
        for key, value in module.state_dict().items():
            average.weights[name][key].lerp_(value.to(average.weights[name][key].dtype), 1 - average.decay)


def main() -> None:
    torch.set_num_threads(1)
    torch._dynamo.config.cache_size_limit = 64  # a transformer block per level and batch
    latents = torch.randn(SHOTS, LENGTH, 4, 8, 8, generator=torch.Generator().manual_seed(0)).half()
    library = Library(tuple(map(scene_of, range(SHOTS))), latents)
    steps = [stepper(library, *case) for case in CASES]
    best = [float("inf")] * len(CASES)
    for number in range(int(sys.argv[1]) if len(sys.argv) > 1 else 5):
        for at, step in enumerate(steps):
            began = time.process_time()
            step(number)
            if number:  # the first one warms up
                best[at] = min(best[at], time.process_time() - began)
    print("| stage | a step | how | ms | a second |\n|---|---|---|---|---|")
    for (stage, batch, how), seconds in zip(CASES, best, strict=True):
        what = f"{batch} stills" if stage == "image" else f"{batch} clips of 16"
        print(f"| {stage} | {what} | {how} | {1000 * seconds:.0f} | {batch / seconds:.2f} |", flush=True)


if __name__ == "__main__":
    main()
