"""SparseCtrl (arXiv 2311.16933): a ControlNet with temporal layers, for pictures of a few frames of a clip.

guoyww/AnimateDiff main e92bd56. The down half of the image model with a temporal self-attention after each block. Its latent
input is zero; the hint is a condition and a mask that is 1 in given frames: `rgb` latents of pictures, `scribble` drawings at
full size. Files are in the authors' or in diffusers' spelling; ours has the temporal layers by site and, as `control:`,
ComfyUI's ControlNet in LDM spelling.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from torch import Tensor, nn

from ....formats.checkpoint import read_file
from ....formats.facts import FileShapes, smallest
from ....formats.keytable import KeyTable, Row, prefixed, product, weights
from ....formats.ldm import diffusers_spatial
from ....formats.ldm_control import control_layout
from ....formats.leftovers import clean_weights
from ....formats.published import Contents, Published, Shapes, Spelling
from ....formats.recognise import LoaderTarget, known
from ....formats.strict import check_numbers, in_file, load_strict
from ...module import MotionModule
from .module import ADAPTER_LAYER, SITES, layer_rows, transformers

HEADS = 8
"""Number of heads in Stable Diffusion 1.x's attention."""
STAGES = 6
"""Number of convolutions between the first and the last one of the drawing's encoder; every second one halves its size."""

HINT, EMBEDDING = "control:input_hint_block.", "controlnet_cond_embedding"
RGB = weights((EMBEDDING, f"{HINT}0"))
SCRIBBLE = weights(
    (f"{EMBEDDING}.conv_in", f"{HINT}0"),
    *((f"{EMBEDDING}.blocks.{n}", f"{HINT}{2 * n + 2}") for n in range(STAGES)),
    (f"{EMBEDDING}.conv_out", f"{HINT}{2 * STAGES + 2}"),
)
BESIDE = weights(
    ("controlnet_mid_block", "control:middle_block_out.0"), ("controlnet_down_blocks.{}", "control:zero_convs.{}.0")
)


def _table(keys: Shapes, prefix: str, layer: tuple[Row, ...], between: str) -> KeyTable:
    places = tuple(Row(f"{row.published}{between}", row.ours) for row in SITES)
    spatial = [
        Row(row.published, row.ours.replace("unet:", "control:", 1), row.change)
        for row in diffusers_spatial(keys)
        if row.published.partition(".")[0] in ("conv_in", "time_embedding", "down_blocks", "mid_block")
    ]
    hint = RGB if f"{prefix}{EMBEDDING}.weight" in keys else SCRIBBLE
    return KeyTable(prefixed((*product(places, layer), *spatial, *hint, *BESIDE), prefix))


def published(keys: Shapes, prefix: str) -> KeyTable:
    return _table(keys, prefix, layer_rows("pe"), "temporal_transformer.")


def adapter(keys: Shapes, prefix: str) -> KeyTable:
    return _table(keys, prefix, ADAPTER_LAYER, "")


MARK = "controlnet_mid_block.weight"
SPARSECTRL = Published(
    name="sparsectrl",
    title="SparseCtrl",
    spellings=(
        Spelling("published", (MARK, "down_blocks.{}.motion_modules.{}.temporal_transformer.norm.weight"), (), published),
        Spelling("diffusers", (MARK, "down_blocks.{}.motion_modules.{}.norm.weight"), (), adapter),
    ),
)


@dataclass(frozen=True)
class SparseCtrl:
    """Contents of a SparseCtrl file."""

    file: str
    kind: Literal["rgb", "scribble"]
    motion: MotionModule
    control: Mapping[str, Tensor]
    """Weights of the ControlNet in LDM spelling."""
    layout: Mapping[str, Any]
    """Constructor arguments of the host's ControlNet."""
    table: KeyTable
    notes: tuple[str, ...] = ()
    """How the weights were found in the file."""

    def published(self) -> dict[str, Tensor]:
        """The weights under the file's key names."""
        ours = {f"control:{key}": value for key, value in self.control.items()}
        return self.table.restore(ours | self.motion.state_dict())


