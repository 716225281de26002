"""Settings of the protocol: seeds, variants, windows, and what is refused."""

from __future__ import annotations

import pytest

from csnn.errors import InvalidInputError
from csnn.protocol.command import duration
from csnn.protocol.settings import VARIANTS, Settings, parse_seeds


@pytest.mark.parametrize(
    ("text", "seeds"),
    [
        (None, tuple(range(1, 11))),
        ("1", (1,)),
        ("3", (1, 2, 3)),
        ("7,8", (7, 8)),
        ("5-5", (5,)),
        ("1, 4-6,2", (1, 4, 5, 6, 2)),
    ],
)
def test_seeds(text, seeds):
    assert parse_seeds(text) == seeds


@pytest.mark.parametrize("text", ["", "0", "a", "-1", "1,,2", "6-4", "1001", "1-2000", "9" * 30])
def test_no_seeds(text):
    with pytest.raises(InvalidInputError, match="--seeds"):
        parse_seeds(text)


def test_variants_are_those_of_the_literature():
    community, paper = Settings(seeds=(1,)), Settings(seeds=(1,), variant="paper")
    assert (community.time_ms, community.discarded_ms) == (900_000, 500)
    assert (paper.discarded_ms, paper.recipe.all_pairs) == (1000, True)
    assert not VARIANTS["senk2026"].all_pairs
    window = paper.window()
    assert (window.first_step, window.n_steps) == (10_001, 9_000_000)
    assert community.window(2000).n_steps == 20_000
    assert Settings(seeds=(1,), variant="paper", warmup_ms=600).window().first_step == 6001


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"seeds": ()}, "seeds"),
        ({"seeds": (1, 2, 1)}, "different"),
        ({"seeds": (-1,)}, "run.seed"),
        ({"time_ms": 999.0}, "at least 1000"),
        ({"time_ms": 1000.05}, "multiple"),
        ({"time_ms": float("nan")}, "time_ms"),
        ({"warmup_ms": -1.0}, "warmup_ms"),
        ({"threads": 0}, "threads"),
        ({"variant": "mine"}, "senk2026, paper"),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(value),
)
def test_refused(changes, words):
    with pytest.raises(InvalidInputError, match=words):
        Settings(**{"seeds": (1,), **changes})


def test_only_what_spikes_depend_on_is_fixed():
    one = Settings(seeds=(1,), threads=1)
    assert one.fixed() == Settings(seeds=(2, 3), threads=7).fixed()
    for changes in ({"time_ms": 2000.0}, {"warmup_ms": 600.0}, {"variant": "paper"}):
        assert one.fixed() != Settings(seeds=(1,), **changes).fixed()


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.2, "1 s"), (59, "59 s"), (61, "1 min 1 s"), (7260, "2 h 1 min")]
)
def test_duration_for_people(seconds, text):
    assert duration(seconds) == text
