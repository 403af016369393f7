"""Rows that several families share: LDM's and diffusers' spelling of the parts of temporal layers."""

from .keytable import Drop, Row, prefixed, product, same, weights

ATTENTION = (
    *same("to_q.weight", "to_k.weight", "to_v.weight"),
    *weights(("to_out.0", "to_out")),
    Row("relative_position_k.embeddings_table", "positions.keys"),
    Row("relative_position_v.embeddings_table", "positions.values"),
)
"""Rows of an attention; the tables are VideoCrafter 1's and LVDM's."""

FEED_FORWARD = weights(("net.0.proj", "proj_in"), ("net.2", "proj_out"))
"""Rows of a `FeedForward`."""

BLOCK = (
    *weights(("norm1", "norms.0"), ("norm2", "norms.1"), ("norm3", "ff_norm")),
    *product((Row("attn1.", "attentions.0."), Row("attn2.", "attentions.1.")), ATTENTION),
    *prefixed(FEED_FORWARD, "ff.", "ff."),
)
"""Rows of a `TemporalBlock` of two attentions."""

EDGES = weights(("norm", "norm"), ("proj_in", "proj_in"), ("proj_out", "proj_out"))

TRANSFORMER = (*EDGES, *product((Row("transformer_blocks.{}.", "blocks.{}."),), BLOCK))
"""Rows of a `TemporalTransformer`."""

TRANSFORMER_AS_CONV = tuple(
    Row(row.published, row.ours, Drop(-1) if row.published in ("proj_in.weight", "proj_out.weight") else None)
    for row in TRANSFORMER
)
"""Rows of a `TemporalTransformer` whose outer linear layers are stored as convolutions of width 1."""

CONV = weights(
    ("conv1.0", "norms.0"), ("conv1.2", "convs.0"), ("conv2.0", "norms.1"), ("conv2.3", "convs.1"),
    ("conv3.0", "norms.2"), ("conv3.3", "convs.2"), ("conv4.0", "norms.3"), ("conv4.3", "convs.3"),
)  # fmt: skip
"""Rows of a `TemporalConv` of four stages: norm and convolution, with SiLU (and dropout after the first stage) between."""

SCHEDULE_BUFFERS = tuple(
    Row(name, f"buffer:{name}")
    for name in (
        "betas", "alphas_cumprod", "alphas_cumprod_prev", "sqrt_alphas_cumprod", "sqrt_one_minus_alphas_cumprod",
        "log_one_minus_alphas_cumprod", "sqrt_recip_alphas_cumprod", "sqrt_recipm1_alphas_cumprod", "posterior_variance",
        "posterior_log_variance_clipped", "posterior_mean_coef1", "posterior_mean_coef2", "scale_arr",
    )
)  # fmt: skip
"""Rows of the noise schedule, which LDM's training code stores beside the networks."""
