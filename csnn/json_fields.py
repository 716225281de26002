"""Types of the fields of JSON files: what readers use is checked, also where a digest is right."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from csnn.errors import reject

Kind = Callable[[Any], bool]
_MAX_NUMBER = 2.0**1000


def is_text(value: Any) -> bool:
    """Tell whether `value` is a string."""
    return isinstance(value, str)


def is_truth(value: Any) -> bool:
    """Tell whether `value` is true or false."""
    return isinstance(value, bool)


def is_count(value: Any) -> bool:
    """Tell whether `value` is an integer >= 0 below 2^64."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**64


def is_positive_count(value: Any) -> bool:
    """Tell whether `value` is an integer >= 1 below 2^64."""
    return is_count(value) and value >= 1


def is_real(value: Any) -> bool:
    """Tell whether `value` is a finite number, not so large that arithmetic would overflow."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return -_MAX_NUMBER < value < _MAX_NUMBER


def is_positive(value: Any) -> bool:
    """Tell whether `value` is a number > 0."""
    return is_real(value) and value > 0


def is_not_negative(value: Any) -> bool:
    """Tell whether `value` is a number >= 0."""
    return is_real(value) and value >= 0


def or_null(kind: Kind) -> Kind:
    """Accept null beside `kind`."""
    return lambda value: value is None or kind(value)


def list_of(kind: Kind) -> Kind:
    """Accept lists whose items are of `kind`."""
    return lambda value: isinstance(value, list) and all(map(kind, value))


def object_of(kind: Kind, *names: str) -> Kind:
    """Accept objects that hold `names` and whose values are of `kind`."""
    return lambda value: (
        isinstance(value, dict) and all(map(kind, value.values())) and set(names) <= set(value)
    )


def anything(value: Any) -> bool:
    """Accept every value."""
    return True


_is_table_error = object_of(
    is_real,
    *("target_mean", "target_sd", "mean_error", "variance_error", "ks_distance", "n_outcomes"),
)


def is_fidelity(value: Any) -> bool:
    """Tell whether `value` says of projections how closely their tables realise distributions."""
    return isinstance(value, list) and all(
        object_of(anything, "projection")(row)
        and is_text(row["projection"])
        and all(_is_table_error(row.get(name)) for name in ("weight", "delay", "delay_unrounded"))
        for row in value
    )


def check_fields(
    where: object,
    content: Mapping[str, Any],
    fields: Mapping[str, tuple[Kind, str]],
    optional: Collection[str] = (),
) -> None:
    """Require fields of an object.

    Parameters
    ----------
    where : object
        The file, as messages name it.
    content : mapping
    fields : mapping of name to (kind, rule)
        The rule completes "FILE: name = value: must be ...".
    optional : collection of str
        Fields that may be missing.

    Raises
    ------
    InvalidInputError
        Naming file, field, value and rule.
    """
    for name, (kind, rule) in fields.items():
        if name not in content and name in optional:
            continue
        if not kind(content.get(name)):
            raise reject(f"{where}: {name}", content.get(name), f"must be {rule}")
