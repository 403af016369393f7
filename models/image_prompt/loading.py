"""Loading of image projectors: detect the family by keys, rename by its table, build, fill; strict at every step."""

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
"""Prefix of keys in the part `image` of a video checkpoint that belong to the input for given frames."""


FACES = 512
"""Width of the output of face encoders."""
IDENTITY = re.compile(
    r"image_proj(?:_model)?\.(proj\.\d|perceiver_resampler|norm1|mapping)|(?:ip_adapter|adapter_modules)\.\d+\.to_\w+_lora"
)
"""Keys of adapters with another projector network, or with LoRAs of attentions (tencent-ailab/IP-Adapter 62e4af9)."""
ADAPTERS = ("ip_adapter.", "adapter_modules.")
PICK = "Use a plain or plus IP-Adapter."


class ImageProjector(nn.Module):
    """The network that projects a picture to tokens, and the image layers of the UNet's cross-attentions."""

    def __init__(self, projector: nn.Module, image: ImageLayers):
        super().__init__()
        self.projector = projector
        self.image = image


@dataclass(frozen=True)
class LoadedProjector:
    """An image projector with its family and file."""

    network: ImageProjector
    family: ProjectorFamily
    look: EncoderInput
    table: KeyTable
    dtype: torch.dtype
    file: str
    notes: tuple[str, ...] = ()
    """How the weights were found in the file."""

    @property
    def frames(self) -> int:
        """Number of frames with separate tokens; 1: all frames share them."""
        return int(getattr(self.network.projector, "frames", 1))

    @property
    def states(self) -> int:
        """Width of the projector's input."""
        return int(getattr(self.network.projector, "states"))  # noqa: B009  torch's stubs type attributes as modules

    @property
    def report(self) -> str:
        """One line of text about the projector."""
        count = sum(weight.numel() for weight in self.network.parameters())
        tokens = getattr(self.network.projector, "tokens")  # noqa: B009
        pooled = self.look.states == "embedding"
        source = "the pooled embedding" if pooled else f"the {self.look.states} layer's tokens"
        notes = "".join(f"; {note}" for note in self.notes)
        return (
            f"{self.family.title}: {tokens} tokens of {source} ({self.states} wide), {len(self.network.image.places)} layers, "
            f"{count / 1e6:.1f} M weights{notes}"
        )


def load_projector(path: str | Path, ops: Any = nn) -> LoadedProjector:
    """Loads the image projector of any known family, also from a whole video checkpoint.

    ops   namespace of the leaf layers, `torch.nn` or the host's
    Raises WrongFile with the file's name and the remedy.
    """
    contents = read_file(path)
    with in_file(Path(path).name):
        return projector_from(contents.tensors, contents.metadata, Path(path).name, ops, contents.notes)


def projector_from(
    tensors: Mapping[str, Tensor], metadata: Metadata, file: str, ops: Any = nn, notes: tuple[str, ...] = ()
) -> LoadedProjector:
    """As `load_projector`, from the tensors of a file."""
    cleaned = clean_weights(tensors)
    tensors = cleaned.tensors
    _check_identity(tensors)
    family = known(tensors, LoaderTarget("an image projector", PROJECTORS, ("image_prompt",)), detect)
    if (faces := tensors.get("image_proj.proj_in.weight")) is not None and faces.shape[-1:] == (FACES,):
        raise WrongFile(
            f"this is an IP-Adapter for faces (InstantID and the like): it takes the {FACES} numbers of a face encoder. {PICK}"
        )
    spelled = spell(family, tensors)
    table, parts = spelled.table, spelled.parts
    rows = [row for row in table.rows if row.ours.startswith(tuple(f"{part}:" for part in PARTS))]
    inner = KeyTable(tuple(Row(row.published, row.ours.replace(":", ".", 1), row.change) for row in rows))
    loaded = _filled(family, inner, parts.get("projector", {}), parts.get("image", {}), metadata, file, ops)
    return replace(loaded, notes=(*notes, *cleaned.notes))


def projector_of(file: str, projector: Mapping[str, Tensor], image: Mapping[str, Tensor], ops: Any = nn) -> LoadedProjector:
    """The image projector of a whole video checkpoint, from its parts `projector` and `image`."""
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
    """The weights under the file's key names."""
    return loaded.table.restore(loaded.network.state_dict())


def _build(family: ProjectorFamily, shapes: Shapes, metadata: Metadata, ops: Any) -> ImageProjector:
    image = under(shapes, "image.")
    keys = [key for key in image if key.endswith(".to_k.weight")]
    layers: dict[str, ImageKeys] = {}
    for key in keys:
        place = key.removesuffix(".to_k.weight")
        if place:
            layers[place] = ImageKeys(image[key][1], image[key][0], f"{place}.weight.alpha" in image, ops)
    return ImageProjector(family.build(under(shapes, "projector."), metadata, ops), ImageLayers(layers))


def _check_identity(tensors: Mapping[str, Tensor]) -> None:
    """Raises WrongFile for IP-Adapters whose projector reads the output of a face encoder."""
    if any(key.startswith(ADAPTERS) for key in tensors) and (mark := next(filter(IDENTITY.match, tensors), None)):
        raise WrongFile(
            f"this is an IP-Adapter of a kind that Zoetrope does not support (FaceID, full face and the like), recognised by "
            f"{mark}. {PICK}"
        )