def load_sparsectrl(path: str | Path, ops: Any = nn) -> SparseCtrl:
    """Loads a SparseCtrl file. Raises WrongFile with the file's name and the remedy for any other file."""
    contents = read_file(path)
    with in_file(Path(path).name):
        return sparsectrl_from(contents.tensors, Path(path).name, ops, contents.notes)


def detect(keys: Collection[str]) -> Published | None:
    """The SparseCtrl design where its marks occur among published keys; else None."""
    return SPARSECTRL if SPARSECTRL.spelling(keys) else None


def sparsectrl_from(tensors: Mapping[str, Tensor], file: str, ops: Any = nn, notes: tuple[str, ...] = ()) -> SparseCtrl:
    """As `load_sparsectrl`, from the tensors of a file."""
    cleaned = clean_weights(tensors)
    known(cleaned.tensors, LoaderTarget("a SparseCtrl", (SPARSECTRL,), ("sparsectrl",)), detect)
    layout: dict[str, Any] = {}

    def build(contents: Contents, ops: Any) -> MotionModule:
        layout.update(control_layout(contents.parts.get("control", FileShapes()), {"num_heads": HEADS}))
        tables = (shape[1] for key, shape in contents.weights.items() if key.endswith(".positions.pe"))
        return MotionModule(transformers(contents.weights, "frame", ops), smallest(tables, "position tables"))

    loaded = load_strict(SPARSECTRL, cleaned.tensors, build, ops)
    control, table = loaded.spelled.parts["control"], loaded.spelled.table
    check_numbers({f"control:{key}": value for key, value in control.items()}, SPARSECTRL, table)
    kind = "rgb" if "input_hint_block.2.weight" not in control else "scribble"
    return SparseCtrl(file, kind, loaded.network, control, layout, table, (*notes, *cleaned.notes))


def spread(count: int, frames: int) -> list[int]:
    """Frame numbers of `count` pictures, evenly from the first frame to the last; a single one is at the first."""
    return [0] if count == 1 else [round(index * (frames - 1) / (count - 1)) for index in range(count)]


def place(text: str, count: int, frames: int | None) -> list[int]:
    """Frame numbers of `count` pictures.

    text     numbers separated by commas (`0, 8, -1`; negative ones count from the end); empty: evenly spread
    frames   length of the clip; None in a shot without an end
    Raises ValueError for text that is not numbers, too many pictures, two on one frame, or a frame outside the clip.
    """
    if not text.strip():
        if frames is None and count > 1:
            raise ValueError("frames: a long shot has no length to spread pictures over; enter their frames (0, 24, 48)")
        return spread(count, frames or 1) if frames is None or count <= frames else _refuse(count, frames)
    try:
        entered = [int(part) for part in text.split(",")]
    except ValueError:
        raise ValueError(f"frames: expected whole numbers separated by commas (0, 8, 15), got {text!r}") from None
    if len(entered) != count:
        raise ValueError(f"frames: expected a number for each of {count} pictures, got {len(entered)}")
    if frames is None and min(entered) < 0:
        raise ValueError(f"frames: a long shot has no end to count from, got {min(entered)}")
    numbers = [number + (frames or 0) if number < 0 else number for number in entered]
    if frames is not None and (min(numbers) < 0 or max(numbers) >= frames):
        raise ValueError(f"frames: expected numbers from 0 to {frames - 1} in a clip of {frames} frames, got {text!r}")
    if len(set(numbers)) < count:
        raise ValueError(f"frames: expected a different frame for each picture, got {text!r}")
    return numbers


def _refuse(count: int, frames: int) -> list[int]:
    raise ValueError(f"expected at most {frames} pictures for a clip of {frames} frames, got {count}")
