"""A neuron model as C++ for high-level synthesis: its step, and a block of neurons around it.

The step is the graph of the model, one statement for each node; `n12` in the C++ is `%12` in the
text of the graph, and leaves are called as the ports of the pipeline in RTL are (`state_V`,
`in_ss_ex`, `constant_theta`). All values at interfaces are 32-bit words in the order of the node's
memories: states and constants of type f32 first, then those of type i32.
"""

from __future__ import annotations

from dataclasses import dataclass

from csnn.errors import reject
from csnn.neurons.graph import LEAVES, Kind, Node, Op
from csnn.neurons.model import INPUTS, NeuronModel
from csnn.spec import checks
from csnn.spec.machine import MAX_NODE_NEURONS

MAX_PIPELINES = 32
_TYPES = {Kind.F32: "word", Kind.I32: "std::int32_t", Kind.BOOL: "bool"}
_SHOWN = {
    Op.FADD: "fadd({}, {})",
    Op.FSUB: "fsub({}, {})",
    Op.FMUL: "fmul({}, {})",
    Op.FEXP: "fexp({})",
    Op.FGE: "fge({}, {})",
    Op.FLT: "flt({}, {})",
    Op.ITOF: "itof({})",
    Op.IADD: "iadd({}, {})",
    Op.IZERO: "izero({})",
    Op.IDEC: "idec({})",
    Op.AND: "{} && {}",
    Op.NOT: "!{}",
    Op.SELECT: "{} ? {} : {}",
}
_PREFIXES = {Op.INPUT: "in", Op.STATE: "state", Op.CONSTANT: "constant"}


