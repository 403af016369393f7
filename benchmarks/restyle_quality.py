"""Ways to restyle a video, side by side: recolour a filmed shape of the procedural world and keep its track.

    python benchmarks/restyle_quality.py --output DIR [--scenes 12] [--steps 20] [--only NAMES]

Scenes are the first ones of a seeded generator. Recipes are compared at the same colour obedience: each has the lowest denoise
at which 90 % of all frames have the prompt's colour, or 1. Clips are kept in DIR, so that a run may be stopped and continued.
Prints the tables of benchmarks/RESULTS.md and writes a contact sheet of each scene (rows: the source, its recoloured film, the
same through the VAE, then the recipes in the order of the table).
"""

import argparse
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

sys.path[:0] = [str(Path(__file__).parents[1] / folder) for folder in ("tools", "tests/support")]

FRAMES, SIZE, GUIDANCE = 16, 64, 3.0
LEVELS = (0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 1.0)
OBEYED = 0.9
FRESH, SAME, INVERTED = "fresh noise", "same noise", "inversion"


@dataclass(frozen=True)
class Recipe:
    """One way to restyle."""

    name: str
    start: str
    motion: bool = False
    edits: tuple[str, ...] = ()
    grey: bool = False
    """Whether the source is encoded without its colours."""

    @property
    def levels(self) -> tuple[float, ...]:
        """Values of denoise that are tried, in this order."""
        return (0.4, 0.5, *LEVELS) if self.grey else LEVELS


RECIPES = (
    Recipe("frame by frame, fresh noise", FRESH),
    Recipe("frame by frame, same noise", SAME),
    Recipe("Look, first frame", SAME, edits=("first frame",)),
    Recipe("Look, first and previous", SAME, edits=("first and previous frame",)),
    Recipe("Merge", SAME, edits=("merge",)),
    Recipe("Follow Flow", SAME, edits=("flow",)),
    Recipe("motion module", FRESH, motion=True),
    Recipe("motion module + Look, finest level", FRESH, motion=True, edits=("finest",)),
    Recipe("motion module + Merge", FRESH, motion=True, edits=("merge",)),
    Recipe("motion module + Follow Flow", FRESH, motion=True, edits=("flow",)),
    Recipe("inversion", INVERTED),
    Recipe("inversion + Look, first and previous", INVERTED, edits=("first and previous frame",)),
    Recipe("inversion + motion module", INVERTED, motion=True),
    Recipe("grey source, motion module", FRESH, motion=True, grey=True),
    Recipe("grey source, inversion + motion module", INVERTED, motion=True, grey=True),
)


@dataclass(frozen=True)
class Task:
    """A filmed scene and the colour that it gets."""

    scene: Any
    goal: str
    source: Tensor
    """`(f, 3, h, w)` in [0, 1]."""

    def prompt(self, colour: str) -> str:
        return replace(self.scene, colour=colour).caption


def tasks(count: int, seed: int = 0) -> list[Task]:
    """The first scenes of a generator; every goal is one of the other colours."""
    from zoetrope.demo import world

    generator, found = torch.Generator().manual_seed(seed), []
    for _ in range(count):
        scene = world.draw(generator)
        others = [colour for colour in world.COLOURS if colour != scene.colour]
        goal = others[int(torch.randint(len(others), (), generator=generator))]
        found.append(Task(scene, goal, world.film(scene, FRAMES, SIZE)))
    return found


