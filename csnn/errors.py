"""Errors that a user can act on; each class has its exit code."""

from __future__ import annotations

from typing import Any


class CsnnError(Exception):
    """An error reported in one line, without a traceback."""

    exit_code = 1


class InvalidInputError(CsnnError):
    """A file, a field or a value breaks a rule."""

    exit_code = 3


class ToolMissingError(CsnnError):
    """An external tool or optional package is not installed."""

    exit_code = 4


class ToolFailedError(CsnnError):
    """An external tool was found but failed."""

    exit_code = 5


def reject(field: str, value: Any, rule: str) -> InvalidInputError:
    """Build the error for `field`, naming its value and the rule it breaks.

    Parameters
    ----------
    field : str
        Dotted name of the field as a user would write it.
    value : object
        The offending value; shown with `repr`; of more than 80 characters only both ends.
    rule : str
        The rule, phrased so that "field = value: rule" reads as a sentence.

    Returns
    -------
    InvalidInputError
        To be raised by the caller.
    """
    shown = repr(value)
    if len(shown) > 80:
        shown = f"{shown[:38]}...{shown[-38:]}"  # the end of a path tells more than its start
    return InvalidInputError(f"{field} = {shown}: {rule}")


def located(where: str, error: CsnnError) -> CsnnError:
    """Prefix an error with the place (file, table) it was found in, keeping its class."""
    return type(error)(f"{where}: {error}")
