"""From a picture to tokens that the UNet's cross-attention reads beside the text: projectors and decoupled attention."""
