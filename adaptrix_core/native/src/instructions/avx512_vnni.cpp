// The kernels for processors with AVX-512 and its neural network instructions, which multiply and add at once. Vectors stay
// at 256 bits, as the packed layouts have 8 outputs side by side; there are twice as many registers.

#include "../matmul.h"

namespace adaptrix {

inline __m256i add_int4(__m256i sum, __m256i weights, __m256i activations) {
    return _mm256_dpbusd_epi32(sum, weights, activations);
}

inline __m256i total_int4(__m256i sum) { return sum; }

inline __m256i add_int8(__m256i sum, __m256i weights, __m256i activations) {
    return _mm256_dpwssd_epi32(sum, weights, activations);
}

}  // namespace adaptrix

#include "../functions.h"
