"""What neuron code takes from Numba, with the types that Numba does not give."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
from numba import extending
from numba.core import cgutils as _cgutils
from numba.np import arrayobj as _arrayobj

Decorator = Callable[[Callable[..., Any]], Any]

cgutils: Any = _cgutils
make_array: Any = _arrayobj.make_array
intrinsic: Decorator = extending.intrinsic
literal_intrinsic: Decorator = extending.intrinsic(prefer_literal=True)
# Separate roundings: no fast-math flag and no contraction to fused multiply-add.
jit: Decorator = numba.njit(
    nogil=True, fastmath=False, error_model="numpy", boundscheck=False, cache=True
)
