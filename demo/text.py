"""The embedded model's text encoder: words of the world's grammar to tokens, small enough to travel in the pack."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..models.layers.positions import frame_table

PAD = 0
FIRST = 2
"""Token of the first word; 1 is kept free."""


@dataclass(frozen=True)
class TextConfig:
    """What a text encoder is made of."""

    words: tuple[str, ...]
    """Every word of the vocabulary, in token order. Other words are skipped; `prompt.py` reads everyday English first."""
    length: int
    """Tokens per prompt."""
    width: int
    layers: int
    heads: int


class TextEncoder(nn.Module):
    """Embedding, position table, transformer encoder layers (pre-norm), final norm."""

    def __init__(self, config: TextConfig):
        super().__init__()
        self.config = config
        self._index = {word: index for index, word in enumerate(config.words, start=FIRST)}
        self.embedding = nn.Embedding(len(config.words) + FIRST, config.width)
        with torch.device("cpu"):  # no file holds it, so it is no plan to be filled
            self.register_buffer("positions", frame_table(config.length, config.width), persistent=False)  # (1, n, d)
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(
                config.width, config.heads, 4 * config.width, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
            )
            for _ in range(config.layers)
        )
        self.norm = nn.LayerNorm(config.width)

    def tokenize(self, prompts: Sequence[str]) -> Tensor:
        """Token numbers `(b, n)`, int64; words beyond the length are cut."""
        rows = [self.tokens_of(prompt)[: self.config.length] for prompt in prompts]
        return torch.tensor([row + [PAD] * (self.config.length - len(row)) for row in rows])

    def tokens_of(self, prompt: str) -> list[int]:
        """One number per word that it knows, neither cut nor padded."""
        return [self._index[word] for word in words_of(prompt) if word in self._index]

    def word_of(self, token: int) -> str:
        return ("", "?", *self.config.words)[token]

    def forward(self, tokens: Tensor) -> Tensor:  # (b, n) -> (b, n, d)
        x = self.embedding(tokens) + self.positions
        for layer in self.layers:
            x = layer(x)
        return self.norm(x)


def words_of(prompt: str) -> list[str]:
    """Lower-case words and numbers of a prompt, without punctuation."""
    return re.findall(r"[^\W_]+", prompt.lower())
