"""Descriptions as TOML text: `load` and `loads` read one, `dumps` writes one.

A file holds either a network of its own::

    name = "pair"
    [[population]]
    name = "E"
    size = 100
    poisson = { rate_hz = 8000.0, weight_pA = 87.8 }
    [[projection]]
    source = "E"
    target = "E"
    rule = { name = "fixed_indegree", indegree = 10 }
    weight_pA = { distribution = "normal", mu = 87.8, sigma = 8.78, minimum = 0.0 }
    delay_ms = 1.5

or a built-in one with its options::

    builtin = "pd14"
    scale = 0.1

and in both cases optional tables `[machine]` and `[run]`. Keys are the field names of the
dataclasses in `csnn.spec`, those of weights and of their grid with the unit of weights at the end;
a table `[neuron]` holds defaults that populations share.
"""

from __future__ import annotations

from csnn.spec.description import Description as Description
from csnn.spec.toml_reader import load, loads
from csnn.spec.toml_writer import dumps

__all__ = ["dumps", "load", "loads"]
