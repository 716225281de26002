"""Sixteen rows at once: the row generators of `csnn.rows` as explicit vector code.

Rows of one spike lie sorted by length, longest first, so the lanes still in use are a prefix; a
store of all sixteen lanes followed by an advance of the active count leaves a dense list. The
vector width is fixed in the code; LLVM splits it for narrower machines, with the same bits.

Where the processor permutes 64 words of 16 bits at once (AVX-512BW), alias tables are held in
registers; then all lanes are rows of one table, and rows are sorted by table first. Elsewhere
entries are loaded one by one, and lanes may be of different tables.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types

from csnn import rows
from csnn._numba import cgutils, compiles_for, intrinsic
from csnn.prng import EXT_SHIFTS, ROW_SEED_MULTIPLIER, ROW_SHIFTS, ROW_WARMUP_DRAWS
from csnn.spec.machine import EXT_OUTCOMES

LANES = 16

EXT_LANES = 8

_I32 = ir.IntType(32)
_I64 = ir.IntType(64)
_V32 = ir.VectorType(_I32, LANES)
_FIRST = ir.Constant(_I32, 0)
# A node has 512 accumulators: 256 neurons, excitatory and inhibitory.
NODE_SHIFT = 9


# Gathers are slower than permutations; without AVX-512 they are slower than single loads (AMD
# Zen 3), and LLVM has none for that processor.
permutes = compiles_for("avx512bw")

# Columns of a table pair in `table_words`, 64 words each.
ACCEPT, OWN, ALIAS, DELAY_ACCEPT, DELAY_PAIR = range(5)
TABLE_COLUMNS = 5
_ENTRIES = rows.INDEX_MASK + 1


def _splat(value: int, width: int = LANES) -> ir.Constant:
    return ir.Constant(ir.VectorType(_I32, width), [value & 0xFFFFFFFF] * width)


def _broadcast(builder: Any, value: Any, width: int = LANES) -> Any:
    undefined = ir.Constant(ir.VectorType(_I32, width), ir.Undefined)
    vector = builder.insert_element(undefined, value, ir.Constant(_I32, 0))
    return builder.shuffle_vector(vector, undefined, _splat(0, width))


def _shift_left(builder: Any, vector: Any, amount: int) -> Any:
    return builder.shl(vector, _splat(amount, vector.type.count))


def _shift_right(builder: Any, vector: Any, amount: int) -> Any:
    return builder.lshr(vector, _splat(amount, vector.type.count))


def _advance(builder: Any, x: Any, y: Any) -> tuple[Any, Any]:
    left, middle, right = ROW_SHIFTS
    words = []
    for _ in range(2):
        t = builder.xor(x, _shift_left(builder, x, left))
        t = builder.xor(t, _shift_right(builder, t, middle))
        x, y = y, builder.xor(builder.xor(y, _shift_right(builder, y, right)), t)
        words.append(y)
    return words[0], words[1]


def _load(builder: Any, data: Any, index: Any, element: ir.IntType) -> Any:
    """Load 16 consecutive unsigned elements, widened to 32 bits."""
    value = _load_vector(builder, data, index, ir.VectorType(element, LANES))
    return value if element.width == 32 else builder.zext(value, _V32)


def _load_vector(builder: Any, data: Any, index: Any, vector: ir.VectorType) -> Any:
    pointer = builder.bitcast(builder.gep(data, [index]), vector.as_pointer())
    return builder.load(pointer, align=vector.element.width // 8)


def _store(builder: Any, data: Any, index: Any, value: Any) -> None:
    element = value.type.element
    pointer = builder.bitcast(builder.gep(data, [index]), value.type.as_pointer())
    builder.store(value, pointer, align=element.width // 8)


def _gather(builder: Any, data: Any, index: Any, width: int = 32) -> Any:
    """Load data[index[lane]] (`width` bits, index below 2^31) for every lane."""
    return (_gather_at_once if permutes else _gather_in_pairs)(builder, data, index, width)


def _gather_at_once(builder: Any, data: Any, index: Any, width: int) -> Any:
    lanes = index.type.count
    result_type = ir.VectorType(ir.IntType(width), lanes)
    # llvmlite knows scalar indices only; LLVM takes a vector and yields a vector of pointers.
    pointers = builder.gep(data, [ir.Constant(_I32, 0)])
    pointers.indices = [index]
    pointers.operands = [data, index]
    pointers.type = ir.VectorType(data.type, lanes)
    mask_type = ir.VectorType(ir.IntType(1), lanes)
    function = cgutils.get_or_insert_function(
        builder.module,
        ir.FunctionType(result_type, [pointers.type, _I32, mask_type, result_type]),
        f"llvm.masked.gather.v{lanes}i{width}.v{lanes}p0",
    )
    return builder.call(
        function,
        [
            pointers,
            ir.Constant(_I32, width // 8),
            ir.Constant(mask_type, [1] * lanes),
            ir.Constant(result_type, ir.Undefined),
        ],
    )


def _gather_in_pairs(builder: Any, data: Any, index: Any, width: int) -> Any:
    lanes = index.type.count
    result = ir.Constant(ir.VectorType(ir.IntType(width), lanes), ir.Undefined)
    # Two indices leave the vector unit together.
    pairs = builder.bitcast(index, ir.VectorType(_I64, lanes // 2))
    for i in range(lanes // 2):
        both = builder.extract_element(pairs, ir.Constant(_I32, i))
        low = builder.zext(builder.trunc(both, _I32), _I64)
        high = builder.lshr(both, ir.Constant(_I64, 32))
        for lane, place in ((2 * i, low), (2 * i + 1, high)):
            value = builder.load(builder.gep(data, [place]))
            result = builder.insert_element(result, value, ir.Constant(_I32, lane))
    return result


def _permute(builder: Any, halves: tuple[Any, Any], index: Any) -> Any:
    """Return the words of two registers that `index` names by its lowest bits."""
    vector = halves[0].type
    kind = {16: "hi", 32: "d"}[vector.element.width]
    function = cgutils.get_or_insert_function(
        builder.module,
        ir.FunctionType(vector, [vector] * 3),
        f"llvm.x86.avx512.vpermi2var.{kind}.512",
    )
    return builder.call(function, [halves[0], index, halves[1]])


def _halves(builder: Any, data: Any, element: ir.IntType, at: int) -> tuple[Any, Any]:
    """Load two full registers of consecutive elements."""
    vector = ir.VectorType(element, 512 // element.width)
    low, high = (
        _load_vector(builder, data, ir.Constant(_I64, at + i * vector.count), vector)
        for i in range(2)
    )
    return low, high


def _external_entries(builder: Any, table: Any) -> Any:
    """Return what looks up entries of an EXT table by a vector of their numbers."""
    if not permutes:
        return lambda index: _gather(builder, table, index)
    halves = _halves(builder, table, _I32, 0)

    def look_up(index: Any) -> Any:
        undefined = ir.Constant(index.type, ir.Undefined)
        wide = builder.shuffle_vector(index, undefined, ir.Constant(_V32, list(range(LANES))))
        found = _permute(builder, halves, wide)
        low = ir.Constant(ir.VectorType(_I32, EXT_LANES), list(range(EXT_LANES)))
        return builder.shuffle_vector(found, ir.Constant(_V32, ir.Undefined), low)

    return look_up


@intrinsic
def draw_external_lanes(
    typingctx: Any,
    state: Any,
    lanes: Any,
    first: Any,
    turns: Any,
    packed: Any,
    table: Any,
    weight: Any,
    ss: Any,
) -> Any:
    """Draw external spikes on 8 EXT lanes from `first` on and add their weight to `ss`.

    `state` is the node's generator state, flat, word by word, `lanes` words each. `packed` holds
    tables as `layout.pack_external` makes them, the node's from entry `table` on. Turn i serves the
    neurons from i * lanes + first on.
    """
    u32 = types.Array(types.uint32, 1, "C")
    i32 = types.Array(types.int32, 1, "C")
    signature = types.void(
        u32, types.intp, types.intp, types.intp, u32, types.intp, types.int32, i32
    )

    def codegen(context: Any, builder: Any, sig: Any, arguments: Any) -> Any:
        data = {
            i: context.make_array(sig.args[i])(context, builder, arguments[i]).data
            for i in (0, 4, 7)
        }
        vector = ir.VectorType(_I32, EXT_LANES)
        lanes_value, first_value, turns_value, table_value = (arguments[i] for i in (1, 2, 3, 5))
        places = [
            builder.add(builder.mul(lanes_value, ir.Constant(_I64, word)), first_value)
            for word in range(4)
        ]
        initial = [_load_vector(builder, data[0], place, vector) for place in places]
        table = builder.gep(data[4], [table_value])
        look_up = _external_entries(builder, table)
        last_entry = _splat(EXT_OUTCOMES - 1, EXT_LANES)
        weights = _broadcast(builder, arguments[6], EXT_LANES)
        left, middle, right = EXT_SHIFTS

        entry = builder.block
        head = builder.append_basic_block("turn")
        done = builder.append_basic_block("drawn")
        builder.branch(head)
        builder.position_at_end(head)
        words = [builder.phi(vector) for _ in range(4)]
        turn, place = builder.phi(_I64), builder.phi(_I64)
        t = builder.xor(words[0], _shift_left(builder, words[0], left))
        t = builder.xor(t, _shift_right(builder, t, middle))
        output = builder.xor(builder.xor(words[3], _shift_right(builder, words[3], right)), t)
        index = builder.and_(output, last_entry)
        entries = look_up(index)
        own = builder.icmp_unsigned("<", builder.or_(output, last_entry), entries)
        spikes = builder.select(own, index, builder.and_(entries, last_entry))
        before = _load_vector(builder, data[7], place, vector)
        _store(builder, data[7], place, builder.add(before, builder.mul(spikes, weights)))
        next_turn = builder.add(turn, ir.Constant(_I64, 1))
        next_words = [*words[1:], output]
        for phi, start, following in (
            *zip(words, initial, next_words, strict=True),
            (turn, ir.Constant(_I64, 0), next_turn),
            (place, first_value, builder.add(place, lanes_value)),
        ):
            phi.add_incoming(start, entry)
            phi.add_incoming(following, head)
        builder.cbranch(builder.icmp_signed("<", next_turn, turns_value), head, done)
        builder.position_at_end(done)
        for place_of, word in zip(places, next_words, strict=True):
            _store(builder, data[0], place_of, word)
        return context.get_dummy_value()

    return signature, codegen


@intrinsic
def unroll_lanes(
    typingctx: Any,
    seed: Any,
    length: Any,
    block: Any,
    first: Any,
    count: Any,
    source: Any,
    block_word: Any,
    weight_word: Any,
    delay_pack: Any,
    table_words: Any,
    now: Any,
    slot_mask: Any,
    word: Any,
    slot: Any,
    position: Any,
) -> Any:
    """Unroll up to 16 INDEPENDENT rows that start at `first`, appending events at `position`.

    An event is `word` = weight magnitude << 17 | target accumulator, and the `slot` of the circular
    buffer it is due in. Arrays are padded by 16 elements. Returns the new position and the number
    of rows that are done. `csnn.simulator.layout` makes the words of blocks and tables.
    """
    u32 = types.Array(types.uint32, 1, "C")
    u16 = types.Array(types.uint16, 1, "C")
    u64 = types.Array(types.uint64, 1, "C")
    two: Any = types.UniTuple
    signature = two(types.intp, 2)(
        u32, u16, u16, types.intp, types.intp, types.uint32,
        u64, u64, u32, u16,
        types.uint32, types.uint32, u32, u32, types.intp,
    )  # fmt: skip

    def codegen(context: Any, builder: Any, sig: Any, arguments: Any) -> Any:
        data = {
            i: context.make_array(sig.args[i])(context, builder, arguments[i]).data
            for i in range(len(arguments))
            if isinstance(sig.args[i], types.Array)
        }
        start = arguments[3]
        seeds = _load(builder, data[0], start, _I32)
        lengths = _load(builder, data[1], start, ir.IntType(16))
        blocks = _load(builder, data[2], start, ir.IntType(16))
        iota = ir.Constant(_V32, list(range(LANES)))
        in_use = builder.icmp_unsigned(
            "<", iota, _broadcast(builder, builder.trunc(arguments[4], _I32))
        )
        words = _gather(builder, data[6], blocks, 64)
        low = builder.trunc(words, _V32)
        key = builder.trunc(builder.lshr(words, ir.Constant(words.type, [32] * LANES)), _V32)
        local = builder.and_(low, _splat(0xFF))
        target = _shift_left(builder, local, NODE_SHIFT)
        size = builder.and_(_shift_right(builder, low, 8), _splat(0xFF))
        size = builder.add(size, _splat(1))
        table = _shift_right(builder, low, 16)
        if permutes:
            same = builder.icmp_unsigned(
                "==", table, _broadcast(builder, builder.extract_element(table, _FIRST))
            )
            in_use = builder.and_(in_use, same)
            done_rows = builder.zext(
                builder.ctpop(builder.bitcast(in_use, ir.IntType(LANES))), _I64
            )
            look_up = _permuted_tables(builder, data[9], builder.extract_element(table, _FIRST))
        else:
            done_rows = ir.Constant(_I64, LANES)
            look_up = _loaded_tables(builder, data[7], data[8], table)
        lengths = builder.select(in_use, lengths, _splat(0))
        x = seeds
        y = builder.xor(builder.xor(seeds, _broadcast(builder, arguments[5])), key)
        y = builder.mul(y, _splat(ROW_SEED_MULTIPLIER))
        for _ in range(ROW_WARMUP_DRAWS):
            x, y = _advance(builder, x, y)
        slot_now = _broadcast(builder, arguments[10])
        slot_mask_v = _broadcast(builder, arguments[11])
        longest = builder.zext(builder.extract_element(lengths, ir.Constant(_I32, 0)), _I64)

        entry = builder.block
        head = builder.append_basic_block("draw")
        done = builder.append_basic_block("drawn")
        builder.cbranch(builder.icmp_unsigned(">", longest, ir.Constant(_I64, 0)), head, done)
        builder.position_at_end(head)
        phi_x, phi_y = builder.phi(_V32), builder.phi(_V32)
        phi_k, phi_out = builder.phi(_I64), builder.phi(_I64)
        new_x, new_y = _advance(builder, phi_x, phi_y)
        a, b = builder.add(new_x, phi_y), builder.add(new_y, new_x)
        events, slots = _events(builder, a, b, target, size, look_up, slot_now, slot_mask_v)
        _store(builder, data[12], phi_out, events)
        _store(builder, data[13], phi_out, slots)
        active = builder.icmp_unsigned(
            ">", lengths, _broadcast(builder, builder.trunc(phi_k, _I32))
        )
        bits = builder.bitcast(active, ir.IntType(LANES))
        out = builder.add(phi_out, builder.zext(builder.ctpop(bits), _I64))
        k = builder.add(phi_k, ir.Constant(_I64, 1))
        for phi, initial, following in (
            (phi_x, x, new_x),
            (phi_y, y, new_y),
            (phi_k, ir.Constant(_I64, 0), k),
            (phi_out, arguments[14], out),
        ):
            phi.add_incoming(initial, entry)
            phi.add_incoming(following, head)
        builder.cbranch(builder.icmp_unsigned("<", k, longest), head, done)
        builder.position_at_end(done)
        end = builder.phi(_I64)
        end.add_incoming(arguments[14], entry)
        end.add_incoming(out, head)
        return context.make_tuple(builder, sig.return_type, (end, done_rows))

    return signature, codegen


def _loaded_tables(builder: Any, weight_word: Any, delay_pack: Any, table: Any) -> Any:
    """Return what looks up weight and delay entries in memory, each lane in its own table."""
    base = builder.mul(table, _splat(_ENTRIES))
    index_mask = _splat(rows.INDEX_MASK)

    def look_up(weight_index: Any, delay_index: Any) -> tuple[Any, ...]:
        k = builder.add(base, builder.and_(weight_index, index_mask))
        weight = _gather(builder, weight_word, k, 64)
        pair = builder.trunc(weight, _V32)
        accept = builder.trunc(builder.lshr(weight, ir.Constant(weight.type, [32] * LANES)), _V32)
        k = builder.add(base, builder.and_(delay_index, index_mask))
        pack = _gather(builder, delay_pack, k)
        alias = _shift_right(builder, pair, 16)
        return accept, pair, alias, _shift_right(builder, pack, 16), pack

    return look_up


def _permuted_tables(builder: Any, table_words: Any, table: Any) -> Any:
    """Return what looks up entries of one table, of which all columns are in registers."""
    place = builder.mul(builder.zext(table, _I64), ir.Constant(_I64, TABLE_COLUMNS * _ENTRIES))
    first = builder.gep(table_words, [place])
    i16 = ir.IntType(16)
    columns = [_halves(builder, first, i16, i * _ENTRIES) for i in range(TABLE_COLUMNS)]
    narrow = columns[0][0].type

    def look_up(weight_index: Any, delay_index: Any) -> tuple[Any, ...]:
        found = []
        for column, words in enumerate(columns):
            index = delay_index if column >= DELAY_ACCEPT else weight_index
            # The upper half of each lane looks up something too, and is cut off where it matters.
            entry = _permute(builder, words, builder.bitcast(index, narrow))
            found.append(builder.bitcast(entry, _V32))
        for column in (ACCEPT, DELAY_ACCEPT):
            found[column] = builder.and_(found[column], _splat(0xFFFF))
        return tuple(found)

    return look_up


def _events(
    builder: Any,
    a: Any,
    b: Any,
    target: Any,
    size: Any,
    look_up: Any,
    now: Any,
    slot_mask: Any,
) -> tuple[Any, Any]:
    """Turn the draw (a, b) into event words and slots."""
    accept, own_code, alias_code, delay_accept, delays = look_up(
        a, _shift_right(builder, a, rows.DELAY_INDEX_SHIFT)
    )
    own = builder.icmp_unsigned("<", _shift_right(builder, b, rows.FRACTION_BITS), accept)
    code = builder.select(own, own_code, alias_code)
    inhibitory = builder.and_(_shift_right(builder, code, 7), _splat(0x100))
    neuron = _shift_right(
        builder, builder.mul(_shift_right(builder, a, rows.TARGET_SHIFT), size), rows.TARGET_BITS
    )
    word = builder.or_(builder.add(target, neuron), inhibitory)
    # What is above the 15 bits of the magnitude is shifted out.
    word = builder.or_(word, _shift_left(builder, code, 17))
    own = builder.icmp_unsigned("<", builder.and_(b, _splat(rows.FRACTION_MASK)), delay_accept)
    delay = builder.select(own, delays, _shift_right(builder, delays, 8))
    delay = builder.and_(delay, _splat(0xFF))
    return word, builder.and_(builder.add(now, delay), slot_mask)
