"""Automatic mutants of Verilog: operators, constants, conditions and enables.

All mutants of a design are built at once; the input `mutant` of the top module chooses one, 0 none.
The text is what Yosys writes for Amaranth: one operator per assignment, registers apart.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np

_OPERATORS = {
    "+": ("-", "|"),
    "-": ("+",),
    "*": ("+",),
    "&": ("|", "^"),
    "|": ("&", "^"),
    "^": ("|", "&"),
    "==": ("!=",),
    "!=": ("==",),
    "<": ("<=", ">="),
    "<=": ("<", ">"),
    ">": (">=", "<="),
    ">=": (">", "<"),
}
_REDUCTIONS = {"|": ("&",), "&": ("|",), "~": ("",), "!": ("|",)}
_ASSIGN = re.compile(r"^  assign (?P<left>.+?) = (?P<right>.+);$")
# A field of a structure, or an element of an array, named for those who look at waveforms.
_VIEW = re.compile(r"^  assign \\\S+[.\[]\S* *= ")
_BINARY = re.compile(r"^(?P<a>.+?) (?P<op>==|!=|<=|>=|[-+*&|^<>])  ?(?P<b>.+)$")
_UNARY = re.compile(r"^(?P<op>[|&~!]) (?P<a>.+)$")
_CHOICE = re.compile(r"^(?P<condition>.+?) \? (?P<yes>.+) : (?P<no>.+)$")
_CONSTANT = re.compile(r"(?P<width>\d+)'(?P<base>[hd])(?P<digits>[0-9a-f]+)")
_IF = re.compile(r"^ +if \((?P<condition>.+)\)(?P<rest>( begin)?)$")
_REGISTER = re.compile(r"^    (?P<left>\S+ ?(\[.+\])?) <= (?P<right>.+);$")
_PART = re.compile(r"\[(?P<high>\d+):(?P<low>\d+)\]")
_NAMELESS = re.compile(r"\\\$\d+")
_JOINED = re.compile(r"\{ (?P<first>[^{},]+), (?P<second>[^{},]+) \}")
_MODULE = re.compile(r"^module (?P<name>\S+) *\(")
_INSTANCE = re.compile(r"^  (?P<module>\\\S+|\w+) +(?P<name>\S+) *\($")
_CONNECTION = re.compile(r"^    \.(?P<port>\S+) ?\((?P<value>.+)\),?$")
_INPUT = re.compile(r"^  input (\[.+\] )?(?P<name>\S+) ?;$")
# Nobody connects these by hand.
_IMPLIED = {"clk", "rst"}
MUTANT = "top.mutant"


@dataclass(frozen=True)
class Mutant:
    """One change: the line of the text, the expression in it, and what stands in its place.

    `key` names it without the numbers that Yosys gives to nameless wires: what such a wire is
    stands in its place, so that one key speaks of few places. `module` is where, without the
    modules around it.
    """

    line: int
    place: str
    before: str
    after: str
    key: str = ""
    module: str = ""

    def is_in(self, keys: Iterable[str]) -> bool:
        """Return whether keys, some of them perhaps after `module: `, speak of the mutant."""
        return self.key in keys or f"{self.module}: {self.key}" in keys


def mutate(
    verilog: str, count: int, seed: int = 1, *, module: str | None = None
) -> tuple[str, list[Mutant]]:
    """Return the text with up to `count` mutants, chosen at random, and what they are.

    Mutant k, from 1, is in force while the input `mutant` is k. With a `module` they are in this
    one only, and in what it connects to the inputs of its instances as well.
    """
    lines = verilog.splitlines()
    found = []
    definitions: dict[str, str] = {}
    current = ""
    for number, line in enumerate(lines):
        if start := _MODULE.match(line):
            definitions, current = _nameless(lines, number), start["name"]
        if module in (None, current) and _is_used(lines, number):
            found += [
                replace(mutant, key=_key(mutant, definitions), module=current.split(".")[-1])
                for mutant in _mutants(lines, number)
            ]
    if module is not None:
        found += _connections(lines, module)
    rng = np.random.default_rng(seed)
    chosen = sorted(rng.permutation(len(found))[:count].tolist())
    mutants = [found[place] for place in chosen]
    for k, mutant in enumerate(mutants, 1):
        lines[mutant.line] = _with(lines[mutant.line], mutant, k)
    text = "\n".join(lines) + "\n"
    # The list of ports may fill several lines.
    ports = re.compile(r"module top\((.*?)\);", re.DOTALL)
    return ports.sub(r"module top(\1, mutant);\n  input [15:0] mutant;", text), mutants


def _connections(lines: list[str], module: str) -> Iterator[Mutant]:
    """Yield, for each input of an instance in a module, zero in place of what it is given."""
    inputs: dict[str, set[str]] = {}
    for line in lines:
        if start := _MODULE.match(line):
            inputs[current := start["name"]] = set()
        elif port := _INPUT.match(line):
            inputs[current].add(port["name"])
    current = instance = kind = ""
    for number, line in enumerate(lines):
        if start := _MODULE.match(line):
            current = start["name"]
        elif start := _INSTANCE.match(line):
            instance, kind = start["name"], start["module"]
        elif current == module and (given := _CONNECTION.match(line)):
            port, value = given["port"], given["value"]
            if port in inputs[kind] - _IMPLIED:
                mutant = Mutant(number, f"{instance}.{port}", value, f"{value} ^ {value}")
                yield replace(mutant, key=_key(mutant, {}))


def _nameless(lines: list[str], module: int) -> dict[str, str]:
    """Return what the nameless wires of a module are."""
    end = lines.index("endmodule", module)
    assigns = (_ASSIGN.match(line) for line in lines[module:end])
    return {
        assign["left"].strip(): assign["right"].strip()
        for assign in assigns
        if assign and _NAMELESS.fullmatch(assign["left"].strip())
    }


def _key(mutant: Mutant, definitions: dict[str, str]) -> str:
    before = _NAMELESS.sub(
        lambda name: f"({definitions[name[0]]})" if name[0] in definitions else name[0],
        mutant.before,
    )
    text = f"{mutant.place}: {before} => {mutant.after}".replace("\\", "")
    text = " ".join(re.sub(r"\$\d+", "$", text).split())
    return text.replace(" :", ":").replace(" )", ")")


def _is_used(lines: list[str], number: int) -> bool:
    """Return whether a line is more than an alias that nothing but such aliases reads."""
    assign = _ASSIGN.match(lines[number])
    if not assign or assign["left"].startswith("{"):
        return True
    # The name of an escaped identifier ends with a blank and may hold brackets.
    is_escaped = assign["left"].startswith("\\")
    name = re.escape(re.split(" " if is_escaped else r"[ \[]", assign["left"])[0])
    uses = re.compile(rf"(?<![\w$\\.]){name}" + ("(?= )" if is_escaped else r"(?![\w$.])"))
    declared = re.compile(rf"^  (wire|reg) .*{name} *(= .*)?;$")
    first, last = number, number
    while not lines[first].startswith("module "):
        first -= 1
    while lines[last] != "endmodule":
        last += 1
    return any(
        uses.search(lines[place])
        and not declared.match(lines[place])
        and (not _VIEW.match(lines[place]) or _is_used(lines, place))
        for place in range(first, last)
        if place != number
    )


def _with(line: str, mutant: Mutant, k: int) -> str:
    """Return a line, perhaps mutated already, with one more mutant."""
    # The original expression is the last: earlier mutants stand before it.
    head, _, tail = line.rpartition(mutant.before)
    return f"{head}({MUTANT} == {k} ? {mutant.after} : {mutant.before}){tail}"


def _mutants(lines: list[str], number: int) -> Iterator[Mutant]:
    line = lines[number]
    assign, register, condition = (kind.match(line) for kind in (_ASSIGN, _REGISTER, _IF))
    if assign:
        for changed in _expressions(assign["right"]):
            yield Mutant(number, assign["left"].strip(), assign["right"], changed)
    elif register:
        left, right = register["left"].strip(), register["right"]
        # A register that keeps its value, and one that takes the wrong one.
        for changed in (left, f"~({right})", *_expressions(right)):
            yield Mutant(number, f"{left} <=", right, changed)
    elif condition and condition["condition"] != "rst" and "dump_module" not in line:
        for changed in (f"!({condition['condition']})", "1'h1", "1'h0"):
            yield Mutant(number, "if", condition["condition"], changed)


def _expressions(text: str) -> Iterator[str]:
    """Yield what may stand in place of an expression."""
    choice, unary, binary = _CHOICE.match(text), _UNARY.match(text), _BINARY.match(text)
    if choice:
        yield f"{choice['condition']} ? {choice['no']} : {choice['yes']}"
        yield choice["yes"]
        yield choice["no"]
    elif unary:
        for other in _REDUCTIONS[unary["op"]]:
            yield f"{other} {unary['a']}"
    elif binary and "{" not in binary["a"]:
        for other in _OPERATORS[binary["op"]]:
            yield f"{binary['a']} {other} {binary['b']}"
    for constant in _CONSTANT.finditer(text):
        base = 16 if constant["base"] == "h" else 10
        value = int(constant["digits"], base) ^ 1 << int(constant["width"]) // 2
        changed = f"{constant['width']}'d{value}"
        yield text[: constant.start()] + changed + text[constant.end() :]
    for part in _PART.finditer(text):
        high, low = int(part["high"]), int(part["low"])
        if low > 0:
            changed = f"[{high - 1}:{low - 1}]"
            yield text[: part.start()] + changed + text[part.end() :]
    for joined in _JOINED.finditer(text):
        changed = f"{{ {joined['second']}, {joined['first']} }}"
        yield text[: joined.start()] + changed + text[joined.end() :]
