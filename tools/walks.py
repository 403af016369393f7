"""Measures the call structure of the pack: files and crossings of five runs, and calls from a package to a higher one.

`python tools/walks.py [ROOT]`: of this checkout, or of another one. A crossing is a call into another file, where ComfyUI
counts as one file and libraries as their caller; a climb is a call from a package to a higher one. Functions that are passed to
`sampling/` and `models/` (the guider as a model, the VAE, the host's attention) and generators are not counted.
"""

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parents[1]).resolve()
sys.path[:0] = [str(ROOT / folder) for folder in ("tools", "tests/support")]

import hosting  # noqa: E402
from naming import name_the_checkout  # noqa: E402

FLOORS = {"nodes": 3, "hosts": 2, "media": 1, "shots": 1, "video": 1, "models": 0, "sampling": 0}
NETWORKS = {"denoise", "__call__", "decode", "work", "_work", "_pictures", "attention"}
"""Names of functions of networks and kernels that are passed as arguments."""


class Walk:
    """A profiler of calls."""

    def __init__(self, host: Path):
        self._host, self.files, self.crossings, self.climbs = str(host), set[str](), 0, dict[str, int]()
        self._labels: list[str] = ["start"]

    def _label(self, filename: str) -> str:
        if filename.startswith(f"{ROOT}/") and "/.venv/" not in filename and "/tests/" not in filename:
            return filename[len(str(ROOT)) + 1 :]
        return "ComfyUI" if filename.startswith(self._host) else self._labels[-1]

    def __call__(self, frame: Any, event: str, arg: Any) -> None:
        if event == "call":
            label, before = self._label(frame.f_code.co_filename), self._labels[-1]
            if label != before:
                self.crossings += 1
                self._climb(before, label, frame)
            self.files |= {label} - {"start", "ComfyUI"}
            self._labels.append(label)
        elif event == "return" and len(self._labels) > 1:
            self._labels.pop()

    def _climb(self, before: str, label: str, frame: Any) -> None:
        here, there = (FLOORS.get(one.partition("/")[0]) for one in (before, label))
        resumed = frame.f_code.co_flags & 0x20  # a generator's frame
        if here is None or there is None or there <= here or resumed or frame.f_code.co_name in NETWORKS:
            return
        name = f"{before} -> {label}:{frame.f_code.co_name}"
        self.climbs[name] = self.climbs.get(name, 0) + 1


def measured(title: str, host: Path, work: Callable[[], Any]) -> Any:
    walk = Walk(host)
    sys.setprofile(walk)
    try:
        return work()
    finally:
        sys.setprofile(None)
        print(f"{title:<28} {len(walk.files):>3} files {walk.crossings:>6} crossings {sum(walk.climbs.values()):>3} climbs")
        for name, count in sorted(walk.climbs.items()):
            print(f"      {name} x{count}")


def sample(model: Any, words: Any, frames: int, steps: int) -> Any:
    import comfy.sample
    import torch

    latent = torch.zeros(frames, 4, 8, 8)
    noise = comfy.sample.prepare_noise(latent, 1)
    return comfy.sample.sample(model, noise, steps, 3.0, "euler", "normal", words, words, latent, disable_pbar=True, seed=1)


def walks(host: Path) -> None:
    import folder_paths
    import formats
    import torch
    from zoetrope.nodes import load, motion, picture, shot, superres

    try:
        from zoetrope.models.motion.loading import take_apart
    except ImportError:
        from zoetrope.models.loading import take_apart

    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    demo = measured("a. Load Demo Model", host, lambda: load.LoadDemoModel.execute()).result
    model, clip, vae, module = demo[:4]
    words = clip.encode_from_tokens_scheduled(clip.tokenize("a red circle moving right on black at 8 fps"))
    applied = measured(
        "a. Apply Motion Module", host, lambda: motion.ApplyMotionModule.execute(model, module, 1.0, "from motion module")
    ).result[0]
    sample(applied, words, 4, 1)
    measured("a. one step of KSampler", host, lambda: sample(applied, words, 4, 1))
    with tempfile.TemporaryDirectory() as folder:
        folder_paths.set_output_directory(folder)
        queue = shot.QueueSettingsNode.execute(4, 1, 1, 1, 1.0, 1, "noise").result[0]
        empty = {"samples": torch.zeros(1, 4, 8, 8)}
        measured("b. Endless Shot, 2 frames", host, lambda: shot.EndlessShot.execute(
            applied, words, words, vae, empty, 1, 2, 8.0, 3.0, "recommended", "walk/shot", queue=queue
        ))  # fmt: skip
        first = torch.full((1, 64, 64, 3), 0.5)
        guided = measured("c. First/Last Frame Guide", host, lambda: picture.FirstLastFrameGuide.execute(
            applied, module, vae, {"samples": torch.zeros(4, 4, 8, 8)}, first=first
        )).result[0]  # fmt: skip
        measured("c. one step of KSampler", host, lambda: sample(guided, words, 4, 1))
        large, _, large_vae, _ = load.LoadDemoUpscaler.execute().result
        frames = torch.full((3, 16, 16, 3), 0.5)
        measured("d. Upscale Video, 3 frames", host, lambda: superres.UpscaleVideo.execute(
            large, words, words, large_vae, frames, 1, 2, 1.0, 20, 8.0, "walk/large"
        ))  # fmt: skip
    tensors = formats.published("videocrafter2_t2v_512")
    measured("e. VideoCrafter2's keys", host, lambda: take_apart(tensors, {}, "file", 0))


if __name__ == "__main__":
    found, why = hosting.enter_host()
    name_the_checkout()
    if found is None:
        sys.exit(why)
    walks(found)
