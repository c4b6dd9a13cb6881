// Helper threads for one working thread, which never waits for a helper that has not begun.
//
// A thread of a team (`team.h`) waits for all others after each phase, so one whose processor is busy elsewhere holds up
// all. A helper is waited for only once it has claimed items; where no processor is free for it, the caller computes
// everything itself. For short work on a busy machine.
#pragma once

#include <immintrin.h>
#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace adaptrix {

class Crew {
  public:
    using Work = std::function<void(int first, int last)>;

    explicit Crew(int helpers) {
        for (int i = 0; i < helpers; ++i) helpers_.emplace_back([this] { help(); });
    }

    ~Crew() {
        {
            std::lock_guard<std::mutex> lock(mutex_);
            ended_ = true;
        }
        called_.notify_all();
        for (std::thread& helper : helpers_) helper.join();
    }

    // Helpers poll for work while a Shift exists. One at a time.
    class Shift {
      public:
        explicit Shift(Crew& crew) : crew_(crew) {
            {
                std::lock_guard<std::mutex> lock(crew_.mutex_);
                crew_.busy_ = true;
            }
            crew_.called_.notify_all();
        }
        ~Shift() { crew_.busy_ = false; }

        // Computes items [0, total) in portions of `size`, each by one thread; returns when all are done.
        void each(int total, int size, const Work& work) {
            crew_.publish(total, size, work);
            while (crew_.compute_one()) {
            }
            for (int spins = 0; crew_.done_.load(std::memory_order_acquire) < total; ++spins) pause(spins);
        }

      private:
        Crew& crew_;
    };

  private:
    static constexpr int kSpins = 2000;
    static constexpr uint32_t kClosed = UINT32_MAX;  // in place of a next item: no items can be claimed

    static void pause(int spins) {
        if (spins < kSpins)
            _mm_pause();
        else
            sched_yield();
    }

    // Closes the phase while its description changes, so that no thread claims items by a half-changed one.
    void publish(int total, int size, const Work& work) {
        const uint64_t phase = (ticket_.load(std::memory_order_relaxed) >> 32) + 1;
        ticket_.store(phase << 32 | kClosed);
        total_.store(total, std::memory_order_release);
        size_.store(size, std::memory_order_release);
        work_.store(&work, std::memory_order_release);
        done_.store(0, std::memory_order_release);
        ticket_.store(phase << 32);
    }

    // Claims and computes some items of the phase; false where none is left.
    bool compute_one() {
        uint64_t ticket = ticket_.load();
        int first, last;
        const Work* work;
        do {
            first = int(uint32_t(ticket));
            const int total = total_.load(std::memory_order_acquire);
            last = std::min(total, first + size_.load(std::memory_order_acquire));
            work = work_.load(std::memory_order_acquire);
            if (uint32_t(ticket) == kClosed || first >= total) return false;
        } while (!ticket_.compare_exchange_weak(ticket, ticket >> 32 << 32 | uint32_t(last)));
        (*work)(first, last);
        done_.fetch_add(last - first, std::memory_order_release);
        return true;
    }

    void help() {
        while (true) {
            {
                std::lock_guard<std::mutex> lock(mutex_);
                // Not condition_variable::wait: compiled by GCC 12 or newer, it needs as new a C++ library.
                while (!ended_ && !busy_) pthread_cond_wait(called_.native_handle(), mutex_.native_handle());
                if (ended_) return;
            }
            for (int spins = 0; busy_; ++spins) {
                if (compute_one())
                    spins = 0;
                else
                    pause(spins);
            }
        }
    }

    std::mutex mutex_;
    std::condition_variable called_;
    bool ended_ = false;
    std::atomic<bool> busy_{false};
    alignas(64) std::atomic<uint64_t> ticket_{kClosed};  // phase, and its next item
    std::atomic<int> total_{0}, size_{1};
    std::atomic<const Work*> work_{nullptr};
    alignas(64) std::atomic<int> done_{0};
    std::vector<std::thread> helpers_;
};

}  // namespace adaptrix
