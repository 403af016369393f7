"""Jobs that write a video file from a video: interpolate, upscale, restyle."""
