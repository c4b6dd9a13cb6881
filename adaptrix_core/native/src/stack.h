// Decoder layers of the Llama arrangement over packed weights: one call runs spans of layers on a packed batch.
//
// One parallel region per call; inside, a layer is a sequence of phases. A phase works on tokens (norms, rotation,
// quantisation, adapter expansion), on blocks of outputs (products), or on (token, key/value head) pairs (attention).
// Few tokens are computed by all threads together, which wait for each other after each phase. Many are divided into
// lots (`lots.h`), each computed by one thread at a time, which waits for nobody. No result depends on how many threads
// there are, on lots, or on who computed what.
#pragma once

#include <omp.h>

#include <algorithm>
#include <vector>

#include "attention.h"
#include "elementwise.h"
#include "gate.h"
#include "lora.h"
#include "lots.h"
#include "matmul.h"
#include "team.h"

namespace adaptrix {

class Stack {
  public:
    explicit Stack(const Model& model) : model_(model), layers_(model.layers, model.layers + model.num_layers) {}

    void run(const Step& step) {
        reserve(step);
        lots_.divide(step.tokens, step.threads, step.rows, step.first_layer);
        for (Lot& lot : lots_.all()) find_tiles(step, lot);
        const bool together = lots_.all().size() == 1;
#pragma omp parallel num_threads(step.threads)
        {
            const int thread = omp_get_thread_num(), threads = omp_get_num_threads();
            float* scratch = scratch_[thread].data();
            if (together) {
                for (int l = step.first_layer; l < step.last_layer; ++l)
                    run_layer(step, l, {lots_.all().front(), thread, threads, scratch});
            } else {
                while (Lot* lot = lots_.take(step.last_layer)) {
                    run_layer(step, lot->next, {*lot, 0, 1, scratch});
                    lots_.put_back(*lot);
                }
            }
        }
    }

  private:
    // One of the threads that compute a lot.
    struct Member {
        Lot& lot;
        int index, count;
        float* scratch;

        Range share(int64_t items) const { return {int(items * index / count), int(items * (index + 1) / count)}; }
        Range tokens() const {
            const Range own = share(lot.tokens.last - lot.tokens.first);
            return {lot.tokens.first + own.first, lot.tokens.first + own.last};
        }
    };

    int qkv_width() const { return (model_.heads + 2 * model_.kv_heads) * model_.head_dim; }
    int out_width() const { return model_.heads * model_.head_dim; }
    int widest() const { return std::max({model_.hidden, out_width(), model_.inner}); }

    void reserve(const Step& step) {
        const int64_t t = step.tokens;
        normed_.resize(t * model_.hidden);
        qkv_.resize(t * qkv_width());
        attended_.resize(t * out_width());
        mixed_.resize(t * model_.hidden);
        gate_up_.resize(t * 2 * model_.inner);
        active_.resize(t * model_.inner);
        q8_.resize(t * widest());
        q16_.resize(t * widest());
        scales_.resize(t * widest() / kGroup);
        sums_.resize(t * widest() / kGroup);
        scratch_.resize(step.threads);
        for (auto& s : scratch_) s.resize(kTileTokens * 3 * (step.longest + 16));
    }

    // A lot's own part of the buffers, for rows of k values: lots are in different phases at the same time.
    Activations activations(const Lot& lot, int k) {
        const int64_t at = int64_t(lot.tokens.first) * widest(), group = at / kGroup;
        return {q8_.data() + at, q16_.data() + at, scales_.data() + group, sums_.data() + group, k};
    }

    void product(const Matrix& m, const Member& me, const float* bias, float* out) {
        const Range tokens = me.lot.tokens;
        const int blocks = m.n / kOutputs, portion = portion_of(blocks, me.count);
        const Activations a = activations(me.lot, m.k);
        for (int first, last; me.lot.team.claim(blocks, portion, &first, &last);)
            multiply(m, a, tokens.last - tokens.first, first, last, out + int64_t(tokens.first) * m.n, m.n, bias);
    }

    // Weights by the layer's gates, and inner values of its terms, at points [first, last).
    void shrink_points(const Step& step, int l, int first, int last, const float* x, const Member& me) {
        for (int i = step.gate_starts[l]; i < step.gate_starts[l + 1]; ++i) {
            const Gate& g = step.gates[i];
            if (g.point < first || g.point >= last) continue;
            const Range entries = entries_of(g, me.lot.tokens), own = me.share(entries.last - entries.first);
            for (int e = entries.first + own.first; e < entries.first + own.last; ++e)
                weigh(g, e, x + int64_t(g.tokens[e]) * g.d_in);
        }
        for (int i = step.term_starts[l]; i < step.term_starts[l + 1]; ++i) {
            const Term& t = step.terms[i];
            if (t.point < first || t.point >= last) continue;
            const Range entries = entries_of(t, me.lot.tokens);
            const Range items = me.share(int64_t(t.rank) * (entries.last - entries.first));
            shrink(t, x, t.d_in, entries.first, entries.last - entries.first, items.first, items.last);
        }
    }

