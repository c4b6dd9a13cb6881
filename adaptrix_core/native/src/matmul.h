// Products of packed weights with quantised activations.
//
// Weights are packed in blocks of 8 outputs; a block holds, for every group of 32 inputs, the quantised weights in the
// order in which the kernel reads them and then the group's scales (and minima) of the 8 outputs. Each 32-bit lane of a
// vector belongs to one output. Every output of every row is summed in the same order whatever the number of rows, so a
// row's result does not depend on the batch that it is computed in.
#pragma once

#include <algorithm>
#include <cmath>

#include "vector.h"

namespace adaptrix {

constexpr int kGroup = 32;   // inputs that share a scale
constexpr int kOutputs = 8;  // outputs in a block
constexpr int kTileRows = 6;   // as many as keep their sums in registers
constexpr int kRowChunk = 96;  // rows whose activations stay in the nearest caches while the weights pass by

// Bytes of a group: Q4_1 keeps 4-bit weights, a scale and a minimum; Q8_0 keeps 8-bit weights and a scale.
constexpr int kInt4Bytes = 128 + 16 + 16;
constexpr int kInt8Bytes = 256 + 16;

inline int group_bytes(const Matrix& m) { return m.layout == kInt4 ? kInt4Bytes : kInt8Bytes; }

// Quantised activations of all rows, in the format that a layout multiplies with.
struct Activations {
    int8_t* q8;      // (rows, k), for int4 weights
    int16_t* q16;    // (rows, k), for int8 weights
    float* scales;   // (rows, k / 32)
    float* sums;     // (rows, k / 32): scale times the sum of the group's quantised values, for the minima
    int k;
};

// Groups [first, last) of a row; x is the whole row.
inline void quantise(const Activations& a, int row, const float* x, int layout, int first, int last) {
    const int groups = a.k / kGroup;
    x += first * kGroup;
    for (int g = first; g < last; ++g, x += kGroup) {
        const __m256 v[4] = {load8(x), load8(x + 8), load8(x + 16), load8(x + 24)};
        const __m256 top = _mm256_max_ps(_mm256_max_ps(abs8(v[0]), abs8(v[1])), _mm256_max_ps(abs8(v[2]), abs8(v[3])));
        const float largest = max8(top);
        const float steps = layout == kInt4 ? 127.0f : 32767.0f;
        const float inverse = largest > 0 ? steps / largest : 0.0f;
        __m256i q[4];
        for (int i = 0; i < 4; ++i) q[i] = _mm256_cvtps_epi32(_mm256_mul_ps(v[i], _mm256_set1_ps(inverse)));
        const int64_t at = int64_t(row) * groups + g;
        a.scales[at] = largest / steps;
        // packs interleaves the 128-bit halves; the permutations put the values back in order
        const __m256i low = _mm256_permute4x64_epi64(_mm256_packs_epi32(q[0], q[1]), 0xD8);
        const __m256i high = _mm256_permute4x64_epi64(_mm256_packs_epi32(q[2], q[3]), 0xD8);
        if (layout == kInt4) {
            const __m256i bytes = _mm256_permute4x64_epi64(_mm256_packs_epi16(low, high), 0xD8);
            _mm256_storeu_si256(reinterpret_cast<__m256i*>(a.q8 + at * kGroup), bytes);
            const __m256i total = _mm256_add_epi32(_mm256_add_epi32(q[0], q[1]), _mm256_add_epi32(q[2], q[3]));
            a.sums[at] = a.scales[at] * sum8(_mm256_cvtepi32_ps(total));
        } else {
            _mm256_storeu_si256(reinterpret_cast<__m256i*>(a.q16 + at * kGroup), low);
            _mm256_storeu_si256(reinterpret_cast<__m256i*>(a.q16 + at * kGroup + 16), high);
        }
    }
}

inline __m256i broadcast4(const void* p) {
    int32_t word;
    std::memcpy(&word, p, 4);
    return _mm256_set1_epi32(word);
}

// Stops the compiler from computing all products first and adding them later, which would spill every one of them.
inline void keep_order(__m256i& value) { asm("" : "+x"(value)); }

// Sums of products within a group, which the file of an instruction set defines. They are exact, so results do not depend
// on the instruction set. For int4 weights, 0 to 15, and 8-bit activations: four products are added to each lane, whose
// format is the instruction set's own until `total_int4` makes a 32-bit integer of it. For int8 weights, widened, and
// 16-bit activations: two products are added to each 32-bit lane.
inline __m256i add_int4(__m256i sum, __m256i weights, __m256i activations);
inline __m256i total_int4(__m256i sum);
inline __m256i add_int8(__m256i sum, __m256i weights, __m256i activations);

// ROWS x 8 outputs of an int4 matrix.
template <int ROWS>
inline void tile_int4(const uint8_t* w, const Activations& a, int row, float* out, int64_t stride, const float* bias) {
    const int groups = a.k / kGroup;
    const __m256i low4 = _mm256_set1_epi8(15);
    __m256 sum[ROWS];
    _Pragma("GCC unroll 8") for (int r = 0; r < ROWS; ++r) sum[r] = bias ? load8(bias) : _mm256_setzero_ps();
    const int8_t* q = a.q8 + int64_t(row) * a.k;
    const float* scales = a.scales + int64_t(row) * groups;
    const float* sums = a.sums + int64_t(row) * groups;
    for (int g = 0; g < groups; ++g, w += kInt4Bytes, q += kGroup) {
        _mm_prefetch(reinterpret_cast<const char*>(w) + 1280, _MM_HINT_T0);
        _mm_prefetch(reinterpret_cast<const char*>(w) + 1344, _MM_HINT_T0);
        _mm_prefetch(reinterpret_cast<const char*>(w) + 1408, _MM_HINT_T0);
        __m256i part[ROWS];
        _Pragma("GCC unroll 4") for (int v = 0; v < 4; ++v) {
            const __m256i packed = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(w + 32 * v));
            const __m256i lo = _mm256_and_si256(packed, low4);
            const __m256i hi = _mm256_and_si256(_mm256_srli_epi16(packed, 4), low4);
            _Pragma("GCC unroll 8") for (int r = 0; r < ROWS; ++r) {
                const int8_t* x = q + int64_t(r) * a.k + 4 * v;
                part[r] = add_int4(v == 0 ? _mm256_setzero_si256() : part[r], lo, broadcast4(x));
                part[r] = add_int4(part[r], hi, broadcast4(x + 16));
                keep_order(part[r]);
            }
        }
        const __m256 scale = load8(reinterpret_cast<const half*>(w + 128));
        const __m256 least = load8(reinterpret_cast<const half*>(w + 144));
        _Pragma("GCC unroll 8") for (int r = 0; r < ROWS; ++r) {
            const __m256 whole = _mm256_cvtepi32_ps(total_int4(part[r]));
            sum[r] = _mm256_fmadd_ps(_mm256_mul_ps(whole, scale), _mm256_set1_ps(scales[r * groups + g]), sum[r]);
            sum[r] = _mm256_fmadd_ps(least, _mm256_set1_ps(sums[r * groups + g]), sum[r]);
        }
    }
    _Pragma("GCC unroll 8") for (int r = 0; r < ROWS; ++r) store8(out + r * stride, sum[r]);
}

