"""Edits: changes of a backbone while it runs, by hooks that leave no trace when they are removed.

An edit is a subclass of `Edit`: the places it wants, the options it reads, and its hooks. A host finds the places, installs the
edit for as long as a model is loaded, and gives it the inputs of each call. Without inputs the backbone is itself, bit for bit.
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
    """Hooks of one network in one backbone: installed, given the inputs of each call, removed."""

    reads: ClassVar[tuple[str, ...]] = ()
    """Names of the options that its inputs are made of, besides `EVERY_EDIT_READS`."""

    def __init__(self) -> None:
        self._handles: list[RemovableHandle] = []
        self.inputs: Inputs | None = None

    @abstractmethod
    def wanted(self, network: Any) -> Mapping[Site, int]:
        """Places that the network's weights need, with their widths; empty where it takes the backbone as it is."""

    @abstractmethod
    def hooks(self, network: Any, places: Places) -> Iterator[RemovableHandle]:
        """Registers the hooks, one after another."""

    def install(self, network: Any, places: Places) -> None:
        """Hooks the network into the backbone that has these places. Leftovers are removed first.

        Raises DoesNotFit where a wanted place is missing or has another width; then nothing is installed.
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
        """Sets the inputs of the calls that follow; None: the backbone alone. Returns the inputs before, to be given back."""
        before, self.inputs = self.inputs, inputs
        return before

    @property
    def installed(self) -> bool:
        return bool(self._handles)

    def remove(self) -> None:
        """Removes every hook; harmless where there is none."""
        while self._handles:
            self._handles.pop().remove()


def level_strength(place: str, levels: Mapping[str, float]) -> float:
    """The factor of the longest beginning of `place` among `levels`; 1 where there is none."""
    fitting = [name for name in levels if place == name or place.startswith(f"{name}.")]
    return levels[max(fitting, key=len)] if fitting else 1.0


def on_pictures(output: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """A module's output with `change` applied to its tensor, or to the first of a tuple (diffusers' transformers)."""
    if isinstance(output, tuple):
        return (change(output[0]), *output[1:])
    return change(output)


def rewrite(x: Tensor, change: Callable[[Tensor], Tensor]) -> None:
    """Writes `change(x)` into x, a tensor that others hold as well (a block adds x to what it makes of it).

    Where gradients are recorded, `change` reads a copy, so that nothing saved for them is overwritten. The bits are the same.
    """
    x.copy_(change(x.clone() if torch.is_grad_enabled() else x))


class LevelSize:
    """Height and width of the level that is running, as its spatial transformer is given it.

    Sizes cannot be derived from the latent's: nodes may shrink levels by any factor (Deep Shrink).
    """

    def __init__(self) -> None:
        self.now: tuple[int, int] | None = None

    def hooks(self, places: Places, transformers: Iterable[Site]) -> Iterator[RemovableHandle]:
        for site in (site for site in dict.fromkeys(transformers) if site in places.sites):
            yield places.sites[site][0].register_forward_pre_hook(self._note, with_kwargs=True)

    def _note(self, module: nn.Module, args: Any, kwargs: Any) -> None:
        x = args[0] if args else kwargs["hidden_states"]
        self.now = (x.shape[-2], x.shape[-1])


def around(module: nn.Module, before: Any, after: Any) -> Iterator[RemovableHandle]:
    """A pre-hook and a hook of one module."""
    yield module.register_forward_pre_hook(before)
    yield module.register_forward_hook(after)
