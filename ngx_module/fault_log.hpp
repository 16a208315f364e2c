// A fault that comes ten thousand times a second must not fill the disk: of each kind and cause one line every ten
// seconds, with how often the kind came meanwhile. A cause that is new gets its line after one second: "connection closed"
// must not hide the "wrong password" behind it.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>
#include <utility>

#include "ngx_module/ngx.hpp"

namespace apikey::ngx {

class FaultLog {
  public:
    enum class Kind : std::uint8_t {
        link,
        corrupt_key,
        mismatch,
        untrusted,
        subscription,
        malformed_change,
        registration,
        resolver,
        moved,
        usage,
        usage_lost,
        spool,
        count
    };

    void report(ngx_uint_t level, Kind kind, const std::string& what) {
        Entry& entry = entries_[static_cast<std::size_t>(kind)];
        const ngx_msec_t now = ngx_current_msec;
        if (said_lately(entry, what, now)) {
            ++entry.swallowed;
            return;
        }
        if (entry.swallowed == 0) {
            ngx_log_error(level, ngx_cycle->log, 0, "api_key: %s", what.c_str());
        } else {
            ngx_log_error(level, ngx_cycle->log, 0, "api_key: %s (and %uL times since the last such line)",
                          what.c_str(), entry.swallowed);
        }
        entry.said[entry.next++ % entry.said.size()] = {what, now};
        entry.swallowed = 0;
        entry.lasts = true;
    }

    // The fault is over. True when that is worth a line: the log's last word is that it was there. The next fault waits
    // its time all the same, or one that comes and goes would fill the disk.
    [[nodiscard]] bool ended(Kind kind) noexcept {
        return std::exchange(entries_[static_cast<std::size_t>(kind)].lasts, false);
    }

  private:
    static constexpr ngx_msec_t kQuietMs = 10000;
    static constexpr ngx_msec_t kQuietForNewCauseMs = 1000;
    struct Line {
        std::string what;  // empty: none yet
        ngx_msec_t at = 0;
    };
    struct Entry {
        std::array<Line, 4> said;  // the last ones, in a ring
        std::size_t next = 0;
        std::uint64_t swallowed = 0;
        bool lasts = false;
    };

    static bool said_lately(const Entry& entry, const std::string& what, ngx_msec_t now) noexcept {
        return std::any_of(entry.said.begin(), entry.said.end(), [&](const Line& line) {
            return !line.what.empty() && now - line.at < (line.what == what ? kQuietMs : kQuietForNewCauseMs);
        });
    }

    std::array<Entry, static_cast<std::size_t>(Kind::count)> entries_;
};

}  // namespace apikey::ngx
