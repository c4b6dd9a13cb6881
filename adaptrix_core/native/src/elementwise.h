// What a layer does to one token at a time: norms, rotation, activation, and small sums.
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

// x = (x - mean(x)) / std(x) * weight + shift (Ba et al., arXiv:1607.06450)
inline void layer_norm(float* x, const float* weight, const float* shift, float eps, int n) {
    __m256 total = _mm256_setzero_ps(), squares = _mm256_setzero_ps();
    for (int i = 0; i < n; i += 8) total = _mm256_add_ps(total, load8(x + i));
    const __m256 mean = _mm256_set1_ps(sum8(total) / float(n));
    for (int i = 0; i < n; i += 8) {
        const __m256 off = _mm256_sub_ps(load8(x + i), mean);
        squares = _mm256_fmadd_ps(off, off, squares);
    }
    const __m256 factor = _mm256_set1_ps(1.0f / std::sqrt(sum8(squares) / float(n) + eps));
    for (int i = 0; i < n; i += 8) {
        const __m256 unit = _mm256_mul_ps(_mm256_sub_ps(load8(x + i), mean), factor);
        store8(x + i, _mm256_fmadd_ps(unit, load8(weight + i), load8(shift + i)));
    }
}

// x = x * P(N(0, 1) <= x) (arXiv:1606.08415), by erf's approximation 7.1.26 of Abramowitz and Stegun, within 1.5e-7.
inline void gelu(float* x, int n) {
    const __m256 one = _mm256_set1_ps(1.0f), half_one = _mm256_set1_ps(0.5f), sign = _mm256_set1_ps(-0.0f);
    for (int i = 0; i < n; i += 8) {
        const __m256 v = load8(x + i), z = _mm256_mul_ps(v, _mm256_set1_ps(0.70710678f)), size = abs8(z);
        const __m256 t = _mm256_div_ps(one, _mm256_fmadd_ps(size, _mm256_set1_ps(0.3275911f), one));
        __m256 y = _mm256_set1_ps(1.061405429f);
        y = _mm256_fmadd_ps(y, t, _mm256_set1_ps(-1.453152027f));
        y = _mm256_fmadd_ps(y, t, _mm256_set1_ps(1.421413741f));
        y = _mm256_fmadd_ps(y, t, _mm256_set1_ps(-0.284496736f));
        y = _mm256_fmadd_ps(y, t, _mm256_set1_ps(0.254829592f));
        const __m256 bell = exp8(_mm256_sub_ps(_mm256_setzero_ps(), _mm256_mul_ps(z, z)));
        const __m256 positive = _mm256_fnmadd_ps(_mm256_mul_ps(y, t), bell, one);
        const __m256 erf = _mm256_or_ps(positive, _mm256_and_ps(z, sign));
        store8(x + i, _mm256_mul_ps(_mm256_mul_ps(v, half_one), _mm256_add_ps(one, erf)));
    }
}

inline float dot(const float* x, const float* y, int n) {
    __m256 sum = _mm256_setzero_ps();
    for (int i = 0; i < n; i += 8) sum = _mm256_fmadd_ps(load8(x + i), load8(y + i), sum);
    return sum8(sum);
}

// x += factor * y
inline void add_scaled(float* x, const float* y, float factor, int n) {
    const __m256 f = _mm256_set1_ps(factor);
    for (int i = 0; i < n; i += 8) store8(x + i, _mm256_fmadd_ps(f, load8(y + i), load8(x + i)));
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
