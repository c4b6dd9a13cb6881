// A step's tokens in lots, each computed by one thread at a time, layer by layer.
//
// Threads that wait for each other after each phase are all held up when something else runs on the processor of one.
// Here it holds up a lot, and the other threads go on with the rest: there is one lot more than there are threads, and
// the lot furthest behind is taken first.
#pragma once

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <deque>
#include <vector>

#include "team.h"

namespace adaptrix {

struct Range {
    int first, last;
};

struct Lot {
    Lot(Range range, int threads, int layer, bool goes_on) : tokens(range), team(threads), next(layer), follows(goes_on) {}

    const Range tokens;
    std::vector<Range> tiles;  // of tokens that attend together
    Team team;
    std::atomic<int> next;  // the first layer that is not computed yet
    const bool follows;     // its first row began in the lot before, whose keys it needs
    std::atomic<bool> is_taken{false};
};

class Lots {
  public:
    // rows: (tokens,), equal numbers side by side. Few tokens are one lot, for all threads together.
    void divide(int tokens, int threads, const int32_t* rows, int first_layer) {
        int count = std::min(threads + 1, tokens / kFewest);
        if (threads == 1 || count < threads) count = 1;
        lots_.clear();
        for (int i = 0; i < count; ++i) {
            const Range range = {int(int64_t(tokens) * i / count), int(int64_t(tokens) * (i + 1) / count)};
            const bool follows = i > 0 && rows[range.first] == rows[range.first - 1];
            lots_.emplace_back(range, count == 1 ? threads : 1, first_layer, follows);
        }
    }

    std::deque<Lot>& all() { return lots_; }

    // The lot whose next layer the caller is to compute; null when all layers below `end` are computed.
    Lot* take(int end) {
        while (!is_done(end)) {
            Lot* behind = nullptr;
            size_t place = 0;
            for (size_t i = 0; i < lots_.size(); ++i)
                if (!lots_[i].is_taken && may_go_on(i, end) && (!behind || lots_[i].next < behind->next))
                    behind = &lots_[place = i];
            if (behind == nullptr) {
                sched_yield();
            } else if (!behind->is_taken.exchange(true)) {
                if (may_go_on(place, end)) return behind;
                behind->is_taken = false;  // another thread has computed that layer meanwhile
            }
        }
        return nullptr;
    }

    void put_back(Lot& lot) {
        ++lot.next;
        lot.is_taken = false;
    }

  private:
    static constexpr int kFewest = 4;  // tokens; in smaller lots, weights are unpacked for too few of them

    bool is_done(int end) const {
        return std::all_of(lots_.begin(), lots_.end(), [end](const Lot& lot) { return lot.next == end; });
    }

    bool may_go_on(size_t i, int end) const {
        const int next = lots_[i].next;
        return next < end && (!lots_[i].follows || lots_[i - 1].next > next);
    }

    std::deque<Lot> lots_;
};

}  // namespace adaptrix
