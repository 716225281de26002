"""Shifters and the count of leading zeros, built of levels of multiplexers.

Every level is a signal of its own: an expression that is used twice would be built twice.
"""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, ValueLike


def shift_right_sticky(
    m: Module, value: ValueLike, distance: Value, places: tuple[int, ...]
) -> Value:
    """Shift right by the bits of `distance` that `places` names; bit 0 gathers what falls out."""
    level = _named(m, value)
    for place in places:
        lost = level[: place + 1].any()
        moved = Cat(lost, level[place + 1 :], Const(0, place))
        level = _named(m, Mux(distance[place.bit_length() - 1], moved, level))
    return level


def shift_right(m: Module, value: ValueLike, distance: Value, places: tuple[int, ...]) -> Value:
    """Shift right by the bits of `distance` that `places` names; what falls out is lost."""
    level = _named(m, value)
    for place in places:
        moved = Cat(level[place:], Const(0, place))
        level = _named(m, Mux(distance[place.bit_length() - 1], moved, level))
    return level


def shift_left(m: Module, value: ValueLike, distance: Value, places: tuple[int, ...]) -> Value:
    """Shift left within the width by the bits of `distance` that `places` names."""
    level = _named(m, value)
    for place in places:
        moved = Cat(Const(0, place), level[: len(level) - place])
        level = _named(m, Mux(distance[place.bit_length() - 1], moved, level))
    return level


def leading_zeros(m: Module, value: ValueLike) -> Value:
    """Return the number of zeros above the highest one of a value of 1 to 32 bits.

    It is 31 for 32 zeros, and the width for fewer.
    """
    level = _named(m, value)
    if len(level) < 32:
        level = _named(m, Cat(Const(-1, 32 - len(level)), level))
    count = []
    for place in (16, 8, 4, 2):
        upper, lower = level[-place:], level[:-place]
        none = _named(m, ~upper.any())
        count.append(none)
        level = _named(m, Mux(none, lower[-place:], upper))
    return Cat(~level[1], *reversed(count))


def _named(m: Module, value: ValueLike) -> Signal:
    value = Value.cast(value)
    signal = Signal(value.shape(), name="level")
    m.d.comb += signal.eq(value)
    return signal