// ROWS x 8 outputs of an int8 matrix with 16-bit activations: 127 * 32767 * 32 fits 32 bits.
template <int ROWS>
inline void tile_int8(const uint8_t* w, const Activations& a, int row, float* out, int64_t stride, const float* bias) {
    const int groups = a.k / kGroup;
    __m256 sum[ROWS];
    _Pragma("GCC unroll 8") for (int r = 0; r < ROWS; ++r) sum[r] = bias ? load8(bias) : _mm256_setzero_ps();
    const int16_t* q = a.q16 + int64_t(row) * a.k;
    const float* scales = a.scales + int64_t(row) * groups;
    for (int g = 0; g < groups; ++g, w += kInt8Bytes, q += kGroup) {
        for (int line = 0; line < 5; ++line)
            _mm_prefetch(reinterpret_cast<const char*>(w) + 2176 + 64 * line, _MM_HINT_T0);
        __m256i part[ROWS];
        _Pragma("GCC unroll 16") for (int s = 0; s < 16; ++s) {
            const __m256i weights =
                _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(w + 16 * s)));
            _Pragma("GCC unroll 8") for (int r = 0; r < ROWS; ++r) {
                part[r] = add_int8(s == 0 ? _mm256_setzero_si256() : part[r], weights,
                                   broadcast4(q + int64_t(r) * a.k + 2 * s));
                keep_order(part[r]);
            }
        }
        const __m256 scale = load8(reinterpret_cast<const half*>(w + 256));
        _Pragma("GCC unroll 8") for (int r = 0; r < ROWS; ++r)
            sum[r] = _mm256_fmadd_ps(
                _mm256_mul_ps(_mm256_cvtepi32_ps(part[r]), scale), _mm256_set1_ps(scales[r * groups + g]), sum[r]);
    }
    _Pragma("GCC unroll 8") for (int r = 0; r < ROWS; ++r) store8(out + r * stride, sum[r]);
}

template <int ROWS>
inline void tile(const Matrix& m, const uint8_t* w, const Activations& a, int row, float* out, int64_t stride,
                 const float* bias) {
    if (m.layout == kInt4)
        tile_int4<ROWS>(w, a, row, out, stride, bias);
    else
        tile_int8<ROWS>(w, a, row, out, stride, bias);
}

constexpr int kPortions = 6;  // claims per thread and product

// Blocks of a product that are claimed at once.
inline int portion_of(int blocks, int threads) {
    return threads == 1 ? blocks : std::max(1, blocks / (threads * kPortions));
}

// Output blocks [first, last) for all rows: out (rows, stride), out[r][n] = sum_k w[n][k] x[r][k] + bias[n].
inline void multiply(const Matrix& m, const Activations& a, int rows, int first, int last, float* out, int64_t stride,
                     const float* bias) {
    const int64_t block_bytes = int64_t(m.k / kGroup) * group_bytes(m);
    for (int start = 0; start < rows; start += kRowChunk) {
        const int end = std::min(rows, start + kRowChunk);
        for (int b = first; b < last; ++b) {
            const uint8_t* w = m.data + b * block_bytes;
            const float* offset = bias ? bias + b * kOutputs : nullptr;
            // As few tiles as possible, and rows spread evenly over them: a tile of one or two rows is wasteful.
            for (int row = start, tiles = (end - start + kTileRows - 1) / kTileRows; tiles > 0; --tiles) {
                const int count = (end - row + tiles - 1) / tiles;
                float* place = out + row * stride + b * kOutputs;
                switch (count) {
                    case 6: tile<6>(m, w, a, row, place, stride, offset); break;
                    case 5: tile<5>(m, w, a, row, place, stride, offset); break;
                    case 4: tile<4>(m, w, a, row, place, stride, offset); break;
                    case 3: tile<3>(m, w, a, row, place, stride, offset); break;
                    case 2: tile<2>(m, w, a, row, place, stride, offset); break;
                    default: tile<1>(m, w, a, row, place, stride, offset); break;
                }
                row += count;
            }
        }
    }
}

}  // namespace adaptrix
