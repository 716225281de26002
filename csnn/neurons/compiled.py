"""Numba back end: neuron updates as generated source.

The source is a real module, so that Numba's on-disk cache works (functions made from a string have
no place in it) and the text can be read and reviewed. That of the machine's own model is kept in
`csnn.neurons.generated`; after a change to it, run::

    python -m csnn.neurons.compiled

A test refuses a module that differs from what its graph generates. Those of the other models are
written when they are first wanted, into the folder `neurons` of `csnn.cache`. Each module holds

- `update_hardware`: relies on FTZ and DAZ, which the calling kernel has switched on
  (`csnn.neurons.flush`);
- `update_software`: flushes explicitly, on any processor and in any mode;
- `step_hardware`, `step_software`: the same, callable from Python.

Arguments of all: `(state, refractory, ss_ex, ss_in, constants_f, constants_i, spiked, count)`,
every array C-contiguous and none overlapping another: `state` float32 [n_state, stride], updated;
`refractory` int32 [>= count], updated; `ss_ex`, `ss_in` int32 [>= count]; `constants_f` float32 and
`constants_i` int32 from `NeuronModel.pack`; `spiked` uint8 [>= count], written 0 or 1; `count` <=
stride neurons. No size is checked.

Numba keys its cache by the file of the compiled function alone. The digest of the primitives in
each module makes the module change with them; a kernel in another file that calls an update is
compiled anew only when its own file changes.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from csnn.cache import cache_folder
from csnn.files import atomic_file
from csnn.neurons import flush
from csnn.neurons.graph import LEAVES, Kind, Node, Op
from csnn.neurons.lif import LIF
from csnn.neurons.model import NeuronModel

ARGUMENTS = "state, refractory, ss_ex, ss_in, constants_f, constants_i, spiked, count"
FOLDER = Path(__file__).parent / "generated"
_PRIMITIVES = ("../_numba.py", "../exponential.py", "_primitives.py", "flush.py")
_ARITHMETIC = (Op.FADD, Op.FSUB, Op.FMUL)
_COMPARISONS = (Op.FGE, Op.FLT)
_INFIX = {Op.FADD: "+", Op.FSUB: "-", Op.FMUL: "*", Op.FGE: ">=", Op.FLT: "<"}
_CALLS = {
    Op.FEXP: "exp",
    Op.ITOF: "to_f32",
    Op.IADD: "wrapping_add",
    Op.IZERO: "is_zero",
    Op.IDEC: "decrement",
    Op.AND: "both",
    Op.NOT: "negate",
    Op.SELECT: "select",
}


@dataclass(frozen=True, kw_only=True)
class CompiledModel:
    """Compiled updates of a model.

    `update` is for kernels, between `flush.enable` and `flush.restore`; `step` is for Python.
    """

    update: Any
    step: Any


class _Emitter:
    """Writes the lines of one update; `n12` in the source is `%12` in the graph's text."""

    def __init__(self, model: NeuronModel, *, software: bool) -> None:
        self.model, self.graph, self.software = model, model.graph, software
        self.lines: list[str] = []
        self.named: set[str] = set()
        self.streams = ["constants_f", "constants_i"]

    def stream(self, label: str) -> int:
        if label not in self.streams:
            self.streams.append(label)
        return self.streams.index(label)

    def define(self, name: str, expression: str) -> str:
        if name not in self.named:
            self.named.add(name)
            self.lines.append(f"{name} = {expression}")
        return name

    def flushed(self, i: int) -> str:
        """Name an operand of arithmetic; only results of operators are known to be flushed."""
        if not self.software or self.graph.nodes[i].op in (*_ARITHMETIC, Op.FEXP, Op.ITOF):
            return f"n{i}"
        return self.define(f"f{i}", f"p.flushed(n{i})")

    def stored(self, i: int) -> str:
        """Name a word that may reach a store, where a NaN of the processor's would show."""
        if self.graph.nodes[i].op not in _ARITHMETIC:
            return f"n{i}"
        return self.define(f"c{i}", f"p.canonical(n{i})")

    def leaf(self, node: Node) -> str:
        if node.op is Op.CONSTANT:
            if node.kind is Kind.F32:
                index = self.model.float_constants.index(node.name)
                return f"p.load_f32(constants_f, {index}, 0)"
            return f"p.load_i32(constants_i, {self.model.int_constants.index(node.name)}, 1)"
        stream = self.stream(node.name)
        if node.kind is Kind.F32:
            return f"p.load_row(state, {self.model.float_states.index(node.name)}, i, {stream})"
        return f"p.load_i32({node.name}, i, {stream})"

    def operation(self, node: Node) -> str:
        operands = node.operands
        if node.op in _ARITHMETIC + _COMPARISONS:
            a, b = (self.flushed(i) for i in operands)
            if not self.software or node.op in _COMPARISONS:
                return f"{a} {_INFIX[node.op]} {b}"
            if node.op is Op.FMUL:
                return f"p.flushed_product({a}, {b})"
            return f"p.flushed({a} {_INFIX[node.op]} {b})"
        names = (self.stored(i) if node.op is Op.SELECT else f"n{i}" for i in operands)
        return f"p.{_CALLS[node.op]}({', '.join(names)})"

    def emit(self, positions: list[int]) -> list[str]:
        self.lines = []
        for i in positions:
            node = self.graph.nodes[i]
            self.define(f"n{i}", self.leaf(node) if node.op in LEAVES else self.operation(node))
        return self.lines

    def body(self) -> list[str]:
        nodes, results = self.graph.nodes, self.graph.next_state + self.graph.outputs
        used = {i for node in nodes for i in node.operands} | {i for _, i in results}
        constants = [i for i in sorted(used) if nodes[i].op is Op.CONSTANT]
        head = self.emit(constants)
        loop = self.emit([i for i in sorted(used) if i not in constants])
        for name, i in self.graph.next_state:
            if self.graph.states[name] is Kind.F32:
                row = self.model.float_states.index(name)
                loop.append(f"p.store_row(state, {row}, i, {self.stored(i)}, {self.stream(name)})")
            else:
                loop.append(f"p.store_i32({name}, i, n{i}, {self.stream(name)})")
        spike = dict(self.graph.outputs)["spike"]
        loop.append(f"p.store_flag(spiked, i, n{spike}, {self.stream('spiked')})")
        return [*head, "for i in range(count):", *(f"    {line}" for line in loop)]


