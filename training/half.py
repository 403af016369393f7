"""bfloat16 activations on a CPU, with the math attention kernel: the backward pass of torch's fused one is slow there."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel


@contextmanager
def half_precision(device: str = "cpu") -> Iterator[None]:
    """Context with bfloat16 activations on a type of device; weights stay in float32."""
    if device != "cpu":
        with torch.autocast(device, torch.bfloat16):
            yield
        return
    reduced = torch.backends.cuda.fp16_bf16_reduction_math_sdp_allowed()
    torch.backends.cuda.allow_fp16_bf16_reduction_math_sdp(True)  # else the kernel computes in float32
    try:
        with torch.autocast("cpu", torch.bfloat16), sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.cuda.allow_fp16_bf16_reduction_math_sdp(reduced)
