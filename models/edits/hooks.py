"""Edits: changes of a backbone while it runs, by hooks that can be removed without a trace.

An edit is a subclass of `Edit`: the places it requires, the options it reads, and its hooks. A host finds the places, installs
the edit for as long as a model is loaded, and sets the inputs of each call. Without inputs the backbone's output is unchanged,
bit for bit.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, ClassVar, Generic, TypeVar

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from ..backbones.places import Places
from ..backbones.unet import Site
from ..errors import DoesNotFit

Inputs = TypeVar("Inputs")

EVERY_EDIT_READS = ("strength", "start", "end")
"""Options of every edit: a factor (0 is the backbone alone), and the shares of sampling between which it acts."""


class Edit(ABC, Generic[Inputs]):
    """Hooks of one network in one backbone. Life cycle: `install`, `give` the inputs of each call, `remove`."""

    reads: ClassVar[tuple[str, ...]] = ()
    """Names of the options that it reads besides `EVERY_EDIT_READS`."""

    def __init__(self) -> None:
        self._handles: list[RemovableHandle] = []
        self.inputs: Inputs | None = None

    @abstractmethod
    def wanted(self, network: Any) -> Mapping[Site, int]:
        """Sites that the network requires, with their widths; empty where it has no requirement."""

    @abstractmethod
    def hooks(self, network: Any, places: Places) -> Iterator[RemovableHandle]:
        """Registers the hooks and yields their handles."""

    def install(self, network: Any, places: Places) -> None:
        """Installs the hooks of the network in the backbone with these places; hooks installed earlier are removed first.

        Raises DoesNotFit where a required site is missing or has another width; then nothing is installed.
        """
        self.remove()
        for site, width in self.wanted(network).items():
            if places.widths.get(site) != width:
                got = places.widths.get(site, "no such place")
                raise DoesNotFit(f"{type(self).__name__}: expected {width} channels at {site}, got {got}")
        try:
            for handle in self.hooks(network, places):
                self._handles.append(handle)
        except BaseException:
            self.remove()
            raise

    def give(self, inputs: Inputs | None) -> Inputs | None:
        """Sets the inputs of the following calls; None: the backbone alone. Returns the previous inputs, to restore them."""
        previous, self.inputs = self.inputs, inputs
        return previous

    @property
    def installed(self) -> bool:
        """Whether any hook is installed."""
        return bool(self._handles)

    def remove(self) -> None:
        """Removes every hook, if any."""
        while self._handles:
            self._handles.pop().remove()


def level_strength(place: str, levels: Mapping[str, float]) -> float:
    """Factor of the longest prefix of `place` (`down.1` of `down.1.0.out`) among `levels`; 1 where there is none."""
    fitting = [name for name in levels if place == name or place.startswith(f"{name}.")]
    return levels[max(fitting, key=len)] if fitting else 1.0


def on_pictures(output: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """Applies `change` to a module's output, or to the first element of a tuple (diffusers' transformers)."""
    if isinstance(output, tuple):
        return (change(output[0]), *output[1:])
    return change(output)


def rewrite(x: Tensor, change: Callable[[Tensor], Tensor]) -> None:
    """Writes `change(x)` into x in place, because the caller uses the same tensor again (for a block's residual).

    Where gradients are recorded, `change` gets a copy, so that no tensor saved for them is overwritten. The result is the same.
    """
    x.copy_(change(x.clone() if torch.is_grad_enabled() else x))


class LevelSize:
    """Height and width of the running level, from the input of its spatial transformer.

    It cannot be derived from the latent's size, because nodes may shrink levels by any factor (Deep Shrink).
    """

    def __init__(self) -> None:
        self.now: tuple[int, int] | None = None

    def hooks(self, places: Places, transformers: Iterable[Site]) -> Iterator[RemovableHandle]:
        """Registers hooks at these sites, where the backbone has them, and yields their handles."""
        for site in (site for site in dict.fromkeys(transformers) if site in places.sites):
            yield places.sites[site][0].register_forward_pre_hook(self._note, with_kwargs=True)

    def _note(self, module: nn.Module, args: Any, kwargs: Any) -> None:
        x = args[0] if args else kwargs["hidden_states"]
        self.now = (x.shape[-2], x.shape[-1])


def around(module: nn.Module, before: Any, after: Any) -> Iterator[RemovableHandle]:
    """Registers a forward pre-hook and a forward hook of one module and yields their handles."""
    yield module.register_forward_pre_hook(before)
    yield module.register_forward_hook(after)