    template <typename Tokens>  // a term or a gate
    static Range entries_of(const Tokens& t, Range tokens) {
        const int32_t* end = t.tokens + t.count;
        const int32_t* first = std::lower_bound(t.tokens, end, tokens.first);
        return {int(first - t.tokens), int(std::lower_bound(first, end, tokens.last) - t.tokens)};
    }

    // Updates of the tokens of one thread at one point; y is the output of the point's matrix, offset to the point.
    void expand_point(const Step& step, int l, int point, Range tokens, float* y, int64_t stride) {
        for (int i = step.term_starts[l]; i < step.term_starts[l + 1]; ++i) {
            const Term& t = step.terms[i];
            if (t.point != point) continue;
            const Range entries = entries_of(t, tokens);
            for (int e = entries.first; e < entries.last; ++e) expand(t, e, y + t.tokens[e] * stride);
        }
    }

    void run_layer(const Step& step, int l, const Member& me) {
        const Layer& layer = layers_[l];
        const Range mine = me.tokens();
        Team& team = me.lot.team;
        normalise(step, layer.input_norm, layer.qkv, me.lot, mine);
        team.wait();
        shrink_points(step, l, 0, 3, normed_.data(), me);
        product(layer.qkv, me, layer.qkv_bias, qkv_.data());
        team.wait();
        place_heads(step, l, mine);
        team.wait();
        attend_tokens(step, l, me);
        team.wait();
        shrink_points(step, l, 3, 4, attended_.data(), me);
        product(layer.o, me, nullptr, mixed_.data());
        team.wait();
        expand_point(step, l, 3, mine, mixed_.data(), model_.hidden);
        add_mixed(step, mine);
        normalise(step, layer.post_norm, layer.gate_up, me.lot, mine);
        team.wait();
        shrink_points(step, l, 4, 6, normed_.data(), me);
        product(layer.gate_up, me, nullptr, gate_up_.data());
        team.wait();
        activate(step, l, me.lot, mine);
        team.wait();
        shrink_points(step, l, 6, 7, active_.data(), me);
        product(layer.down, me, nullptr, mixed_.data());
        team.wait();
        expand_point(step, l, 6, mine, mixed_.data(), model_.hidden);
        add_mixed(step, mine);
        keep_states(step, l, mine);
    }

    void keep_states(const Step& step, int l, Range tokens) {
        const Places& places = places_of(step, l);
        if (l + 1 < places.end || !places.states) return;
        const int n = model_.hidden;
        for (int t = tokens.first; t < tokens.last; ++t)
            std::copy_n(step.hidden + int64_t(t) * n, n,
                        places.states + row_of(step, l, t).slot(step.positions[t]) * n);
    }

    void normalise(const Step& step, const float* weight, const Matrix& next, const Lot& lot, Range tokens) {
        const int n = model_.hidden;
        for (int t = tokens.first; t < tokens.last; ++t) {
            float* out = normed_.data() + int64_t(t) * n;
            rms_norm(step.hidden + int64_t(t) * n, weight, model_.eps, n, out);
            quantise(activations(lot, n), t - lot.tokens.first, out, next.layout, 0, n / kGroup);
        }
    }

    // Adapters of q, k and v, norms and rotation of the heads, and the new keys and values into their slots.
    void place_heads(const Step& step, int l, Range tokens) {
        const Layer& layer = layers_[l];
        const int d = model_.head_dim, width = qkv_width(), kv = model_.kv_heads * d;
        expand_point(step, l, 0, tokens, qkv_.data(), width);
        expand_point(step, l, 1, tokens, qkv_.data() + out_width(), width);
        expand_point(step, l, 2, tokens, qkv_.data() + out_width() + kv, width);
        for (int t = tokens.first; t < tokens.last; ++t) {
            float* q = qkv_.data() + int64_t(t) * width;
            float* k = q + out_width();
            const int64_t at = step.positions[t];
            for (int h = 0; h < model_.heads + model_.kv_heads; ++h) {
                const float* norm = h < model_.heads ? layer.q_norm : layer.k_norm;
                if (norm) rms_norm(q + h * d, norm, model_.eps, d, q + h * d);
                rotate(q + h * d, step.cosine + at * d, step.sine + at * d, d);
            }
            const int64_t slot = row_of(step, l, t).slot(step.positions[t]);
            store_half(layer.keys + slot * kv, k, kv);
            store_half(layer.values + slot * kv, k + kv, kv);
        }
    }

