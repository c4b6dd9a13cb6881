// The kernels for processors with AVX2, FMA and F16C.

#include "../matmul.h"

namespace adaptrix {

// Two 16-bit sums in each lane: 15 * 127 * 2 * 8 = 30480 fits, so a whole group is summed before it is widened.
inline __m256i add_int4(__m256i sum, __m256i weights, __m256i activations) {
    return _mm256_add_epi16(sum, _mm256_maddubs_epi16(weights, activations));
}

inline __m256i total_int4(__m256i sum) { return _mm256_madd_epi16(sum, _mm256_set1_epi16(1)); }

inline __m256i add_int8(__m256i sum, __m256i weights, __m256i activations) {
    return _mm256_add_epi32(sum, _mm256_madd_epi16(weights, activations));
}

}  // namespace adaptrix

#include "../functions.h"
