"""Conditioning per frame: prompts, masks, ControlNets, image prompts, given frames."""
