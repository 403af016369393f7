"""PyAV, which ComfyUI brings and the pack does not require: imported where it is needed, named where it is missing."""

from typing import Any


def pyav(work: str) -> Any:
    """The module. Raises ValueError that says what needed it."""
    try:
        import av
    except ImportError as error:
        raise ValueError(f"{work} needs PyAV: pip install av (ComfyUI brings it)") from error
    return av


def words_of(error: Exception | None) -> str:
    """FFmpeg's own words in an error of PyAV, else all that it says."""
    return getattr(error, "strerror", None) or str(error)
