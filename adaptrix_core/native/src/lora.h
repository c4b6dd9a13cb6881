// Adapter updates: y += weight * B (A x), for the tokens of each term.
#pragma once

#include <algorithm>

#include "vector.h"

namespace adaptrix {

template <typename T>
inline float dot(const T* a, const float* x, int n) {
    __m256 s[4] = {_mm256_setzero_ps(), _mm256_setzero_ps(), _mm256_setzero_ps(), _mm256_setzero_ps()};
    int i = 0;
    for (; i + 32 <= n; i += 32)
        for (int j = 0; j < 4; ++j) s[j] = _mm256_fmadd_ps(load8(a + i + 8 * j), load8(x + i + 8 * j), s[j]);
    for (; i < n; i += 8) s[0] = _mm256_fmadd_ps(load8(a + i), load8(x + i), s[0]);
    return sum8(_mm256_add_ps(_mm256_add_ps(s[0], s[1]), _mm256_add_ps(s[2], s[3])));
}

// Items [first, last) of the (rank, count) inner values of a term's entries [entry, entry + count). x: (tokens, stride).
template <typename T>
inline void shrink_items(const Term& t, const float* x, int64_t stride, int entry, int count, int first, int last) {
    for (int item = first; item < last; ++item) {
        const int r = item / count, e = entry + item % count;
        const float value = dot(static_cast<const T*>(t.a) + int64_t(r) * t.d_in, x + t.tokens[e] * stride, t.d_in);
        t.inner[int64_t(e) * t.rank + r] = t.type == kByte ? value * t.a_scales[r] : value;
    }
}

inline void shrink(const Term& t, const float* x, int64_t stride, int entry, int count, int first, int last) {
    if (t.type == kFloat) shrink_items<float>(t, x, stride, entry, count, first, last);
    if (t.type == kHalf) shrink_items<half>(t, x, stride, entry, count, first, last);
    if (t.type == kByte) shrink_items<int8_t>(t, x, stride, entry, count, first, last);
}

// Outputs [n, n + 8 * VECTORS) of one token.
template <typename T, int VECTORS>
inline void expand_block(const Term& t, int entry, int n, float* y) {
    const float* inner = t.inner + int64_t(entry) * t.rank;
    const T* b = static_cast<const T*>(t.b) + n;
    __m256 sum[VECTORS];
    for (int j = 0; j < VECTORS; ++j) sum[j] = load8(y + n + 8 * j);
    for (int r = 0; r < t.rank; ++r, b += t.d_out) {
        const float scale = t.type == kByte ? t.b_scales[r] : 1.0f;
        const __m256 factor = _mm256_set1_ps(inner[r] * t.weights[entry] * scale);
        for (int j = 0; j < VECTORS; ++j) sum[j] = _mm256_fmadd_ps(factor, load8(b + 8 * j), sum[j]);
    }
    for (int j = 0; j < VECTORS; ++j) store8(y + n + 8 * j, sum[j]);
}

template <typename T>
inline void expand_token(const Term& t, int entry, float* y) {
    int n = 0;
    for (; n + 64 <= t.d_out; n += 64) expand_block<T, 8>(t, entry, n, y);
    for (; n < t.d_out; n += 8) expand_block<T, 1>(t, entry, n, y);
}

// Adds one token's update to y (d_out,).
inline void expand(const Term& t, int entry, float* y) {
    if (t.type == kFloat) expand_token<float>(t, entry, y);
    if (t.type == kHalf) expand_token<half>(t, entry, y);
    if (t.type == kByte) expand_token<int8_t>(t, entry, y);
}

}  // namespace adaptrix
