"""The embedded model's text encoder: a small transformer over a vocabulary of words."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..models.layers.positions import frame_table

PAD = 0
FIRST = 2
"""Token of the first word; 1 is reserved."""


@dataclass(frozen=True)
class TextConfig:
    """Vocabulary and sizes of a text encoder."""

    words: tuple[str, ...]
    """Every word of the vocabulary, in token order. Other words are skipped; `prompt.py` replaces synonyms first."""
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
        with torch.device("cpu"):  # not in the file, so it must not be on the meta device
            self.register_buffer("positions", frame_table(config.length, config.width), persistent=False)  # (1, n, d)
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(
                config.width, config.heads, 4 * config.width, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
            )
            for _ in range(config.layers)
        )
        self.norm = nn.LayerNorm(config.width)

    def tokenize(self, prompts: Sequence[str]) -> Tensor:
        """Token numbers `(b, n)`, int64, padded and truncated to the length."""
        rows = [self.tokens_of(prompt)[: self.config.length] for prompt in prompts]
        return torch.tensor([row + [PAD] * (self.config.length - len(row)) for row in rows])

    def tokens_of(self, prompt: str) -> list[int]:
        """Token numbers of the words of the vocabulary, neither truncated nor padded."""
        return [self._index[word] for word in words_of(prompt) if word in self._index]

    def word_of(self, token: int) -> str:
        """The word of a token; empty for padding."""
        return ("", "?", *self.config.words)[token]

    def forward(self, tokens: Tensor) -> Tensor:  # (b, n) -> (b, n, d)
        x = self.embedding(tokens) + self.positions
        for layer in self.layers:
            x = layer(x)
        return self.norm(x)


def words_of(prompt: str) -> list[str]:
    """Lower-case words and numbers of a prompt, without punctuation."""
    return re.findall(r"[^\W_]+", prompt.lower())
