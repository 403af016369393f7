"""What an artist sees: the pack's nodes, one file per shelf of the node menu."""

from ..hosts.comfyui.api import ComfyExtension, io
from . import files, load, motion, picture, renamed, restyle, shot, superres, vae, video, windows


class ZoetropeExtension(ComfyExtension):
    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        return [
            *load.NODES,
            *motion.NODES,
            *shot.NODES,
            *windows.NODES,
            *vae.NODES,
            *picture.NODES,
            *superres.NODES,
            *video.NODES,
            *restyle.NODES,
        ]


async def comfy_entrypoint() -> ZoetropeExtension:
    """Called once by the host, which then asks for the nodes."""
    files.register_folders()
    renamed.accept_old_names()
    return ZoetropeExtension()
