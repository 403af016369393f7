"""Which of core's nodes work together with which of ours: the cells of docs/together.md, each held by a test.

A cell is right unless it says otherwise here.
"""

from dataclasses import dataclass, field
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "together.md"

COLUMNS = {
    "motion": "Apply Motion Module",
    "windows": "Sliding Windows",
    "queue": "FIFO Sampler",
    "shot": "Endless Shot",
    "prompt": "Image Prompt",
    "clean": "First/Last Frame Guide, own family",
    "channels": "First/Last Frame Guide, PIA and others",
    "lavie": "LaVie interpolation",
    "look": "Look Across Frames",
    "merge": "Merge Across Frames",
    "lora": "LoRA by Frame",
}
"""The columns by what tests call them."""

RESTS, REFUSED = "disabled, with a warning", "refused, with an error"
LONG = ("queue", "shot")


@dataclass(frozen=True)
class Row:
    """One of core's nodes."""

    name: str
    note: str = ""
    cells: dict[str, str] = field(default_factory=dict)
    """Columns where it is not right by test -> `RESTS` or `REFUSED`."""
    by_batch: bool = False
    """Whether it mixes the frames of a call by itself, or draws numbers anew in each call, without any node of ours."""
    steps: int = 1
    """Steps of sampling in which its effect shows."""
    idle: bool = False
    """Whether it does nothing to a UNet of Stable Diffusion by itself."""

    def cell(self, column: str) -> str:
        return self.cells.get(column, "right")


def everywhere(what: str, *columns: str) -> dict[str, str]:
    return dict.fromkeys(columns, what)


CACHE = "a cache of steps: it would reuse the change of other frames. On 0.3.64 it fails for batches of frames by itself"

PATCHES = (
    Row(
        "Self-Attention Guidance",
        "in the middle block, LaVie's frames attend to themselves; Merge Across Frames is refused there (set `levels` to 2)",
        {"lavie": RESTS},
    ),
    Row("Perturbed-Attention Guidance"),
    Row("CFG-Zero*"),
    Row("CFG Norm"),
    Row("Skip Layer Guidance", "made for transformers: it does nothing to a UNet", idle=True),
    Row("RescaleCFG"),
    Row("Tangential Damping CFG"),
    Row("Adaptive Projected Guidance", "its momentum stays with each window, and begins anew with each call of a queue"),
    Row("Mahiro", "it takes an average over all frames of a call", by_batch=True),
    Row("Epsilon Scaling"),
    Row("FreSca"),
    Row("FreeU"),
    Row("FreeU V2"),
    Row("HyperTile", "it has no effect in attentions that Merge Across Frames merges", {"merge": RESTS}),
    Row("Token Merging", "it draws numbers anew in every call", {"merge": REFUSED}, by_batch=True),
    Row("Deep Shrink", "in a queue it goes by the cleanest frame of each window", by_batch=True),
    Row("UNet Self-Attention Multiply"),
    Row("UNet Cross-Attention Multiply"),
    Row("Differential Diffusion", "it acts on noise masks of ordinary samplers; long shots apply them themselves", idle=True),
    Row("EasyCache", CACHE, everywhere(RESTS, "windows", *LONG), idle=True),
    Row("LazyCache", CACHE, everywhere(RESTS, "windows", *LONG), idle=True),
    Row("TorchCompileModel", "a model that was compiled without our nodes before is compiled anew", idle=True),
    Row("ModelSamplingDiscrete (v)"),
    Row("ModelSamplingDiscrete (lcm)", "it draws numbers anew in every call", by_batch=True, steps=2),
    Row("ModelSamplingDiscrete (x0)"),
    Row("ModelSamplingContinuousEDM"),
    Row("ModelSamplingContinuousV"),
    Row("ModelSamplingSD3 (flow)", "a queue works with noise that is added to frames", everywhere(REFUSED, *LONG)),
    Row("Context Windows", "our windows come first", everywhere(RESTS, "windows", *LONG), idle=True),
)
"""Nodes that patch a MODEL."""

CONDITIONS = (
    Row("Apply ControlNet", "a picture per frame, or one for all"),
    Row("Set Union ControlNet Type", "a picture per frame, or one for all"),
    Row("T2I-Adapter", "a picture per frame, or one for all"),
    Row("GLIGEN Textbox Apply"),
    Row("Conditioning (Set Area)", "masks and given frames of ours keep their place in the whole picture"),
    Row("Conditioning (Set Mask)"),
    Row("Create Hook LoRA", "with one strength; several keyframes are refused in queues, whose frames differ in noise"),
    Row("Set Timesteps Range", "counts for each frame by itself", steps=2),
)
"""Nodes that make or change conditions."""

ELSEWHERE = """\
`InpaintModelConditioning` and `InstructPixToPixConditioning` take one picture for all frames or one per frame, and frame f is
given picture f in windows and in queues; frames after the last picture keep it. `ModelMerge*` merges image models and leaves
motion on the first; what is saved of a model has no key of ours. Newer hosts can make our networks anew from their files, as
`Train LoRA` and nodes for other devices and several GPUs ask them to (tested on one CPU).

**Follow Flow** changes the guided prediction after the guidance, as CFG-Zero, CFG Norm, APG, SAG and PAG do. Beside them the
order of the nodes matters: put **Follow Flow** last, so that it follows the prediction that the sampler gets.

Step caches of other packs are noticed in windows and queues: where the model did not run for the frames that were asked for,
the run stops and says so. Tests imitate three kinds, around the model (TeaCache), inside it (First Block Cache, DeepCache) and
over all conditions; the packs themselves were not run. Nodes that sample in tiles on their own, with a mask or a guide of ours
on the MODEL, stop the run as well, because nothing says where a tile lies."""

TOP = """\
# Together with core's nodes

Every cell is held by a test (`tests/hosts/comfyui/test_together.py`), which also writes this page. Nodes may be connected
before or after ours; the result is the same.

- *right*: the node does what it does without ours, for every frame. In windows and queues, frames that do not know each other
  come out as if each were sampled alone.
- *disabled*: the node would return predictions of other frames; it is disabled, with a warning in the console.
- *refused*: the run stops before it begins, with an error that names both.
"""


def page() -> str:
    """docs/together.md."""
    return "\n".join([TOP, "## Nodes that patch a MODEL", "", *_table(PATCHES, COLUMNS), "", "## Conditions", "",
                      *_table(CONDITIONS, [*COLUMNS][:4]), "", "## Others", "", ELSEWHERE, ""])  # fmt: skip


def _table(rows: tuple[Row, ...], columns: object) -> list[str]:
    keys = list(columns)  # type: ignore[call-overload]
    short = {"right": "right", RESTS: "disabled", REFUSED: "refused"}
    lines = [f"| core's node | {' | '.join(COLUMNS[key] for key in keys)} | |", f"|---|{'---|' * (len(keys) + 1)}"]
    return lines + [f"| {row.name} | {' | '.join(short[row.cell(key)] for key in keys)} | {row.note} |" for row in rows]
