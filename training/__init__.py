"""The recipe of the embedded model: data, networks, losses, one resumable loop. ComfyUI never imports it."""
