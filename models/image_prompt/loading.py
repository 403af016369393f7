"""From a file to an image projector: find the family by keys, rename by its table, build, fill; strict at every step."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import WrongFile
from ..formats.checkpoint import read_file
from ..formats.facts import FileShapes, under
from ..formats.keytable import KeyTable, Row
from ..formats.leftovers import clean_weights
from ..formats.published import Metadata, Shapes
from ..formats.recognise import LoaderTarget, known
from ..formats.strict import fill, in_file, spell
from .families import PROJECTORS, VIDEOCRAFTER, detect
from .family import EncoderInput, ProjectorFamily
from .layers import ImageKeys, ImageLayers

PARTS = ("projector", "image")
GUIDE = "conv_in."
"""In the part `image` of a video checkpoint, but no image prompt's: input for given frames."""


FACES = 512
"""Width of what encoders of faces say."""
IDENTITY = re.compile(
    r"image_proj(?:_model)?\.(proj\.\d|perceiver_resampler|norm1|mapping)|(?:ip_adapter|adapter_modules)\.\d+\.to_\w+_lora"
)
"""Keys of adapters whose projector is another network, or that change attentions as well (tencent-ailab/IP-Adapter 62e4af9)."""
ADAPTERS = ("ip_adapter.", "adapter_modules.")
PICK = "Pick a plain or plus one."


class ImageProjector(nn.Module):
    """The network that makes tokens of a picture, and the keys and values of the UNet's attentions for them."""

    def __init__(self, projector: nn.Module, image: ImageLayers):
        super().__init__()
        self.projector = projector
        self.image = image


@dataclass(frozen=True)
class LoadedProjector:
    """An image projector and what it is."""

    network: ImageProjector
    family: ProjectorFamily
    look: EncoderInput
    table: KeyTable
    dtype: torch.dtype
    file: str
    notes: tuple[str, ...] = ()
    """What was done to find the weights in the file."""

    @property
    def frames(self) -> int:
        """Frames that have tokens of their own; 1: all frames share them."""
        return int(getattr(self.network.projector, "frames", 1))

    @property
    def states(self) -> int:
        """Width of what the projector is shown."""
        return int(getattr(self.network.projector, "states"))  # noqa: B009  a network's attribute, whatever torch's stubs say

    @property
    def report(self) -> str:
        """A line for people."""
        count = sum(weight.numel() for weight in self.network.parameters())
        tokens, shown = getattr(self.network.projector, "tokens"), {"embedding": "the pooled embedding"}  # noqa: B009
        what = shown.get(self.look.states, f"the {self.look.states} layer's tokens")
        notes = "".join(f"; {note}" for note in self.notes)
        return (
            f"{self.family.title}: {tokens} tokens of {what} ({self.states} wide), {len(self.network.image.places)} layers, "
            f"{count / 1e6:.1f} M weights{notes}"
        )


def load_projector(path: str | Path, ops: Any = nn) -> LoadedProjector:
    """Reads the image projector of any known family, also out of a whole video checkpoint.

    ops   namespace of the leaf layers, `torch.nn` or the host's
    Raises WrongFile, naming file and remedy.
    """
    held = read_file(path)
    with in_file(Path(path).name):
        return projector_from(held.tensors, held.metadata, Path(path).name, ops, held.notes)


def projector_from(
    tensors: Mapping[str, Tensor], metadata: Metadata, file: str, ops: Any = nn, notes: tuple[str, ...] = ()
) -> LoadedProjector:
    """As `load_projector`, of a file's tensors."""
    settled = clean_weights(tensors)
    tensors = settled.tensors
    _check_identity(tensors)
    family = known(tensors, LoaderTarget("image projector", PROJECTORS, ("image_prompt",)), detect)
    if (faces := tensors.get("image_proj.proj_in.weight")) is not None and faces.shape[-1:] == (FACES,):
        raise WrongFile(f"this is an IP-Adapter for faces (InstantID or kin): {FACES} numbers of an encoder of faces. {PICK}")
    spelled = spell(family, tensors)
    table, parts = spelled.table, spelled.parts
    ours_alone = [row for row in table.rows if row.ours.startswith(tuple(f"{part}:" for part in PARTS))]
    own = KeyTable(tuple(Row(row.published, row.ours.replace(":", ".", 1), row.change) for row in ours_alone))
    loaded = _filled(family, own, parts.get("projector", {}), parts.get("image", {}), metadata, file, ops)
    return replace(loaded, notes=(*notes, *settled.notes))


def projector_of(file: str, projector: Mapping[str, Tensor], image: Mapping[str, Tensor], ops: Any = nn) -> LoadedProjector:
    """The image projector of a whole video checkpoint that has been taken apart: its parts `projector` and `image`."""
    return _filled(VIDEOCRAFTER, KeyTable(()), projector, image, {}, file, ops)


def _filled(
    family: ProjectorFamily, table: KeyTable, projector: Mapping[str, Tensor], image: Mapping[str, Tensor], metadata: Metadata,
    file: str, ops: Any,
) -> LoadedProjector:  # fmt: skip
    weights = {f"projector.{key}": value for key, value in projector.items()}
    weights |= {f"image.{key}": value for key, value in image.items() if not key.startswith(GUIDE)}
    shapes = FileShapes.of(weights)
    network = fill(family, weights, table, lambda ops: _build(family, shapes, metadata, ops), ops)
    look = family.look(under(shapes, "projector."))
    return LoadedProjector(network, family, look, table, next(iter(weights.values())).dtype, file)


def published(loaded: LoadedProjector) -> dict[str, Tensor]:
    """The weights as the file spells them."""
    return loaded.table.restore(loaded.network.state_dict())


def _build(family: ProjectorFamily, shapes: Shapes, metadata: Metadata, ops: Any) -> ImageProjector:
    image = under(shapes, "image.")
    keys = [key for key in image if key.endswith(".to_k.weight")]
    layers = {
        place: ImageKeys(image[key][1], image[key][0], f"{place}.weight.alpha" in image, ops)
        for key in keys
        if (place := key.removesuffix(".to_k.weight"))
    }
    return ImageProjector(family.build(under(shapes, "projector."), metadata, ops), ImageLayers(layers))


def _check_identity(tensors: Mapping[str, Tensor]) -> None:
    """Raises WrongFile for IP-Adapters whose projector reads what an encoder of faces says."""
    if any(key.startswith(ADAPTERS) for key in tensors) and (mark := next(filter(IDENTITY.match, tensors), None)):
        raise WrongFile(
            f"this is an IP-Adapter of a kind that Zoetrope does not know (FaceID, full face and the like), recognised by "
            f"{mark}. {PICK}"
        )
