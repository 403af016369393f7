"""DiffBIR's IRControlNet (arXiv 2308.15070): a ControlNet whose hint is the latent of a picture to be restored.

XPixelGroup/DiffBIR 3f8b530, `model/controlnet.py`. The down half of Stable Diffusion 2.1's UNet without a hint encoder: its
first convolution reads the noisy latent and, as further channels, the hint. A convolution of concatenated inputs is the sum of
two convolutions, so it is an ordinary ControlNet whose hint encoder is one convolution without bias.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from ..formats.checkpoint import read_file
from ..formats.facts import FileShapes
from ..formats.keytable import KeyTable, Row, Take, prefixed, weights
from ..formats.ldm import ldm_layout, ldm_spatial
from ..formats.ldm_control import control_layout
from ..formats.leftovers import clean_weights
from ..formats.published import Published, Shapes, Spelling
from ..formats.recognise import LoaderTarget, known
from ..formats.strict import as_wrong_file, check_numbers, in_file, spell

LATENT = 4
"""Channels of the noisy latent; the other channels of the first convolution are the hint's."""
HEAD_CHANNELS = 64
"""Channels per head of Stable Diffusion 2.x's attention."""
FIRST, PART = "input_blocks.0.0.weight", "control:"
BESIDE = weights(("zero_convs.{}.0", f"{PART}zero_convs.{{}}.0"), ("middle_block_out.0", f"{PART}middle_block_out.0"))
BLOCKS = ("time_embed", "input_blocks", "middle_block")


def _published(keys: Shapes, prefix: str) -> KeyTable:
    spatial = [
        Row(row.published, row.ours.replace("unet:", PART, 1), row.change)
        for row in ldm_spatial(ldm_layout(keys, prefix))
        if row.published.partition(".")[0] in BLOCKS and row.published != FIRST
    ]
    hint = f"{PART}input_hint_block.0.weight"
    split = (Row(FIRST, PART + FIRST, Take(1, 0, LATENT)), Row(FIRST, hint, Take(1, LATENT, None)))
    return KeyTable(prefixed((*split, *spatial, *BESIDE), prefix))


MARK = "middle_block_out.0.weight"
DIFFBIR = Published(
    name="diffbir",
    title="DiffBIR",
    spellings=(Spelling("published", (MARK, "zero_convs.{}.0.weight"), ("input_hint_block.{}.weight",), _published),),
)


@dataclass(frozen=True)
class RestorationControl:
    """Contents of a file of DiffBIR."""

    file: str
    control: Mapping[str, Tensor]
    """Weights of a ControlNet in LDM spelling, with the hint's convolution as `input_hint_block.0.weight`."""
    layout: Mapping[str, Any]
    """Constructor arguments of ComfyUI's ControlNet."""
    table: KeyTable
    notes: tuple[str, ...] = ()
    """How the weights were found in the file."""

    def published(self) -> dict[str, Tensor]:
        """The weights under the file's key names."""
        return self.table.restore({PART + key: value for key, value in self.control.items()})


def detect(keys: Collection[str]) -> Published | None:
    """DiffBIR where its marks occur among published keys; else None."""
    return DIFFBIR if DIFFBIR.spelling(keys) else None


def load_restoration_control(path: str | Path) -> RestorationControl:
    """Loads a file of DiffBIR. Raises WrongFile with the file's name and the remedy for any other file."""
    contents = read_file(path)
    with in_file(Path(path).name):
        return restoration_control_from(contents.tensors, Path(path).name, contents.notes)


def restoration_control_from(
    tensors: Mapping[str, Tensor], file: str, notes: tuple[str, ...] = (), head_channels: int = HEAD_CHANNELS
) -> RestorationControl:
    """As `load_restoration_control`, from the tensors of a file. head_channels: channels of each attention head."""
    cleaned = clean_weights(tensors)
    known(cleaned.tensors, LoaderTarget("a restoration control", (DIFFBIR,), ("diffbir",)), detect)
    spelled = spell(DIFFBIR, cleaned.tensors)
    control = spelled.parts["control"]
    with as_wrong_file(DIFFBIR):
        layout = control_layout(FileShapes.of(control), {"num_head_channels": head_channels})
    check_numbers({PART + key: value for key, value in control.items()}, DIFFBIR, spelled.table)
    return RestorationControl(file, control, layout, spelled.table, (*notes, *cleaned.notes))
