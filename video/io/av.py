"""Optional import of PyAV, which ComfyUI requires and the pack does not."""

from typing import Any


def pyav(work: str) -> Any:
    """Imports PyAV. Raises ValueError, with the work that needs it, where it is not installed."""
    try:
        import av
    except ImportError as error:
        raise ValueError(f"{work} needs PyAV: pip install av (part of ComfyUI's requirements)") from error
    return av


def words_of(error: Exception | None) -> str:
    """FFmpeg's message in an error of PyAV, else the text of the error."""
    return getattr(error, "strerror", None) or str(error)
