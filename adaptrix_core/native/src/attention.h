// Attention of one token over the paged keys and values of its row, all query heads of one key/value head together.
#pragma once

#include <algorithm>

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

// Turns scores into weights in place; returns their sum. Entries up to the next multiple of 8 are set to weight 0.
inline float soften(float* scores, int count) {
    const int padded = (count + 7) / 8 * 8;
    for (int i = count; i < padded; ++i) scores[i] = -1e30f;
    __m256 top = load8(scores);
    for (int i = 8; i < padded; i += 8) top = _mm256_max_ps(top, load8(scores + i));
    const __m256 largest = _mm256_set1_ps(max8(top));
    __m256 total = _mm256_setzero_ps();
    for (int i = 0; i < padded; i += 8) {
        const __m256 weight = exp8(_mm256_sub_ps(load8(scores + i), largest));
        store8(scores + i, weight);
        total = _mm256_add_ps(total, weight);
    }
    for (int i = count; i < padded; ++i) scores[i] = 0.0f;
    return sum8(total);
}

// out[h][d] += sum_i weights[h][i] * v_i[d] for one run of slots and WIDTH * 8 dimensions, kept in registers.
template <int HEADS, int WIDTH>
inline void gather(const float* weights, int64_t weight_stride, const half* values, const PagedRow& row,
                   int64_t slot_stride, int first, int last, int head_dim, const float* inverse, float* out) {
    for (int d = 0; d + 8 * WIDTH <= head_dim; d += 8 * WIDTH) {
        __m256 sum[HEADS][WIDTH];
        for (int h = 0; h < HEADS; ++h)
            for (int w = 0; w < WIDTH; ++w) sum[h][w] = _mm256_setzero_ps();
        for (int p = first; p < last;) {
            const int end = std::min(last, (p / row.block_size + 1) * row.block_size);
            const half* v = values + row.slot(p) * slot_stride + d;
            for (; p < end; ++p, v += slot_stride) {
                _mm_prefetch(reinterpret_cast<const char*>(v + kAhead * slot_stride), _MM_HINT_T0);
                __m256 value[WIDTH];
                for (int w = 0; w < WIDTH; ++w) value[w] = load8(v + 8 * w);
                for (int h = 0; h < HEADS; ++h) {
                    const __m256 weight = _mm256_set1_ps(weights[h * weight_stride + p - first]);
                    for (int w = 0; w < WIDTH; ++w) sum[h][w] = _mm256_fmadd_ps(weight, value[w], sum[h][w]);
                }
            }
        }
        for (int h = 0; h < HEADS; ++h)
            for (int w = 0; w < WIDTH; ++w)
                store8(out + h * head_dim + d + 8 * w, _mm256_mul_ps(sum[h][w], _mm256_set1_ps(inverse[h])));
    }
}

// query, out: (HEADS, head_dim). keys, values: the pool, offset to the key/value head. scratch: HEADS * (context + 16).
template <int HEADS>
inline void attend(const float* query, const half* keys, const half* values, const PagedRow& row, int64_t slot_stride,
                   int first, int last, int head_dim, float scale, float* scratch, float* out) {
    float q[HEADS * kMaxHeadDim], inverse[HEADS];
    for (int i = 0; i < HEADS * head_dim; i += 8)
        store8(q + i, _mm256_mul_ps(load8(query + i), _mm256_set1_ps(scale)));
    const int64_t stride = (last - first + 15) / 8 * 8;
    for (int p = first; p < last;) {
        const int end = std::min(last, (p / row.block_size + 1) * row.block_size);
        score_run<HEADS>(q, keys + row.slot(p) * slot_stride, slot_stride, end - p, head_dim, scratch + p - first, stride);
        p = end;
    }
    for (int h = 0; h < HEADS; ++h) inverse[h] = 1.0f / soften(scratch + h * stride, last - first);
    if (head_dim % 32 == 0)
        gather<HEADS, 4>(scratch, stride, values, row, slot_stride, first, last, head_dim, inverse, out);
    else
        gather<HEADS, 1>(scratch, stride, values, row, slot_stride, first, last, head_dim, inverse, out);
}

// As many heads at once as registers allow; the others follow.
inline void attend_group(const float* query, const half* keys, const half* values, const PagedRow& row,
                         int64_t slot_stride, int first, int last, int heads, int head_dim, float scale,
                         float* scratch, float* out) {
    for (int done = 0; done < heads;) {
        const float* q = query + done * head_dim;
        float* o = out + done * head_dim;
        const int left = heads - done;
        if (left >= 3) {
            attend<3>(q, keys, values, row, slot_stride, first, last, head_dim, scale, scratch, o);
            done += 3;
        } else if (left == 2) {
            attend<2>(q, keys, values, row, slot_stride, first, last, head_dim, scale, scratch, o);
            done += 2;
        } else {
            attend<1>(q, keys, values, row, slot_stride, first, last, head_dim, scale, scratch, o);
            done += 1;
        }
    }
}

}  // namespace adaptrix
