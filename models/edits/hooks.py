"""Hooks that are installed and removed together."""

from torch.utils.hooks import RemovableHandle


class Hooked:
    """Hooks that are installed and removed together."""

    def __init__(self) -> None:
        self._handles: list[RemovableHandle] = []

    @property
    def installed(self) -> bool:
        return bool(self._handles)

    def remove(self) -> None:
        """Takes every hook away; harmless when there is none."""
        while self._handles:
            self._handles.pop().remove()
