// Operations of a neuron's step on 32-bit words: those of csnn.binary32, word for word.
//
// IEEE-754 binary32, round to nearest even, each operation rounded on its own. Subnormal operands
// count as zeros of their sign. A result is tiny if its magnitude, rounded to 24 bits as if the
// exponent were unbounded, is below 2^-126; it becomes a zero of its sign. Every NaN that an
// operation gives is 0x7FC00000.
//
// All of it is integer arithmetic: neither the modes of a processor nor a compiler's liberties with
// float have a part in it. With CSNN_FLOAT_CORES sums and products of significands are `float`
// operations, for which Vitis HLS takes its floating-point cores. What they are given has one
// result by IEEE-754, whatever becomes of subnormals, NaNs or signs of zeros: everything of that
// kind is decided here, and the words are the same.
#ifndef CSNN_PRIMITIVES_H
#define CSNN_PRIMITIVES_H

#include <cstdint>

namespace csnn {

typedef std::uint32_t word;

constexpr word SIGN = 0x80000000u;
constexpr word MAGNITUDE = 0x7FFFFFFFu;
constexpr word INFINITE = 0x7F800000u;
constexpr word CANONICAL_NAN = 0x7FC00000u;
constexpr word HIDDEN = 0x00800000u;
constexpr word FRACTION = 0x007FFFFFu;
constexpr int BIAS = 127;

// An int32 as the word that holds it, and back; C++ before 20 leaves the latter to the compiler,
// and all of them take it modulo 2^32.
inline std::int32_t to_integer(word x) { return static_cast<std::int32_t>(x); }
inline word to_word(std::int32_t x) { return static_cast<word>(x); }

inline int exponent_field(word x) { return static_cast<int>(x >> 23 & 255u); }

inline bool is_nan(word x) { return (x & MAGNITUDE) > INFINITE; }

inline word flushed(word x) { return (x & INFINITE) != 0 ? x : x & SIGN; }

// Of a flushed word: 24 bits, or zero.
inline word significand(word x)
{
    return exponent_field(x) != 0 ? HIDDEN | (x & FRACTION) : 0;
}

// Shift `value`, of `width` bits, left until its topmost bit is set; return the number of places.
inline int normalise(word &value, int width)
{
#ifdef __SYNTHESIS__
#pragma HLS INLINE
#endif
    int places = 0;
    for (int step = 16; step > 0; step >>= 1) {
#ifdef __SYNTHESIS__
#pragma HLS UNROLL
#endif
        if (value >> (width - step) == 0) {
            value <<= step;
            places += step;
        }
    }
    return places;
}

// Round 24 bits and what lies below them: `guard` is the next bit, `sticky` whether any other is
// set. `exponent` is the biased exponent of the 24 bits, of any size.
inline word rounded(word sign, int exponent, word kept, bool guard, bool sticky)
{
#ifdef __SYNTHESIS__
#pragma HLS INLINE
#endif
    const word up = guard && (sticky || (kept & 1u) != 0) ? 1u : 0u;
    const word significand_24 = kept + up;
    // Of a carry into the next exponent the 23 lower bits are zero.
    const int carried = exponent + static_cast<int>(significand_24 >> 24);
    if (carried > 254)
        return sign | INFINITE;
    if (carried < 1)
        return sign;
    return sign | static_cast<word>(carried) << 23 | (significand_24 & FRACTION);
}

#ifdef CSNN_FLOAT_CORES

union float_or_word {
    float number;
    word bits;
};

inline float to_float(word x)
{
    float_or_word cast;
    cast.bits = x;
    return cast.number;
}

inline word of_float(float x)
{
    float_or_word cast;
    cast.number = x;
    return cast.bits;
}

// Magnitude of the sum of finite, flushed words; of no account if it is subnormal.
inline word sum_magnitude(word larger, word smaller)
{
#ifdef __SYNTHESIS__
#pragma HLS INLINE
#endif
    const float sum = to_float(larger) + to_float(smaller);
#ifdef __SYNTHESIS__
#pragma HLS BIND_OP variable=sum op=fadd impl=fulldsp
#endif
    const word magnitude = of_float(sum) & MAGNITUDE;
    return magnitude < HIDDEN ? 0 : magnitude;
}

// The product of two significands, rounded; `is_two` tells whether its unit is twice that of
// numbers in [1, 2).
inline word product_significand(word a, word b, bool &is_two)
{
#ifdef __SYNTHESIS__
#pragma HLS INLINE
#endif
    // Numbers in [1, 2): their product is below 4, rounded, too, and no limit of exponents is near.
    const word one = static_cast<word>(BIAS) << 23;
    const float product = to_float(one | (a & FRACTION)) * to_float(one | (b & FRACTION));
#ifdef __SYNTHESIS__
#pragma HLS BIND_OP variable=product op=fmul impl=maxdsp
#endif
    const word bits = of_float(product);
    is_two = exponent_field(bits) != BIAS;
    return HIDDEN | (bits & FRACTION);
}

#else

inline word sum_magnitude(word larger, word smaller)
{
#ifdef __SYNTHESIS__
#pragma HLS INLINE
#endif
    const int distance = exponent_field(larger) - exponent_field(smaller);
    const int places = distance < 31 ? distance : 31;
    // Three bits below the significand: what is shifted further out only counts as not zero.
    const word wide = significand(smaller) << 3;
    const word shifted = wide >> places;
    const word aligned = shifted | (shifted << places != wide ? 1u : 0u);
    const word first = significand(larger) << 3;
    word total = ((larger ^ smaller) & SIGN) != 0 ? first - aligned : first + aligned;
    if (total == 0)
        return 0;
    const int exponent = exponent_field(larger) + 1 - normalise(total, 28);
    return rounded(0, exponent, total >> 4, (total >> 3 & 1u) != 0, (total & 7u) != 0);
}

inline word product_significand(word a, word b, bool &is_two)
{
#ifdef __SYNTHESIS__
#pragma HLS INLINE
#endif
    const std::uint64_t product = static_cast<std::uint64_t>(significand(a)) * significand(b);
    is_two = (product >> 47) != 0;
    const std::uint64_t shifted = is_two ? product : product << 1;
    const word kept = static_cast<word>(shifted >> 24);
    const word below = static_cast<word>(shifted) & 0xFFFFFFu;
    const bool up = below > HIDDEN || (below == HIDDEN && (kept & 1u) != 0);
    return kept + (up ? 1u : 0u);
}

#endif

inline word fadd(word a_any, word b_any)
{
#ifdef __SYNTHESIS__
#pragma HLS INLINE
#endif
    const word a = flushed(a_any), b = flushed(b_any);
    const bool is_b_larger = (b & MAGNITUDE) > (a & MAGNITUDE);
    const word larger = is_b_larger ? b : a, smaller = is_b_larger ? a : b;
    const bool is_difference = ((a ^ b) & SIGN) != 0;
    const bool is_infinite = (larger & MAGNITUDE) == INFINITE;
    const bool is_invalid = is_infinite && (smaller & MAGNITUDE) == INFINITE && is_difference;
    if (is_nan(a) || is_nan(b) || is_invalid)
        return CANONICAL_NAN;
    if (is_infinite)
        return larger;
    // Opposite numbers give +0.
    const bool is_opposite = is_difference && (a & MAGNITUDE) == (b & MAGNITUDE);
    const word sign = is_opposite ? 0 : larger & SIGN;
    return sign | sum_magnitude(larger, smaller);
}

inline word fsub(word a, word b)
{
#ifdef __SYNTHESIS__
#pragma HLS INLINE
#endif
    return fadd(a, b ^ SIGN);
}

inline word fmul(word a_any, word b_any)
{
#ifdef __SYNTHESIS__
#pragma HLS INLINE
#endif
    const word a = flushed(a_any), b = flushed(b_any);
    const word sign = (a ^ b) & SIGN;
    const bool is_zero = (a & MAGNITUDE) == 0 || (b & MAGNITUDE) == 0;
    const bool is_infinite = (a & MAGNITUDE) == INFINITE || (b & MAGNITUDE) == INFINITE;
    if (is_nan(a) || is_nan(b) || (is_infinite && is_zero))
        return CANONICAL_NAN;
    if (is_infinite)
        return sign | INFINITE;
    if (is_zero)
        return sign;
    bool is_two;
    const word product = product_significand(a, b, is_two);
    const int exponent = exponent_field(a) + exponent_field(b) - BIAS + (is_two ? 1 : 0);
    return rounded(sign, exponent, product, false, false);
}

// A number whose integer order is that of flushed words; both zeros have the same.
inline std::int32_t ordered(word x)
{
    const std::int32_t magnitude = to_integer(x & MAGNITUDE);
    return (x & SIGN) != 0 ? -magnitude : magnitude;
}

inline bool fge(word a, word b)
{
#ifdef __SYNTHESIS__
#pragma HLS INLINE
#endif
    return !is_nan(a) && !is_nan(b) && ordered(flushed(a)) >= ordered(flushed(b));
}

inline bool flt(word a, word b)
{
#ifdef __SYNTHESIS__
#pragma HLS INLINE
#endif
    return !is_nan(a) && !is_nan(b) && ordered(flushed(a)) < ordered(flushed(b));
}

inline word itof(std::int32_t x)
{
#ifdef __SYNTHESIS__
#pragma HLS INLINE
#endif
    const word sign = x < 0 ? SIGN : 0;
    word magnitude = x < 0 ? 0u - to_word(x) : to_word(x);
    if (magnitude == 0)
        return 0;
    const int exponent = BIAS + 31 - normalise(magnitude, 32);
    const bool guard = (magnitude >> 7 & 1u) != 0, sticky = (magnitude & 127u) != 0;
    return rounded(sign, exponent, magnitude >> 8, guard, sticky);
}

// Modulo 2^32.
inline std::int32_t iadd(std::int32_t a, std::int32_t b)
{
    return to_integer(to_word(a) + to_word(b));
}

inline bool izero(std::int32_t x) { return x == 0; }

inline std::int32_t idec(std::int32_t x) { return x > 0 ? x - 1 : 0; }

} // namespace csnn

#endif
