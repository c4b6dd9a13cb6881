// What a layer does to one token at a time: norms, rotation, activation.
#pragma once

#include <cmath>

#include "vector.h"

namespace adaptrix {

// out = x / rms(x) * weight (Zhang and Sennrich, arXiv:1910.07467)
inline void rms_norm(const float* x, const float* weight, float eps, int n, float* out) {
    __m256 squares = _mm256_setzero_ps();
    for (int i = 0; i < n; i += 8) squares = _mm256_fmadd_ps(load8(x + i), load8(x + i), squares);
    const __m256 factor = _mm256_set1_ps(1.0f / std::sqrt(sum8(squares) / float(n) + eps));
    for (int i = 0; i < n; i += 8) store8(out + i, _mm256_mul_ps(_mm256_mul_ps(load8(x + i), factor), load8(weight + i)));
}

// Rotary position embedding, halves rotated against each other (arXiv:2104.09864, in GPT-NeoX's arrangement).
inline void rotate(float* head, const float* cosine, const float* sine, int head_dim) {
    const int middle = head_dim / 2;
    for (int i = 0; i < middle; i += 8) {
        const __m256 a = load8(head + i), b = load8(head + middle + i);
        store8(head + i, _mm256_fnmadd_ps(b, load8(sine + i), _mm256_mul_ps(a, load8(cosine + i))));
        store8(head + middle + i,
               _mm256_fmadd_ps(a, load8(sine + middle + i), _mm256_mul_ps(b, load8(cosine + middle + i))));
    }
}

// out = silu(gate) * up (arXiv:2002.05202)
inline void gated_silu(const float* gate, const float* up, int n, float* out) {
    const __m256 one = _mm256_set1_ps(1.0f), zero = _mm256_setzero_ps();
    for (int i = 0; i < n; i += 8) {
        const __m256 g = load8(gate + i);
        const __m256 sigmoid = _mm256_div_ps(one, _mm256_add_ps(one, exp8(_mm256_sub_ps(zero, g))));
        store8(out + i, _mm256_mul_ps(_mm256_mul_ps(g, sigmoid), load8(up + i)));
    }
}

inline void add(float* x, const float* y, int n) {
    for (int i = 0; i < n; i += 8) store8(x + i, _mm256_add_ps(load8(x + i), load8(y + i)));
}

inline void store_half(half* out, const float* x, int n) {
    for (int i = 0; i < n; i += 8) store8(out + i, load8(x + i));
}

}  // namespace adaptrix
