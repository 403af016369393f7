"""Prompts in everyday English: what is understood, assumed, exchanged and left out, and that nothing is so in silence."""

import random
from itertools import permutations

import pytest
import torch
from zoetrope.demo import synonyms
from zoetrope.demo.layout import load_text
from zoetrope.demo.prompt import read_prompt, read_tokens, tokens_of
from zoetrope.demo.words import BACKGROUNDS, COLOURS, MOTIONS, RATES, SHAPES, write_caption
from zoetrope.demo.world import draw


def meaning(prompt: str) -> str:
    """The prompt that the encoder reads, without its rate."""
    return read_prompt(prompt).prompt.removesuffix(" at 8 fps")


def test_every_caption_of_the_world_is_read_as_it_stands() -> None:
    for colour in COLOURS:
        for shape in SHAPES:
            for motion in MOTIONS:
                for ground in BACKGROUNDS:
                    kinds = {"colour": colour, "shape": shape, "motion": motion, "background": ground}
                    for rate in RATES:
                        prompt = f"{write_caption(kinds)} at {rate} fps"
                        reading = read_prompt(prompt)
                        assert (reading.prompt, reading.named, reading.fps) == (prompt, kinds, rate)
                        assert reading.notes() == []


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("a red ball moves to the right on a gray background", "a red circle moving right on grey"),
        ("the blue ball moves to the left against a black backdrop", "a blue circle moving left on black"),
        ("A green box, leftwards, white background", "a green square moving left on white"),
        ("a yellow block rising in front of a plain white canvas", "a yellow square moving up on white"),
        ("cyan dot falling on grey", "a cyan circle moving down on grey"),
        ("upwards moving magenta disc, black", "a magenta circle moving up on black"),
        ("on a white background a red disk moves from left to right", "a red circle moving right on white"),
        ("a red circle moving from the top to the bottom on black", "a red circle moving down on black"),
        ("red circle coming from the left on black", "a red circle moving right on black"),
        ("a static yellow triangle on black", "a yellow triangle standing still on black"),
        ("a stationary yellow triangle on black", "a yellow triangle standing still on black"),
        ("a yellow triangle that does not move, on black", "a yellow triangle standing still on black"),
        ("a yellow triangle stays on black", "a yellow triangle standing still on black"),
        ("a red circle, still moving up, on black", "a red circle moving up on black"),
        ("a red circle on the left, moving down on black", "a red circle moving down on black"),
        ("background: grey. a triangular blue shape going down", "a blue triangle moving down on grey"),
        ("moving to the right", "a moving right"),
        ("4k cinematic red circle moving to the right on a black background", "a red circle moving right on black"),
        ("white background", "a on white"),
    ],
)
def test_everyday_english_is_understood(prompt: str, expected: str) -> None:
    assert meaning(prompt) == expected


def test_words_come_in_any_order() -> None:
    parts = ["red", "circle", "moving left", "on white"]
    assert {meaning(" ".join(order)) for order in permutations(parts)} == {"a red circle moving left on white"}


def test_a_ground_is_assumed_where_a_colour_or_a_shape_has_none() -> None:
    for prompt in ("a blue square moving left", "blue", "square"):
        reading = read_prompt(prompt)
        assert reading.assumed == {"background": "black"}
        assert reading.prompt.endswith("on black at 8 fps")
        assert "assumed: on black" in reading.notes()
    for prompt in ("moving left", "a blue square on white", "", "a dog"):
        assert read_prompt(prompt).assumed == {}
    assert read_prompt("a blue square", picture=True).prompt == "a blue square at 8 fps", "the picture shows the ground"


def test_captions_for_people_have_no_lonely_article() -> None:
    prompts = {"moving left": "moving left", "a red circle": "a red circle on black", "red": "red on black", "a dog": ""}
    assert {prompt: read_prompt(prompt).caption for prompt in prompts} == prompts


@pytest.mark.parametrize(
    ("prompt", "expected", "left_out"),
    [
        ("a red circle and a blue square", "a red circle on black", ["blue square"]),
        ("a red circle moving up, and a blue circle moving left on white", "a red circle moving up on white",
         ["left", "blue circle"]),
        ("circle and a blue square moving left", "a circle moving left on black", ["blue square"]),
        ("circle red and square blue on grey", "a red circle on grey", ["square blue"]),
        ("a red and blue circle on grey", "a red circle on grey", ["blue"]),
        ("two red circles on grey", "a red circle on grey", ["more than one circle", "two"]),
        ("a red circle on a blue background", "a red circle on black", ["blue as a ground"]),
        ("a black circle on white", "a circle on white", ["black as a colour"]),
        ("no red, a blue circle on grey", "a blue circle on grey", ["no red"]),
    ],
)  # fmt: skip
def test_there_is_one_object_and_the_rest_is_named(prompt: str, expected: str, left_out: list[str]) -> None:
    reading = read_prompt(prompt)
    assert (reading.prompt.removesuffix(" at 8 fps"), list(reading.left_out)) == (expected, left_out)
    assert reading.misses
    (line,) = [note for note in reading.notes() if note.startswith("this world has one object")]
    assert all(repr(words) in line for words in left_out)
    assert reading.notes()[0] == f"read as {reading.prompt!r}"


