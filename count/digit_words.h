/*
 * Decimal digits by the word: eight in a register at once, and a whole number
 * without a branch that depends on its digits. Pure functions for the parser
 * of numbers; each says which bytes it reads.
 */


#ifndef DIGIT_WORDS_H
#define DIGIT_WORDS_H


#include <endian.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif


/* Eight times the digit '0', and the highest bit of each byte. */
#define DIGIT_ZEROS UINT64_C(0x3030303030303030)
#define DIGIT_HIGHS UINT64_C(0x8080808080808080)

/* What whole_number() reads: so many bytes before p, and from p on. */
#define WHOLE_NUMBER_BEFORE 23
#define WHOLE_NUMBER_AFTER 32


/* The eight bytes at p, the first in the lowest byte. */
static inline uint64_t
load_eight(const uint8_t *p)
{
    uint64_t bytes;

    memcpy(&bytes, p, sizeof(bytes));

    return le64toh(bytes);
}


/* The number that eight values of digits are, the first in the lowest byte:
   pairs become numbers below 100, pairs of those below 10^4, then one below
   10^8. */
static inline uint64_t
eight_digits(uint64_t values)
{
    values = values * 10 + (values >> 8);

    return (((values & UINT64_C(0x000000ff000000ff))
             * UINT64_C(0x000f424000000064))
            + (((values >> 16) & UINT64_C(0x000000ff000000ff))
               * UINT64_C(0x0000271000000001)))
           >> 32;
}


/* How many of eight bytes, from the lowest on, are digits before the first
   one that is not. */
static inline unsigned
leading_digits(uint64_t bytes)
{
    uint64_t other;

    /* the high bit of a byte is set if it is above '9' or below '0'; a borrow
       or carry goes into higher bytes only, after a byte that is marked */
    other = (bytes | (bytes + UINT64_C(0x4646464646464646))
             | (bytes - DIGIT_ZEROS))
            & DIGIT_HIGHS;

    return other ? (unsigned) __builtin_ctzll(other) / 8 : 8;
}


#if defined(__SSE2__)

/* A bit for each of the 16 bytes at p, the first in the lowest, that is not a
   digit. */
static inline uint32_t
other_than_digits(const uint8_t *p)
{
    __m128i bytes;

    /* as signed bytes digits become the ten lowest, -128 to -119 */
    bytes = _mm_sub_epi8(_mm_loadu_si128((const __m128i *) p),
                         _mm_set1_epi8((char) ('0' - 128)));

    return (uint32_t) _mm_movemask_epi8(
        _mm_cmpgt_epi8(bytes, _mm_set1_epi8(-119)));
}


/*
 * Reads the number at p: a '-' or none, and at most 19 digits. Returns the
 * first byte after them with the number in *value, or NULL if p is not the
 * beginning of such a number, or an int64_t can't hold it.
 *
 * Sign and length of random numbers are what no CPU predicts, so no branch is
 * taken by them: the number is read backwards from its end, 24 digits, of
 * which a mask takes away those that are not its own.
 */
static inline const uint8_t *
whole_number(const uint8_t *p, int64_t *value)
{
    /* 24 bytes from masks[n] on have the last n set */
    static const uint8_t masks[48]
        = {[24] = 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
           255,        255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255};

    size_t         digits;
    uint32_t       others;
    uint64_t       negative, high, middle, low, magnitude;
    const uint8_t *end, *mask;

    negative = (*p == '-');
    others = other_than_digits(p) | (other_than_digits(p + 16) << 16);
    others &= ~(uint32_t) negative;

    if (others == 0) {
        return NULL;
    }

    end = p + __builtin_ctz(others);
    digits = (size_t) (end - p) - negative;

    /* 19 digits are below 2^64 */
    if (digits == 0 || digits > 19) {
        return NULL;
    }

    mask = &masks[digits];

    high = (load_eight(end - 24) ^ DIGIT_ZEROS) & load_eight(mask);
    middle = (load_eight(end - 16) ^ DIGIT_ZEROS) & load_eight(mask + 8);
    low = (load_eight(end - 8) ^ DIGIT_ZEROS) & load_eight(mask + 16);

    magnitude
        = (eight_digits(high) * 100000000 + eight_digits(middle)) * 100000000
          + eight_digits(low);

    if (magnitude > (uint64_t) INT64_MAX + negative) {
        return NULL;
    }

    /* the negation is one of unsigned arithmetic: INT64_MIN has no positive */
    *value = (int64_t) ((magnitude ^ -negative) + negative);

    return end;
}

#else

/* Other machines have no such shortcut: the parser goes digit by digit. */
static inline const uint8_t *
whole_number(const uint8_t *p, int64_t *value)
{
    (void) p;
    (void) value;

    return NULL;
}

#endif


#endif /* DIGIT_WORDS_H */
