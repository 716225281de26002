// The binary32 exponential of csnn.exponential, word for word; integers only.
//
// A fixed-point argument, less k logarithms of two; nine bits of the rest choose an entry of a
// table, a polynomial of degree two does the others. Constants and table are in
// csnn_exponential_table.h.
#ifndef CSNN_EXPONENTIAL_H
#define CSNN_EXPONENTIAL_H

#include "csnn_exponential_table.h"
#include "csnn_primitives.h"

namespace csnn {

inline word fexp(word x)
{
    // A unit of its own: one table for each, so that all are read in each cycle.
#ifdef __SYNTHESIS__
#pragma HLS INLINE off
#pragma HLS PIPELINE II=1
#endif
    using namespace exponential;
    static const word TABLE[ENTRIES] = {CSNN_EXPONENTIAL_ENTRIES};
#ifdef __SYNTHESIS__
#pragma HLS BIND_STORAGE variable=TABLE type=rom_1p impl=bram
#endif
    typedef std::int64_t wide;

    const int field = exponent_field(x);
    const bool is_negative = (x & SIGN) != 0;
    const bool is_large = field > LARGEST_FIELD;
    // Where the field is large, the result is chosen below: any distance will do.
    const int distance = is_large ? 0 : LARGEST_FIELD - field < 63 ? LARGEST_FIELD - field : 63;
    const wide magnitude = static_cast<wide>(significand(flushed(x))) << PLACES >> distance;
    const wide fixed = is_negative ? -magnitude : magnitude;

    // Shifts to the right round down, of negative numbers, too.
    const wide top = fixed >> (ARGUMENT_BITS - TOP_BITS);
    const wide k = (top * INVERSE_LN2 - MARGIN) >> (TOP_BITS + INVERSE_BITS);
    const wide rest = fixed * (wide(1) << (REST_BITS - ARGUMENT_BITS)) - k * LN2;
    const wide entry = TABLE[(rest >> (REST_BITS - INDEX_BITS)) & (ENTRIES - 1)];
    const wide low = rest & ((wide(1) << (REST_BITS - INDEX_BITS)) - 1);

    const wide leading = low >> 16;
    const wide growth = (low >> (REST_BITS - 32)) + (leading * leading >> 9);
    const wide factor = (entry - (wide(1) << ENTRY_BITS) + (1 << 11)) >> 12;
    const wide total = entry * 16 + growth + (factor * growth >> 16);

    const int is_two = static_cast<int>(total >> 33 & 1);
    const word kept = static_cast<word>(total >> (9 + is_two));
    const bool guard = (total >> (8 + is_two) & 1) != 0;
    const bool sticky = (total & ((wide(1) << (8 + is_two)) - 1)) != 0;
    const word result = rounded(0, static_cast<int>(k) + is_two + BIAS, kept, guard, sticky);
    if (is_nan(x))
        return CANONICAL_NAN;
    if (is_large)
        return is_negative ? 0 : INFINITE;
    return result;
}

} // namespace csnn

#endif
