"""diffusers as host."""
