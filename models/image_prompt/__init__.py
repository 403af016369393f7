"""Image prompts: projectors from an image to tokens, and decoupled cross-attention to them beside the text."""
