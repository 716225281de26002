"""What neuron code takes from Numba, with the types that Numba does not give."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numba
from numba import extending
from numba.core import cgutils as _cgutils
from numba.core.registry import cpu_target as _cpu_target
from numba.np import arrayobj as _arrayobj

Decorator = Callable[[Callable[..., Any]], Any]

cgutils: Any = _cgutils
make_array: Any = _arrayobj.make_array
intrinsic: Decorator = extending.intrinsic
literal_intrinsic: Decorator = extending.intrinsic(prefer_literal=True)
_ROOT = Path(__file__).parent
_IMPORT = re.compile(r"^from csnn\.([\w.]+) import", re.MULTILINE)


@cache
def _sources_digest() -> str:
    """Return a digest of all modules with compiled functions, and of all that they import."""
    texts = {path: path.read_text(encoding="utf-8") for path in sorted(_ROOT.rglob("*.py"))}
    used: set[Path] = set()
    found = [path for path, text in texts.items() if "csnn._numba import" in text]
    while found:
        path = found.pop()
        if path in texts and path not in used:
            used.add(path)
            names = _IMPORT.findall(texts[path])
            found += [_ROOT.joinpath(*name.split(".")).with_suffix(".py") for name in names]
    digest = hashlib.sha256()
    for path in sorted(used):
        digest.update(f"{path.relative_to(_ROOT)}\0{texts[path]}\0".encode())
    return digest.hexdigest()


def compiles_for(feature: str) -> bool:
    """Return whether compiled code may use a processor feature, such as `avx512f`.

    By default those of this processor; NUMBA_CPU_NAME and NUMBA_CPU_FEATURES name others.
    """
    _, _, features = _cpu_target.target_context.codegen().magic_tuple()
    return f"+{feature}" in features.split(",")


def inlined(function: Callable[..., Any]) -> Any:
    """Compile a function into each that calls it; nothing of it is kept by itself."""
    return numba.njit(fastmath=False, error_model="numpy", boundscheck=False, inline="always")(
        function
    )


def loop(function: Callable[..., Any]) -> Any:
    """Compile as `jit` does, but without reference counts; the function cannot create arrays.

    A reference is counted whenever an array is taken out of a tuple, or a part of it is taken, by
    an atomic operation each. Whoever calls the function holds its arrays.
    """
    return _kept(function, _nrt=False)


def jit(function: Callable[..., Any]) -> Any:
    """Compile a function when it is called; what is compiled is kept on disk.

    Separate roundings: no fast-math flag and no contraction to fused multiply-add. Numba keeps the
    compiled function until its own file changes, but has other files' functions and constants in
    it; here it is kept until any of them changes.
    """
    return _kept(function)


def _kept(function: Callable[..., Any], **options: Any) -> Any:
    dispatcher: Any = numba.njit(
        nogil=True, fastmath=False, error_model="numpy", boundscheck=False, cache=True, **options
    )(function)
    # There is none if nothing is compiled, or nothing can be written.
    kept = getattr(getattr(dispatcher, "_cache", None), "_cache_file", None)
    if kept is not None:
        kept._source_stamp = (kept._source_stamp, _sources_digest())
    return dispatcher
