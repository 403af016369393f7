"""Adapters to ComfyUI and diffusers: sites of their UNets, devices and dtypes, removable hooks. Independent of each other."""