class Studio:
    """The embedded model in ComfyUI, with the nodes' own functions."""

    def __init__(self, steps: int):
        from zoetrope.hosts.comfyui.loaders.demo import load_demo
        from zoetrope.hosts.comfyui.motion.apply import Settings, apply

        self._demo, self._steps = load_demo(), steps
        self._moving = apply(self._demo.model, self._demo.motion, Settings())

    def restyled(self, recipe: Recipe, task: Task, denoise: float, seed: int) -> Tensor:
        """The clip `(f, 3, h, w)` in [0, 1]."""
        import comfy.sample
        import comfy.samplers
        from zoetrope.video.frames.colour import grey

        model = base = self._moving if recipe.motion else self._demo.model
        for edit in recipe.edits:
            model = self._edited(model, edit, task)
        source = torch.stack([grey(frame) for frame in task.source]) if recipe.grey else task.source
        latent, sigmas = {"samples": self.encoded(source)}, self._sigmas(base, denoise)
        start, noise = self._start(recipe.start, base, task, latent, sigmas, seed)
        found = comfy.sample.sample_custom(
            model, noise, GUIDANCE, comfy.samplers.sampler_object("euler"), sigmas, self._text(task.prompt(task.goal)),
            self._text(""), start, disable_pbar=True, seed=seed,
        )  # fmt: skip
        return self.decoded(found)

    def _start(
        self, kind: str, base: Any, task: Task, latent: dict[str, Tensor], sigmas: Tensor, seed: int
    ) -> tuple[Tensor, Tensor]:
        """Latent and noise that the sampler begins with."""
        import comfy.sample
        from zoetrope.hosts.comfyui.sampling.inversion import invert
        from zoetrope.hosts.comfyui.sampling.noise import SameNoise

        if kind == INVERTED:
            found = invert(base, self._text(task.prompt(task.scene.colour)), latent, sigmas, 1)["samples"]
            return found, torch.zeros_like(found)
        samples = latent["samples"]
        return samples, SameNoise(seed).generate_noise(latent) if kind == SAME else comfy.sample.prepare_noise(samples, seed)

    def _edited(self, model: Any, edit: str, task: Task) -> Any:
        from zoetrope.hosts.comfyui.conditioning.merging import MergeSettings, merge_across_frames
        from zoetrope.hosts.comfyui.conditioning.shared_attention import FINEST, SharedSettings, apply_shared
        from zoetrope.hosts.comfyui.sampling.flow import FlowSettings, follow
        from zoetrope.models.edits.frame_table import FIRST_AND_PREVIOUS, FrameTable
        from zoetrope.video.frames.correspondence import SourceVideo

        if edit == "merge":
            return merge_across_frames(model, MergeSettings())[0]
        if edit == "flow":
            return follow(model, FlowSettings(SourceVideo(task.source.movedim(1, -1)), 0.0, 0.4, 0.6, 1.0))
        if edit == "finest":
            return apply_shared(model, SharedSettings(FrameTable(FIRST_AND_PREVIOUS), FINEST))[0]
        return apply_shared(model, SharedSettings(FrameTable(edit)))[0]

    def _sigmas(self, model: Any, denoise: float) -> Tensor:
        """As BasicScheduler gives them: the last `steps` of steps / denoise."""
        import comfy.samplers

        sampling, total = model.get_model_object("model_sampling"), int(self._steps / denoise)
        return comfy.samplers.calculate_sigmas(sampling, "normal", total)[-(self._steps + 1) :]

    def _text(self, prompt: str) -> list[Any]:
        found = self._demo.clip.encode_from_tokens(self._demo.clip.tokenize(prompt), return_dict=True)
        return [[found.pop("cond"), found]]

    def encoded(self, clip: Tensor) -> Tensor:
        return self._demo.vae.encode(clip.movedim(1, -1).contiguous())

    def decoded(self, latents: Tensor) -> Tensor:
        return self._demo.vae.decode(latents).movedim(-1, 1).clamp(0, 1)


def kept(path: Path, make: Callable[[], Tensor]) -> Tensor:
    """A clip `(f, 3, h, w)` in [0, 1] from its file, or sampled."""
    if not path.exists():
        unfinished = path.with_suffix(".unfinished")
        torch.save((make() * 255).round().to(torch.uint8), unfinished)
        unfinished.replace(path)
    return torch.load(path, weights_only=True).float() / 255