def _function(name: str, doc: str, body: list[str]) -> list[str]:
    return [
        "@jit",
        f"def {name}(",
        *(f"    {argument}: Any," for argument in ARGUMENTS.split(", ")),
        ") -> None:",
        f'    """{doc}"""',
        *(f"    {line}" for line in body),
        "",
        "",
    ]


def _primitives_digest() -> str:
    folder = Path(__file__).parent
    texts = [(folder / name).read_text(encoding="utf-8") for name in _PRIMITIVES]
    return hashlib.sha256("".join(texts).encode()).hexdigest()


def source(model: NeuronModel) -> str:
    """Return the text of a model's generated module; the same graph gives the same text."""
    hardware = _Emitter(model, software=False).body()
    software = _Emitter(model, software=True).body()
    call = [
        "old = flush.enable()",
        f"update_hardware({ARGUMENTS})",
        "flush.restore(old)",
    ]
    lines = [
        f'"""Update of the neuron model `{model.name}`.',
        "",
        "Generated by `python -m csnn.neurons.compiled`: do not edit. The graph:",
        "",
        *(f"    {line}" for line in model.graph.dump().splitlines()),
        '"""',
        "",
        "from __future__ import annotations",
        "",
        "from typing import Any",
        "",
        "from csnn._numba import jit",
        "from csnn.neurons import _primitives as p",
        "from csnn.neurons import flush",
        "",
        f'GRAPH_SHA256 = "{model.graph.digest()}"',
        f'PRIMITIVES_SHA256 = "{_primitives_digest()}"',
        "",
        "",
        *_function("update_hardware", "Advance by one step, with FTZ and DAZ on.", hardware),
        *_function("update_software", "Advance by one step, in any mode.", software),
        *_function("step_hardware", "Switch FTZ and DAZ on, advance, switch back.", call),
        "step_software = update_software",
        "",
    ]
    return "\n".join(lines)


def load(model: NeuronModel, *, mode: str = "auto") -> CompiledModel:
    """Return the compiled updates of a model.

    Parameters
    ----------
    model : NeuronModel
        Any; its module is written if it is not kept yet.
    mode : {"auto", "hardware", "software"}
        How subnormals are flushed; "auto" takes the hardware's way where there is one.

    Returns
    -------
    CompiledModel
        Compiled at the first call, or read from Numba's cache.
    """
    if mode not in ("auto", "hardware", "software"):
        raise ValueError(f"mode must be auto, hardware or software, not {mode!r}")
    if mode == "auto":
        mode = "hardware" if flush.HARDWARE else "software"
    if mode == "hardware" and not flush.HARDWARE:
        raise ValueError("this processor has no flush mode of the x86 kind")
    if model.name == LIF.name:
        module = importlib.import_module(f"csnn.neurons.generated.{model.name}")
        if model.graph.digest() != module.GRAPH_SHA256:
            raise RuntimeError(f"{module.__name__} is stale: run python -m csnn.neurons.compiled")
    else:
        module = _kept_module(model)
    return CompiledModel(
        update=getattr(module, f"update_{mode}"), step=getattr(module, f"step_{mode}")
    )


def _kept_module(model: NeuronModel) -> ModuleType:
    """Return the module of a model from the cache, written there if it is not there yet."""
    text = source(model)
    name = f"{model.name}_{hashlib.sha256(text.encode()).hexdigest()[:16]}"
    if name not in sys.modules:
        path = _written(name, text)
        spec = importlib.util.spec_from_file_location(name, path)
        if spec is None or spec.loader is None:
            raise RuntimeError(f"{path} is no module")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        sys.modules[name] = module
    return sys.modules[name]


def _written(name: str, text: str) -> Path:
    folder = cache_folder() / "neurons"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        writable = os.access(folder, os.W_OK)
    except OSError:
        writable = False
    path = folder / f"{name}.py"
    if not writable and not path.is_file():
        # It is then compiled in every process anew.
        path = Path(tempfile.mkdtemp(prefix="csnn-")) / path.name
    if not path.is_file():
        with atomic_file(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
    return path


def main() -> None:
    """Write the module of the machine's own model."""
    path = FOLDER / f"{LIF.name}.py"
    path.write_text(source(LIF), encoding="utf-8")
    print(path, file=sys.stderr)


if __name__ == "__main__":
    main()
