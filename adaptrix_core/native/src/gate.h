// Gates: the weight of each of a mix's terms for one token, by the token's own input at a point.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>

#include "lora.h"

namespace adaptrix {

// Weights of the terms for entry e, whose input is x (d_in,): softmax over the largest top_k scores, the first ones of
// equals, plus the offsets, times the terms' own factors.
inline void weigh(const Gate& g, int e, const float* x) {
    float scores[kGateTerms];
    for (int i = 0; i < g.terms; ++i) {
        const float score = dot(g.directions + int64_t(i) * g.d_in, x, g.d_in);
        scores[i] = g.is_unsigned ? std::fabs(score) : score;
    }
    bool chosen[kGateTerms];
    float largest = -std::numeric_limits<float>::infinity(), total = 0;
    for (int i = 0; i < g.terms; ++i) {
        int before = 0;
        for (int j = 0; j < g.terms; ++j) before += scores[j] > scores[i] || (scores[j] == scores[i] && j < i);
        chosen[i] = before < g.top_k;
        if (chosen[i]) largest = std::max(largest, scores[i]);
    }
    for (int i = 0; i < g.terms; ++i) {
        scores[i] = chosen[i] ? std::exp((scores[i] - largest) / g.temperature) : 0.0f;
        total += scores[i];
    }
    for (int i = 0; i < g.terms; ++i)
        g.weights[int64_t(i) * g.count + e] = (scores[i] / total + g.offsets[i]) * g.factors[i];
}

}  // namespace adaptrix
