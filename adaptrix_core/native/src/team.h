// How threads that compute something together wait for each other and share work.
#pragma once

#include <immintrin.h>
#include <sched.h>

#include <atomic>

namespace adaptrix {

class Team {
  public:
    explicit Team(int threads) : threads_(threads) {}

    // Waits for all threads; what was claimed may be claimed again afterwards. A waiting thread spins for a while, as
    // phases take microseconds, and then lets others run: the one it waits for may need this very processor.
    void wait() {
        const unsigned phase = phase_.load(std::memory_order_relaxed);
        if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == threads_) {
            arrived_.store(0, std::memory_order_relaxed);
            cursor_.store(0, std::memory_order_relaxed);
            phase_.store(phase + 1, std::memory_order_release);
            return;
        }
        for (int spins = 0; phase_.load(std::memory_order_acquire) == phase; ++spins) {
            if (spins < kSpins)
                _mm_pause();
            else
                sched_yield();
        }
    }

    // Claims the next `size` of `total` items of this phase; false when none is left. A thread that is held up leaves
    // the rest to the others.
    bool claim(int total, int size, int* first, int* last) {
        *first = cursor_.fetch_add(size, std::memory_order_relaxed);
        *last = *first + size < total ? *first + size : total;
        return *first < total;
    }

  private:
    static constexpr int kSpins = 20000;
    const int threads_;
    alignas(64) std::atomic<int> arrived_{0};
    alignas(64) std::atomic<unsigned> phase_{0};
    alignas(64) std::atomic<int> cursor_{0};
};

}  // namespace adaptrix
