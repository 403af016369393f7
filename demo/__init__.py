"""The embedded model: layout, text encoder, the world it was trained on, and a detector for that world."""
