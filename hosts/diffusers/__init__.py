"""The pack on diffusers."""
