"""Shifters and the count of leading zeros, built of levels of multiplexers."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Mux, Value


def shift_right_sticky(value: Value, distance: Value, places: tuple[int, ...]) -> Value:
    """Shift right by the bits of `distance` that `places` names; bit 0 gathers what falls out."""
    for place in places:
        lost = value[: place + 1].any()
        moved = Cat(lost, value[place + 1 :], Const(0, place))
        value = Mux(distance[place.bit_length() - 1], moved, value)
    return value


def shift_left(value: Value, distance: Value, places: tuple[int, ...]) -> Value:
    """Shift left within the width by those bits of `distance` that `places` names."""
    for place in places:
        moved = Cat(Const(0, place), value[: len(value) - place])
        value = Mux(distance[place.bit_length() - 1], moved, value)
    return value


def leading_zeros(value: Value) -> Value:
    """Return the number of zeros above the highest one of a value of 1 to 32 bits.

    For 32 zeros it is 31; fewer are counted.
    """
    if len(value) < 32:
        value = Cat(Const(-1, 32 - len(value)), value)
    count = []
    for place in (16, 8, 4, 2, 1):
        upper, lower = value[-place:], value[:-place]
        none = ~upper.any()
        count.append(none)
        value = Mux(none, lower[-place:], upper)
    return Cat(*reversed(count))
