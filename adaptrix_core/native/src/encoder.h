// The layers of a BERT encoder (Devlin et al., arXiv:1810.04805) over packed int8 weights: norms after the sums, GELU, biases.
//
// Texts lie behind one another without padding, and each attends to itself alone. A layer is a sequence of phases, whose
// items (tokens, or blocks of outputs) are shared between the caller and helpers. No result depends on who computed what.
#pragma once

#include <algorithm>
#include <cmath>
#include <mutex>
#include <vector>

#include "attention.h"
#include "crew.h"
#include "elementwise.h"
#include "matmul.h"

namespace adaptrix {

class Encoder {
  public:
    explicit Encoder(const EncoderModel& model)
        : model_(model), layers_(model.layers, model.layers + model.num_layers), crew_(model.helpers) {}

    // states (tokens, hidden) are replaced by those that leave the last layer; text i has tokens [bounds[i], bounds[i + 1]).
    void run(float* states, const int32_t* bounds, int texts) {
        std::lock_guard<std::mutex> one_at_a_time(mutex_);
        states_ = states;
        tokens_ = bounds[texts];
        reserve();
        for (int i = 0; i < texts; ++i) std::fill(text_.begin() + bounds[i], text_.begin() + bounds[i + 1], &bounds[i]);
        Crew::Shift shift(crew_);
        for (const EncoderLayer& layer : layers_) run_layer(layer, shift);
    }

  private:
    static constexpr int kTokens = 4;  // computed at once, where a phase goes by tokens

    void reserve() {
        const int64_t t = tokens_, widest = std::max(model_.hidden, model_.inner);
        text_.resize(t);
        qkv_.resize(t * 3 * model_.hidden);
        attended_.resize(t * model_.hidden);
        mixed_.resize(t * model_.hidden);
        inner_.resize(t * model_.inner);
        q16_.resize(t * widest);
        scales_.resize(t * widest / kGroup);
    }

    void run_layer(const EncoderLayer& layer, Crew::Shift& shift) {
        const int n = model_.hidden;
        by_token(shift, [&](int t) { quantise_row(layer.qkv, states_ + int64_t(t) * n, t); });
        product(shift, layer.qkv, layer.qkv_bias, qkv_.data());
        by_token(shift, [&](int t) {
            attend(t);
            quantise_row(layer.attended, attended_.data() + int64_t(t) * n, t);
        });
        product(shift, layer.attended, layer.attended_bias, mixed_.data());
        by_token(shift, [&](int t) {
            add_and_norm(t, layer.attended_norm);
            quantise_row(layer.up, states_ + int64_t(t) * n, t);
        });
        product(shift, layer.up, layer.up_bias, inner_.data());
        by_token(shift, [&](int t) {
            float* inner = inner_.data() + int64_t(t) * model_.inner;
            gelu(inner, model_.inner);
            quantise_row(layer.down, inner, t);
        });
        product(shift, layer.down, layer.down_bias, mixed_.data());
        by_token(shift, [&](int t) { add_and_norm(t, layer.norm); });
    }

    template <typename PerToken>
    void by_token(Crew::Shift& shift, const PerToken& compute) {
        shift.each(tokens_, kTokens, [&](int first, int last) {
            for (int t = first; t < last; ++t) compute(t);
        });
    }

    // All matrices are int8, so there are no buffers for int4.
    Activations activations(int k) { return {nullptr, q16_.data(), scales_.data(), nullptr, k}; }

    void quantise_row(const Matrix& next, const float* x, int t) {
        quantise(activations(next.k), t, x, next.layout, 0, next.k / kGroup);
    }

    void product(Crew::Shift& shift, const Matrix& m, const float* bias, float* out) {
        const int blocks = m.n / kOutputs;
        shift.each(blocks, portion_of(blocks, model_.helpers + 1),
                   [&](int first, int last) { multiply(m, activations(m.k), tokens_, first, last, out, m.n, bias); });
    }

    void add_and_norm(int t, const Norm& norm) {
        const int n = model_.hidden;
        float* x = states_ + int64_t(t) * n;
        add(x, mixed_.data() + int64_t(t) * n, n);
        layer_norm(x, norm.weight, norm.shift, model_.eps, n);
    }

    // One token's attention to all tokens of its text, by each head.
    void attend(int t) {
        const int n = model_.hidden, d = n / model_.heads, first = text_[t][0], count = text_[t][1] - first;
        const float scale = 1.0f / std::sqrt(float(d));
        static thread_local std::vector<float> scores;
        scores.resize((count + 7) / 8 * 8);
        for (int h = 0; h < model_.heads; ++h) {
            const float* query = qkv_.data() + int64_t(t) * 3 * n + h * d;
            const float* keys = qkv_.data() + int64_t(first) * 3 * n + n + h * d;
            float* out = attended_.data() + int64_t(t) * n + h * d;
            for (int i = 0; i < count; ++i) scores[i] = scale * dot(query, keys + int64_t(i) * 3 * n, d);
            const float inverse = 1.0f / soften(scores.data(), count);
            std::fill(out, out + d, 0.0f);
            for (int i = 0; i < count; ++i) add_scaled(out, keys + n + int64_t(i) * 3 * n, inverse * scores[i], d);
        }
    }

    EncoderModel model_;
    std::vector<EncoderLayer> layers_;
    std::mutex mutex_;
    float* states_ = nullptr;
    int tokens_ = 0;
    std::vector<const int32_t*> text_;  // of each token: where its text begins and ends
    std::vector<float> qkv_, attended_, mixed_, inner_, scales_;
    std::vector<int16_t> q16_;
    Crew crew_;  // last: its threads end before the data they use
};

}  // namespace adaptrix
