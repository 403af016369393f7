"""The pack on ComfyUI."""
