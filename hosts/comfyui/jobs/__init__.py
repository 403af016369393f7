"""From a video to a video file: interpolate, upscale."""