def compared(studio: Studio, recipe: Recipe, tasks: Sequence[Task], folder: Path) -> tuple[float, list[Tensor]]:
    """(the lowest denoise at which the colour is obeyed, or 1; the clips there). Other levels stop at the first misses."""
    slug = "".join(letter if letter.isalnum() else "_" for letter in recipe.name)
    clips: list[Tensor] = []
    for denoise in recipe.levels:
        clips, missed = [], 0.0
        for index, task in enumerate(tasks):
            path = folder / f"{slug}-{denoise:g}-{index:02}.pt"
            clips.append(kept(path, lambda task=task, index=index, d=denoise: studio.restyled(recipe, task, d, index)))
            missed += 1 - measured(task, clips[-1]).colour
            if missed > (1 - OBEYED) * len(tasks) and denoise < recipe.levels[-1]:
                break
        else:
            return denoise, clips
    raise AssertionError("the last level is always complete")


def measured(task: Task, clip: Tensor) -> Any:
    from restyle_metrics import figures

    return figures(clip, task.scene, task.goal, task.source)


@torch.inference_mode()
def main() -> None:
    arguments = parsed()
    import hosting
    from naming import name_the_checkout

    host, why = hosting.enter_host()
    name_the_checkout()
    if host is None:
        return print(f"skipped: {why}")
    torch.set_num_threads(1)
    from zoetrope.demo.world import film
    from zoetrope.video.frames.flow import has_flow
    from zoetrope.video.quality.sheet import contact_sheet

    arguments.output.mkdir(parents=True, exist_ok=True)
    recipes = [one for one in RECIPES if has_flow() or "flow" not in one.edits]
    recipes = [one for one in recipes if not arguments.only or one.name in arguments.only.split(";")]
    print(f"ComfyUI {hosting.version(host)}, torch {torch.__version__}, {arguments.scenes} scenes, {arguments.steps} steps")
    studio, filmed = Studio(arguments.steps), tasks(arguments.scenes)
    truth = [film(replace(task.scene, colour=task.goal), FRAMES, SIZE) for task in filmed]
    rows = {
        "*the recoloured film*": (0.0, truth),
        "*the same through the VAE*": (0.0, [studio.decoded(studio.encoded(clip)) for clip in truth]),
    }
    for recipe in recipes:
        begun = time.monotonic()
        rows[recipe.name] = compared(studio, recipe, filmed, arguments.output)
        print(f"{recipe.name}: denoise {rows[recipe.name][0]:g}, {time.monotonic() - begun:.0f} s", flush=True)
    report(filmed, rows, recipes[0].name)
    for index, task in enumerate(filmed):
        strips = [task.source, *(clips[index] for _, clips in rows.values())]
        contact_sheet(strips).save(arguments.output / f"restyle_{index:02}.png")


def report(filmed: Sequence[Task], rows: Mapping[str, tuple[float, list[Tensor]]], base: str) -> None:
    """Prints the tables. rows: denoise and clips by name, first those of the truth; base: the recipe to compare with."""
    from restyle_metrics import HEAD, below, row

    found = {
        name: [measured(task, clip) for task, clip in zip(filmed, clips, strict=True)] for name, (_, clips) in rows.items()
    }
    truth, *_ = found.values()
    print(f"\n{HEAD}")
    for name, (denoise, _) in rows.items():
        print(row(name, f"{denoise:g}" if denoise else "", found[name], truth))
    print(f"\nBelow *{base}*, 95 % interval over scenes:\n\n| recipe | warping error | flicker |\n|---|---|---|")
    shares = [below(found, base, metric) for metric in ("warping", "flicker")]
    for name in list(rows)[2:]:
        cells = (f"{share:.0%} ({low:.0%} to {high:.0%})" for share, low, high in (one[name] for one in shares))
        print(f"| {name} | {' | '.join(cells)} |")


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True, help="folder for clips and contact sheets")
    parser.add_argument("--scenes", type=int, default=12)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--only", default="", help="names of recipes between semicolons; the first one is the base")
    arguments = parser.parse_args()
    sys.argv = sys.argv[:1]  # the host reads them too
    return arguments


if __name__ == "__main__":
    main()
