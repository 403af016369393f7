"""What classifier-free guidance does to a prediction, put right: guidance rescale (Lin et al. 2023, arXiv 2305.08891, 3.4)."""

from torch import Tensor


def rescaled(guided: Tensor, conditional: Tensor, share: float, clips: int = 1) -> Tensor:
    """The guided prediction with the spread that the conditional one has, mixed with itself by `share`.

    guided, conditional   `(b f) c h w`, what the network predicts (v for v-prediction)
    clips                 b: the spread is taken over each whole clip
    """
    if share == 0:
        return guided
    spread = conditional.reshape(clips, -1).std(dim=1) / guided.reshape(clips, -1).std(dim=1)  # (b,)
    factor = (share * spread + 1 - share).repeat_interleave(len(guided) // clips)
    return guided * factor.reshape(-1, *[1] * (guided.ndim - 1))
