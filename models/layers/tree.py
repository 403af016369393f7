"""Modules in a tree whose paths are dotted names, so that a state-dict key is a name followed by the layer's own key."""

from collections.abc import Mapping

from torch import nn


def plant(root: nn.Module, layers: Mapping[str, nn.Module]) -> None:
    """Adds each layer to `root` at the path of its name: `down.1.0.out` becomes `root.down.1.0.out`."""
    for name, layer in layers.items():
        *path, last = name.split(".")
        parent = root
        for step in path:
            if step not in parent._modules:
                parent.add_module(step, nn.Module())
            parent = parent.get_submodule(step)
        parent.add_module(last, layer)