    static const Places& places_of(const Step& step, int l) {
        const Places* places = step.places;
        while (l >= places->end) ++places;
        return *places;
    }

    PagedRow row_of(const Step& step, int l, int token) const {
        const Places& places = places_of(step, l);
        return {places.tables + step.rows[token] * places.stride, model_.block_size};
    }

    // Tiles of consecutive tokens of one row, which attend together: long ones, but enough of them for all threads.
    void find_tiles(const Step& step, Lot& lot) const {
        const int length = std::clamp(step.tokens * model_.kv_heads / (kPortions * step.threads), 1, kTileTokens);
        for (int t = lot.tokens.first; t < lot.tokens.last; ++t) {
            const bool goes_on = t > lot.tokens.first && step.rows[t] == step.rows[t - 1] &&
                                 lot.tiles.back().last - lot.tiles.back().first < length;
            if (!goes_on) lot.tiles.push_back({t, t});
            lot.tiles.back().last = t + 1;
        }
    }

    void attend_tokens(const Step& step, int l, const Member& me) {
        const Layer& layer = layers_[l];
        const int d = model_.head_dim, group = model_.heads / model_.kv_heads, kv = model_.kv_heads;
        const int groups = group * d / kGroup;
        const Activations a = activations(me.lot, out_width());
        for (int item, next; me.lot.team.claim(int(me.lot.tiles.size()) * kv, 1, &item, &next);) {
            const Range tile = me.lot.tiles[item / kv];
            const int head = item % kv;
            Query queries[kTileTokens];
            for (int t = tile.first; t < tile.last; ++t) {
                const int last = step.positions[t] + 1;
                queries[t - tile.first] = {qkv_.data() + int64_t(t) * qkv_width() + head * group * d,
                                           attended_.data() + int64_t(t) * out_width() + head * group * d,
                                           layer.window ? std::max(0, last - int(layer.window)) : 0, last,
                                           told_of(step, l, t, head * group)};
            }
            attend_group(queries, tile.last - tile.first, layer.keys + head * d, layer.values + head * d,
                         row_of(step, l, tile.first), int64_t(kv) * d, group, d, model_.scale, me.scratch,
                         (step.longest + 15) / 8 * 8);
            for (int t = tile.first; t < tile.last; ++t)
                quantise(a, t - me.lot.tokens.first, attended_.data() + int64_t(t) * out_width(), layer.o.layout,
                         head * groups, (head + 1) * groups);
        }
    }

    // Where a token is told how heads from `head` on attend in layer l; null where nobody wants to know.
    float* told_of(const Step& step, int l, int token, int head) const {
        if (!step.attention_rows || l < step.first_told || l >= step.last_told) return nullptr;
        const int row = step.attention_rows[token];
        if (row < 0) return nullptr;
        return step.attention + ((int64_t(l - step.first_told) * step.rows_told + row) * model_.heads + head) * 2;
    }

    void add_mixed(const Step& step, Range tokens) {
        const int n = model_.hidden;
        add(step.hidden + int64_t(tokens.first) * n, mixed_.data() + int64_t(tokens.first) * n,
            (tokens.last - tokens.first) * n);
    }

    void activate(const Step& step, int l, const Lot& lot, Range tokens) {
        const int n = model_.inner;
        expand_point(step, l, 4, tokens, gate_up_.data(), 2 * n);
        expand_point(step, l, 5, tokens, gate_up_.data() + n, 2 * n);
        for (int t = tokens.first; t < tokens.last; ++t) {
            const float* gate = gate_up_.data() + int64_t(t) * 2 * n;
            float* out = active_.data() + int64_t(t) * n;
            gated_silu(gate, gate + n, n, out);
            quantise(activations(lot, n), t - lot.tokens.first, out, layers_[l].down.layout, 0, n / kGroup);
        }
    }

    Model model_;
    Lots lots_;
    std::vector<Layer> layers_;
    std::vector<float> normed_, qkv_, attended_, mixed_, gate_up_, active_, scales_, sums_;
    std::vector<int8_t> q8_;
    std::vector<int16_t> q16_;
    std::vector<std::vector<float>> scratch_;
};

}  // namespace adaptrix
