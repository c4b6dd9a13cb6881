// Attention over the paged keys and values of a row: all query heads of a key/value head together, and several tokens.
#pragma once

#include <algorithm>
#include <cmath>

#include "vector.h"

namespace adaptrix {

// A row's tokens lie in blocks of consecutive slots; a slot holds (kv_heads, head_dim) halves.
struct PagedRow {
    const int32_t* blocks;
    int block_size;
    int64_t slot(int position) const {
        return int64_t(blocks[position / block_size]) * block_size + position % block_size;
    }
};

constexpr int kMaxHeadDim = 256;
constexpr int kAhead = 8;  // slots between what is computed and what is fetched

// scores[h][i] = <q_h, k_i> for the keys of one run of consecutive slots; q (HEADS, head_dim) is scaled already.
template <int HEADS>
inline void score_run(const float* q, const half* keys, int64_t slot_stride, int count, int head_dim, float* scores,
                      int64_t score_stride) {
    for (int i = 0; i < count; ++i, keys += slot_stride) {
        _mm_prefetch(reinterpret_cast<const char*>(keys + kAhead * slot_stride), _MM_HINT_T0);
        _mm_prefetch(reinterpret_cast<const char*>(keys + kAhead * slot_stride + 32), _MM_HINT_T0);
        __m256 sum[HEADS][2];
        for (int h = 0; h < HEADS; ++h) sum[h][0] = sum[h][1] = _mm256_setzero_ps();
        for (int d = 0; d < head_dim; d += 16) {
            const __m256 low = load8(keys + d), high = load8(keys + d + 8);
            for (int h = 0; h < HEADS; ++h) {
                sum[h][0] = _mm256_fmadd_ps(load8(q + h * head_dim + d), low, sum[h][0]);
                sum[h][1] = _mm256_fmadd_ps(load8(q + h * head_dim + d + 8), high, sum[h][1]);
            }
        }
        for (int h = 0; h < HEADS; ++h) scores[h * score_stride + i] = sum8(_mm256_add_ps(sum[h][0], sum[h][1]));
    }
}

// Turns scores into weights in place, the largest of them 1; returns their sum. Entries up to the next multiple of 8 are
// set to weight 0. With MOMENT, *moment is the sum of each weight times its logarithm.
template <bool MOMENT = false>
inline float soften(float* scores, int count, float* moment = nullptr) {
    const int padded = (count + 7) / 8 * 8;
    for (int i = count; i < padded; ++i) scores[i] = -1e30f;
    __m256 top = load8(scores);
    for (int i = 8; i < padded; i += 8) top = _mm256_max_ps(top, load8(scores + i));
    const __m256 largest = _mm256_set1_ps(max8(top));
    __m256 total = _mm256_setzero_ps(), weighted = _mm256_setzero_ps();
    for (int i = 0; i < padded; i += 8) {
        const __m256 logarithm = _mm256_sub_ps(load8(scores + i), largest), weight = exp8(logarithm);
        store8(scores + i, weight);
        total = _mm256_add_ps(total, weight);
        if (MOMENT) weighted = _mm256_fmadd_ps(weight, _mm256_max_ps(logarithm, _mm256_set1_ps(-87.0f)), weighted);
    }
    for (int i = count; i < padded; ++i) scores[i] = 0.0f;
    if (MOMENT) *moment = sum8(weighted);
    return sum8(total);
}

// As soften; told[0] is the share of the second position from the end, told[1] the entropy of the shares in nats.
inline float soften_and_tell(float* scores, int count, float* told) {
    float moment;
    const float total = soften<true>(scores, count, &moment);
    told[0] = count > 1 ? scores[count - 2] / total : 0.0f;
    told[1] = std::log(total) - moment / total;
    return total;
}

// out[h][d] += sum_p weights[h][p] * v_p[d] for positions [first, last) and WIDTH * 8 dimensions at a time.
template <int HEADS, int WIDTH>
inline void gather(const float* weights, int64_t weight_stride, const half* values, const PagedRow& row,
                   int64_t slot_stride, int first, int last, int head_dim, float* out) {
    for (int d = 0; d + 8 * WIDTH <= head_dim; d += 8 * WIDTH) {
        __m256 sum[HEADS][WIDTH];
        for (int h = 0; h < HEADS; ++h)
            for (int w = 0; w < WIDTH; ++w) sum[h][w] = load8(out + h * head_dim + d + 8 * w);
        for (int p = first; p < last;) {
            const int end = std::min(last, (p / row.block_size + 1) * row.block_size);
            const half* v = values + row.slot(p) * slot_stride + d;
            for (; p < end; ++p, v += slot_stride) {
                _mm_prefetch(reinterpret_cast<const char*>(v + kAhead * slot_stride), _MM_HINT_T0);
                __m256 value[WIDTH];
                for (int w = 0; w < WIDTH; ++w) value[w] = load8(v + 8 * w);
                for (int h = 0; h < HEADS; ++h) {
                    const __m256 weight = _mm256_set1_ps(weights[h * weight_stride + p]);
                    for (int w = 0; w < WIDTH; ++w) sum[h][w] = _mm256_fmadd_ps(weight, value[w], sum[h][w]);
                }
            }
        }
        for (int h = 0; h < HEADS; ++h)
            for (int w = 0; w < WIDTH; ++w) store8(out + h * head_dim + d + 8 * w, sum[h][w]);
    }
}

// One token's query and output, (heads, head_dim) each, the positions that it sees, and where it is told how it attends,
// (heads, 2): the weight on the token before it, and the entropy. Null for most.
struct Query {
    const float* query;
    float* out;
    int first, last;
    float* told;
};

constexpr int kTileTokens = 8;  // consecutive tokens of a row that pass over its keys and values together
constexpr int kChunk = 64;      // positions whose keys, then values, stay in the nearest cache meanwhile

// HEADS query heads from `head` on of up to kTileTokens tokens. keys, values: the pool, offset to the key/value head.
// scratch: (count, HEADS, stride). Sums run over positions in order, so chunks and tiles do not change a bit.
template <int HEADS>
inline void attend(const Query* queries, int count, int head, const half* keys, const half* values, const PagedRow& row,
                   int64_t slot_stride, int head_dim, float scale, float* scratch, int64_t stride) {
    float scaled[kTileTokens][HEADS * kMaxHeadDim];
    int first = queries[0].first, last = queries[0].last;
    for (int t = 0; t < count; ++t) {
        first = std::min(first, queries[t].first);
        last = std::max(last, queries[t].last);
        for (int i = 0; i < HEADS * head_dim; i += 8) {
            store8(scaled[t] + i, _mm256_mul_ps(load8(queries[t].query + head * head_dim + i), _mm256_set1_ps(scale)));
            store8(queries[t].out + head * head_dim + i, _mm256_setzero_ps());
        }
    }
    for (int chunk = first / kChunk * kChunk; chunk < last; chunk += kChunk) {
        for (int t = 0; t < count; ++t) {
            const int end = std::min(chunk + kChunk, queries[t].last);
            float* scores = scratch + t * HEADS * stride - queries[t].first;
            for (int p = std::max(chunk, queries[t].first); p < end;) {
                const int next = std::min(end, (p / row.block_size + 1) * row.block_size);
                score_run<HEADS>(scaled[t], keys + row.slot(p) * slot_stride, slot_stride, next - p, head_dim, scores + p,
                                 stride);
                p = next;
            }
        }
    }
    float inverse[kTileTokens][HEADS];
    for (int t = 0; t < count; ++t)
        for (int h = 0; h < HEADS; ++h) {
            float* scores = scratch + (t * HEADS + h) * stride;
            const int seen = queries[t].last - queries[t].first;
            inverse[t][h] = 1.0f / (queries[t].told ? soften_and_tell(scores, seen, queries[t].told + 2 * (head + h))
                                                    : soften(scores, seen));
        }
    for (int chunk = first / kChunk * kChunk; chunk < last; chunk += kChunk) {
        for (int t = 0; t < count; ++t) {
            const int begin = std::max(chunk, queries[t].first), end = std::min(chunk + kChunk, queries[t].last);
            const float* weights = scratch + t * HEADS * stride - queries[t].first;
            float* out = queries[t].out + head * head_dim;
            if (head_dim % 32 == 0)
                gather<HEADS, 4>(weights, stride, values, row, slot_stride, begin, end, head_dim, out);
            else
                gather<HEADS, 1>(weights, stride, values, row, slot_stride, begin, end, head_dim, out);
        }
    }
    for (int t = 0; t < count; ++t)
        for (int h = 0; h < HEADS; ++h)
            for (int i = 0; i < head_dim; i += 8) {
                float* out = queries[t].out + (head + h) * head_dim + i;
                store8(out, _mm256_mul_ps(load8(out), _mm256_set1_ps(inverse[t][h])));
            }
}

// All query heads of a key/value head: as many at once as registers allow, then the others.
inline void attend_group(const Query* queries, int count, const half* keys, const half* values, const PagedRow& row,
                         int64_t slot_stride, int heads, int head_dim, float scale, float* scratch, int64_t stride) {
    int head = 0;
    for (; heads - head >= 3; head += 3)
        attend<3>(queries, count, head, keys, values, row, slot_stride, head_dim, scale, scratch, stride);
    if (heads - head == 2)
        attend<2>(queries, count, head, keys, values, row, slot_stride, head_dim, scale, scratch, stride);
    if (heads - head == 1)
        attend<1>(queries, count, head, keys, values, row, slot_stride, head_dim, scale, scratch, stride);
}

}  // namespace adaptrix
