"""Nodes of the pack, one file per category of the node menu."""

from ..hosts.comfyui.api import ComfyExtension, io
from . import (
    files,
    inversion,
    keyframes,
    live,
    load,
    lora,
    motion,
    picture,
    renamed,
    restore,
    restyle,
    restyle_video,
    shot,
    superres,
    vae,
    video,
    windows,
)


class ZoetropeExtension(ComfyExtension):
    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        return [
            *load.NODES,
            *motion.NODES,
            *shot.NODES,
            *keyframes.NODES,
            *live.NODES,
            *windows.NODES,
            *vae.NODES,
            *picture.NODES,
            *restyle.NODES,
            *restyle_video.NODES,
            *restore.NODES,
            *lora.NODES,
            *inversion.NODES,
            *superres.NODES,
            *video.NODES,
        ]


async def comfy_entrypoint() -> ZoetropeExtension:
    """Entry point of the extension, called once by ComfyUI."""
    files.register_folders()
    renamed.accept_old_names()
    return ZoetropeExtension()
