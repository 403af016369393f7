"""The word-level text encoder: tokens, unknown words, order, and the shipped file."""

import pytest
import torch
from zoetrope.demo.layout import load_text
from zoetrope.demo.text import TextConfig, TextEncoder, words_of

TINY = TextConfig(words=("circle", "left", "moving", "red", "up"), length=6, width=32, layers=1, heads=2)


def test_words_become_tokens_and_unknown_words_are_skipped() -> None:
    text = TextEncoder(TINY)
    assert words_of("A Red, circle -- moving_left!") == ["a", "red", "circle", "moving", "left"]
    assert text.tokenize(["red circle", "", "one dog"]).tolist() == [[5, 2, 0, 0, 0, 0], [0] * 6, [0] * 6]
    assert torch.equal(text.tokenize(["a photorealistic red, round circle"]), text.tokenize(["red circle"]))
    assert [text.word_of(token) for token in (0, 1, 2)] == ["", "?", "circle"]


@torch.inference_mode()
def test_order_counts_and_prompts_do_not_see_each_other() -> None:
    text = TextEncoder(TINY).eval()
    both = text(text.tokenize(["red circle", "circle red"]))
    assert both.shape == (2, 6, 32)
    assert (both[0] - both[1]).abs().max() > 1e-3
    assert torch.allclose(text(text.tokenize(["red circle"]))[0], both[0], atol=1e-6)


def test_the_shipped_encoder_knows_the_world() -> None:
    from zoetrope.demo.world import COLOURS, MOTIONS, SHAPES, draw

    text = load_text()
    for word in [*COLOURS, *SHAPES, *MOTIONS]:
        assert len(text.tokens_of(word)) == len(word.split())
    caption = f"{draw(torch.Generator().manual_seed(0)).caption} at 8 fps"
    assert len(text.tokens_of(caption)) == len(caption.split()) <= text.config.length
    assert not any(p.requires_grad for p in text.parameters())


@pytest.mark.parametrize("prompt", ["", "a red circle moving right on black at 8 fps and then some more words"])
def test_any_prompt_has_one_length(prompt: str) -> None:
    text = load_text()
    assert text(text.tokenize([prompt])).shape == (1, text.config.length, text.config.width)
