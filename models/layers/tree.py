"""Modules in a tree whose paths are names with dots, so that a state-dict key is a name followed by the layer's own key."""

from collections.abc import Mapping

from torch import nn


def plant(root: nn.Module, layers: Mapping[str, nn.Module]) -> None:
    """Puts the layer of each name at that path below `root`: `down.1.0.out` is `root.down.1.0.out`."""
    for name, layer in layers.items():
        *path, last = name.split(".")
        place = root
        for step in path:
            if step not in place._modules:
                place.add_module(step, nn.Module())
            place = place.get_submodule(step)
        place.add_module(last, layer)
