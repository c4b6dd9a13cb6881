// The functions of `interface.h`. The file of an instruction set includes this one last.
#pragma once

#include <new>
#include <vector>

#include "elementwise.h"
#include "encoder.h"
#include "matmul.h"
#include "stack.h"
#include "team.h"

#ifdef __GLIBCXX__
namespace std {
// Called for a vector of impossible length. Compiled by GCC 11 or newer, it would need as new a C++ library.
void __throw_bad_array_new_length() { throw bad_alloc(); }
}  // namespace std
#endif

using namespace adaptrix;

extern "C" {

#define SIZE_OF(record) {#record, int64_t(sizeof(record))}

const RecordSize* adaptrix_record_sizes() {
    static const RecordSize sizes[] = {
        SIZE_OF(Matrix), SIZE_OF(Layer), SIZE_OF(Model),        SIZE_OF(Places),       SIZE_OF(Term),       SIZE_OF(Gate),
        SIZE_OF(Step),   SIZE_OF(Norm),  SIZE_OF(EncoderLayer), SIZE_OF(EncoderModel), SIZE_OF(RecordSize), {nullptr, 0}};
    return sizes;
}

#undef SIZE_OF

void* adaptrix_stack_new(const Model* model) { return new Stack(*model); }

void adaptrix_stack_free(void* stack) { delete static_cast<Stack*>(stack); }

void adaptrix_stack_run(void* stack, const Step* step) { static_cast<Stack*>(stack)->run(*step); }

void* adaptrix_encoder_new(const EncoderModel* model) { return new Encoder(*model); }

void adaptrix_encoder_free(void* encoder) { delete static_cast<Encoder*>(encoder); }

void adaptrix_encoder_run(void* encoder, float* states, const int32_t* bounds, int32_t texts) {
    static_cast<Encoder*>(encoder)->run(states, bounds, texts);
}

void adaptrix_linear(const Matrix* m, const float* norm, float eps, const float* x, int32_t rows, const float* bias,
                     float* out, int32_t threads) {
    std::vector<int8_t> q8(int64_t(rows) * m->k);
    std::vector<int16_t> q16(int64_t(rows) * m->k);
    std::vector<float> scales(int64_t(rows) * m->k / kGroup), sums(scales.size());
    const Activations a{q8.data(), q16.data(), scales.data(), sums.data(), m->k};
    std::vector<float> normed(norm ? m->k : 0);
    for (int r = 0; r < rows; ++r) {
        const float* row = x + int64_t(r) * m->k;
        if (norm) rms_norm(row, norm, eps, m->k, normed.data());
        quantise(a, r, norm ? normed.data() : row, m->layout, 0, m->k / kGroup);
    }
    const int blocks = m->n / kOutputs, portion = portion_of(blocks, threads);
    Team team(threads);
#pragma omp parallel num_threads(threads)
    for (int first, last; team.claim(blocks, portion, &first, &last);)
        multiply(*m, a, rows, first, last, out, m->n, bias);
}

void adaptrix_rows(const Matrix* m, const int64_t* ids, int64_t count, float* out) {
    const int groups = m->k / kGroup;
    for (int64_t i = 0; i < count; ++i) {
        const uint8_t* block = m->data + (ids[i] / kOutputs) * groups * int64_t(kInt8Bytes);
        const int lane = int(ids[i] % kOutputs);
        for (int g = 0; g < groups; ++g, block += kInt8Bytes) {
            const float scale = to_float(reinterpret_cast<const half*>(block + 256)[lane]);
            for (int j = 0; j < kGroup; ++j) {
                const int8_t q = static_cast<int8_t>(block[(j / 2) * 16 + lane * 2 + j % 2]);
                out[i * m->k + g * kGroup + j] = scale * q;
            }
        }
    }
}

}  // extern "C"