def test_the_nearest_word_is_said() -> None:
    reading = read_prompt("a purple cube on a dark background")
    assert reading.prompt == "a magenta square on black at 8 fps"
    assert reading.nearest == {"purple": "magenta", "cube": "square", "dark": "black"}
    assert "'purple' is not known, magenta comes nearest" in reading.notes()
    assert read_prompt("a gray ball").nearest == {}, "the same thing in other words"


def test_unknown_words_are_named_and_a_prompt_of_them_counts_as_empty() -> None:
    assert read_prompt("A RED circle, moving left over Paris at night").unknown == ("paris", "night")
    for prompt in ("a dog", "un perro rojo", "blurry, text, watermark"):
        reading = read_prompt(prompt)
        assert (reading.prompt, reading.named) == ("", {})
        assert reading.notes()[-1].startswith("so the prompt counts as empty; known are colours: red, green")
    assert read_prompt("").notes() == read_prompt(" , ").notes() == []
    assert read_prompt("a red circle moving").unknown == ("moving without a direction",)


def test_rates() -> None:
    for prompt in ("a red circle at 16 fps", "16fps, a red circle", "a red circle at 16 frames per second"):
        assert read_prompt(prompt).fps == 16
        assert read_prompt(prompt).unknown == ()
    assert read_prompt("a red circle at 16 fps", 4).prompt == "a red circle on black at 4 fps"
    unusual = read_prompt("a red circle at 12 fps")
    assert (unusual.fps, unusual.unknown) == (8, ("12",))
    assert read_prompt("at 4 fps").prompt == "at 4 fps"
    assert read_tokens(tokens_of("a red circle"), ground=False, usual_rate=False).prompt == "a red circle"


def test_words_know_the_tokens_that_they_were_read_from() -> None:
    tokens = tokens_of("on a gray background the blue ball moves leftwards at 16 fps")
    reading = read_tokens(tokens)
    sources = {word: reading.source(word) for word in reading.prompt.split()}
    typed = {word: None if place is None else tokens[place] for word, place in sources.items()}
    assert typed == {
        "a": "a", "blue": "blue", "circle": "ball", "moving": "moves", "left": "leftwards", "on": "on", "grey": "gray",
        "at": "at", "16": "16", "fps": "fps",
    }  # fmt: skip
    assumed = read_tokens(tokens_of("red ball"))
    assert [assumed.source(word) for word in assumed.prompt.split()] == [None, 0, 1, None, None, None, None, None]


def test_no_word_has_two_meanings() -> None:
    own = {*COLOURS, *SHAPES, *BACKGROUNDS}
    groups = [own, {*synonyms.SAME}, {*synonyms.NEAREST}, {*synonyms.DIRECTIONS}, synonyms.STILL, synonyms.STAYING,
              synonyms.MOVING, synonyms.NEGATIONS, synonyms.FILLERS]  # fmt: skip
    assert len(set().union(*groups)) == sum(map(len, groups))
    assert {*synonyms.SAME.values(), *synonyms.NEAREST.values()} <= own


def test_anything_is_read_and_what_was_read_is_read_again_as_the_same() -> None:
    words = [*COLOURS, *SHAPES, *BACKGROUNDS, *synonyms.SAME, *synonyms.NEAREST, *synonyms.DIRECTIONS, *synonyms.ENDS,
             *sorted(synonyms.STILL | synonyms.STAYING | synonyms.MOVING | synonyms.NEGATIONS | synonyms.FILLERS),
             "8", "fps", "12", "dog", ",", "(", ":", "é", "'"]  # fmt: skip
    dice, encoder = random.Random(0), load_text()
    for _ in range(3000):
        prompt = " ".join(dice.choices(words, k=dice.randint(0, 12)))
        reading = read_prompt(prompt)
        again = read_prompt(reading.prompt, picture=True)
        assert again.prompt == reading.prompt, prompt
        assert not again.misses, prompt
        assert all(encoder.tokens_of(word) for word in reading.prompt.split()), prompt
        assert len(reading.prompt.split()) <= encoder.config.length
        for word in reading.prompt.split():
            reading.source(word)


def test_random_scenes_in_random_order_and_other_words() -> None:
    dice = random.Random(1)
    others = {value: [word for word, meant in (synonyms.SAME | synonyms.DIRECTIONS).items() if meant == value]
              for value in (*SHAPES, *MOTIONS)}  # fmt: skip
    for seed in range(300):
        scene = draw(torch.Generator().manual_seed(seed))
        shape, motion = dice.choice([scene.shape, *others[scene.shape]]), dice.choice([scene.motion, *others[scene.motion]])
        parts = [scene.colour, shape, motion, f"on {scene.background}"]
        dice.shuffle(parts)
        assert meaning(", ".join(parts)) == scene.caption, parts