@dataclass(frozen=True, kw_only=True)
class Block:
    """Neurons that one call of the C++ advances by a step.

    Attributes
    ----------
    model : NeuronModel
        What they are.
    neurons : int
        Most neurons of a block, 1 to 256 as in a node.
    pipelines : int
        Neurons that enter in one cycle, a power of two up to 32.
    """

    model: NeuronModel
    neurons: int = MAX_NODE_NEURONS
    pipelines: int = 1

    def __post_init__(self) -> None:
        checks.integer("block", "neurons", self.neurons, 1, MAX_NODE_NEURONS)
        checks.integer("block", "pipelines", self.pipelines, 1, MAX_PIPELINES)
        if self.pipelines.bit_count() != 1:
            raise reject("block.pipelines", self.pipelines, "must be a power of two")

    @property
    def top(self) -> str:
        """Name of the function that is synthesised."""
        return f"{self.model.name}_block"

    @property
    def groups(self) -> int:
        """Cycles in which neurons of a full block enter."""
        return -(-self.neurons // self.pipelines)

    @property
    def state_words(self) -> tuple[str, ...]:
        """Names of the words of a neuron's state, in order."""
        return self.model.float_states + self.model.int_states

    @property
    def constant_words(self) -> tuple[str, ...]:
        """Names of the words of the constants, in order."""
        return self.model.float_constants + self.model.int_constants


def _orders(block: Block) -> dict[Op, tuple[str, ...]]:
    return {
        Op.INPUT: tuple(INPUTS),
        Op.STATE: block.state_words,
        Op.CONSTANT: block.constant_words,
    }


def _used(block: Block) -> list[int]:
    """Return the positions of what any result needs; inputs and states may be of no use."""
    graph = block.model.graph
    used = {i for _, i in graph.next_state + graph.outputs}
    used |= {i for node in graph.nodes for i in node.operands}
    return sorted(used)


def _statements(block: Block) -> list[str]:
    nodes, orders = block.model.graph.nodes, _orders(block)
    names: dict[int, str] = {}

    def statement(i: int, node: Node) -> str:
        if node.op in LEAVES:
            names[i] = f"{_PREFIXES[node.op]}_{node.name}"
            word = f"{_PREFIXES[node.op]}[{orders[node.op].index(node.name)}]"
            value = word if node.kind is Kind.F32 else f"to_integer({word})"
        else:
            names[i] = f"n{i}"
            value = _SHOWN[node.op].format(*(names[j] for j in node.operands))
        return f"const {_TYPES[node.kind]} {names[i]} = {value};"

    lines = [statement(i, nodes[i]) for i in _used(block)]
    results = dict(block.model.graph.next_state)
    for k, name in enumerate(block.state_words):
        found = names[results[name]]
        word = found if name in block.model.float_states else f"to_word({found})"
        lines.append(f"next[{k}] = {word}; // {name}")
    spike = dict(block.model.graph.outputs)["spike"]
    return [*lines, f"out_spike = {names[spike]};"]


def _listed(label: str, names: tuple[str, ...]) -> list[str]:
    return [f"//   {label}[{k}]  {name}" for k, name in enumerate(names)]


def _parameters(block: Block, indent: str) -> str:
    space = f"csnn::{block.model.name}"
    return f",\n{indent}".join(
        [
            f"const csnn::word constant[{space}::CONSTANTS]",
            "std::int32_t count",
            f"const csnn::word state[{space}::STATES][{space}::NEURONS]",
            f"const csnn::word in[{space}::INPUTS][{space}::NEURONS]",
            f"csnn::word next[{space}::STATES][{space}::NEURONS]",
            f"bool out_spike[{space}::NEURONS]",
        ]
    )


def header(block: Block) -> str:
    """Return the header of a model: sizes, its step, its block, what the test bench asks for."""
    model = block.model
    guard = f"CSNN_MODEL_{model.name.upper()}_H"
    digest = model.graph.digest()
    words = [f"0x{digest[8 * i : 8 * i + 8]}u" for i in range(8)]
    uses_exponential = any(node.op is Op.FEXP for node in model.graph.nodes)
    include = "csnn_exponential.h" if uses_exponential else "csnn_primitives.h"
    names = ", ".join(f'"{name}"' for name in block.state_words)
    lines = [
        f"// One step of the neuron model `{model.name}`, and a block of such neurons.",
        "//",
        "// Emitted by csnn from the model's graph; words in order:",
        *_listed("constant", block.constant_words),
        *_listed("state", block.state_words),
        *_listed("in", tuple(INPUTS)),
        f"#ifndef {guard}",
        f"#define {guard}",
        "",
        f'#include "{include}"',
        "",
        "namespace csnn {",
        f"namespace {model.name} {{",
        "",
        f"constexpr int NEURONS = {block.neurons}, PIPELINES = {block.pipelines};",
        f"constexpr int CONSTANTS = {len(block.constant_words)};",
        f"constexpr int STATES = {len(block.state_words)}, INPUTS = {len(INPUTS)};",
        "",
        "inline void step(const word constant[CONSTANTS], const word state[STATES],",
        "                 const word in[INPUTS], word next[STATES], bool &out_spike)",
        "{",
        *_pragmas("INLINE"),
        *(f"    {line}" for line in _statements(block)),
        "}",
        "",
        f"}} // namespace {model.name}",
        "} // namespace csnn",
        "",
        "// Advances neurons 0 to count - 1 by a step; count is at most NEURONS.",
        f"void {block.top}({_parameters(block, ' ' * (6 + len(block.top)))});",
        "",
        "namespace csnn {",
        f"namespace {model.name} {{",
        "",
        "struct traits {",
        f"    static constexpr int NEURONS = {model.name}::NEURONS;",
        f"    static constexpr int CONSTANTS = {model.name}::CONSTANTS;",
        f"    static constexpr int STATES = {model.name}::STATES, INPUTS = {model.name}::INPUTS;",
        "",
        f'    static const char *name() {{ return "{model.name}"; }}',
        "",
        "    static const char *state_name(int k)",
        "    {",
        f"        static const char *const names[] = {{{names}}};",
        "        return names[k];",
        "    }",
        "",
        "    // SHA-256 of the graph's text.",
        "    static word digest(int i)",
        "    {",
        f"        static const word words[] = {{{', '.join(words[:4])},",
        f"                                     {', '.join(words[4:])}}};",
        "        return words[i];",
        "    }",
        "",
        f"    static void block({_parameters(block, ' ' * 22)})",
        "    {",
        f"        {block.top}(constant, count, state, in, next, out_spike);",
        "    }",
        "};",
        "",
        f"}} // namespace {model.name}",
        "} // namespace csnn",
        "",
        "#endif",
        "",
    ]
    return "\n".join(lines)


def source(block: Block, header_name: str) -> str:
    """Return the C++ of a model's block, the function that is synthesised."""
    lines = [
        f"// Block of neurons `{block.model.name}`; {block.top} is what is synthesised.",
        "//",
        "// Each word of the states and each input has memories of its own, one per pipeline;",
        "// neuron n is the business of pipeline n mod PIPELINES. A group of PIPELINES neurons",
        "// enters in each cycle; inner loops are unrolled. Constants must not change meanwhile.",
        f'#include "{header_name}"',
        "",
        f"void {block.top}({_parameters(block, ' ' * (6 + len(block.top)))})",
        "{",
        *_pragmas(*_interface(block)),
        f"    using namespace csnn::{block.model.name};",
        "    const int groups = (count + PIPELINES - 1) / PIPELINES;",
        "    for (int group = 0; group < groups; ++group) {",
        *_pragmas("PIPELINE II=1", f"LOOP_TRIPCOUNT min=1 max={block.groups}"),
        "        for (int lane = 0; lane < PIPELINES; ++lane) {",
        "            const int n = group * PIPELINES + lane;",
        "            if (n < count) {",
        "                csnn::word before[STATES], arrived[INPUTS], after[STATES];",
        *_pragmas(
            *(
                f"ARRAY_PARTITION variable={name} type=complete"
                for name in ("before", "arrived", "after")
            )
        ),
        "                for (int k = 0; k < STATES; ++k)",
        "                    before[k] = state[k][n];",
        "                for (int k = 0; k < INPUTS; ++k)",
        "                    arrived[k] = in[k][n];",
        "                bool spikes;",
        "                step(constant, before, arrived, after, spikes);",
        "                for (int k = 0; k < STATES; ++k)",
        "                    next[k][n] = after[k];",
        "                out_spike[n] = spikes;",
        "            }",
        "        }",
        "    }",
        "}",
        "",
    ]
    return "\n".join(lines)


def _pragmas(*directives: str) -> list[str]:
    """Return directives that other compilers do not see: they would warn of them."""
    return ["#ifdef __SYNTHESIS__", *(f"#pragma HLS {text}" for text in directives), "#endif"]


def _interface(block: Block) -> list[str]:
    memories = ("state", "in", "next")
    found = [
        "INTERFACE mode=ap_ctrl_hs port=return",
        "INTERFACE mode=ap_none port=constant",
        "INTERFACE mode=ap_none port=count",
        *(f"INTERFACE mode=ap_memory port={name}" for name in (*memories, "out_spike")),
        "ARRAY_PARTITION variable=constant type=complete",
        *(f"ARRAY_PARTITION variable={name} type=complete dim=1" for name in memories),
    ]
    if block.pipelines > 1:
        lanes = f"type=cyclic factor={block.pipelines}"
        found += [f"ARRAY_PARTITION variable={name} {lanes} dim=2" for name in memories]
        found.append(f"ARRAY_PARTITION variable=out_spike {lanes} dim=1")
    return found
