#include "sidecar/keys/confirmation.hpp"

#include <string>

#include "sidecar/event_fd.hpp"
#include "sidecar/weather.hpp"

namespace apikey {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

}  // namespace

DoneListener::DoneListener(Postgres& postgres) : postgres_(postgres) {
    postgres_.execute(std::string("LISTEN ") + kDoneChannel);
}

// A connection that breaks here takes nothing back: the change is committed, and nobody has confirmed it.
Confirmation DoneListener::wait(Receipt receipt, milliseconds most) {
    const auto committed = Clock::now();
    Confirmation confirmation;
    try {
        confirmation.done = answer_to(receipt, most);
    } catch (const PostgresError&) {
        confirmation.done.reset();  // g++ 12 has let answer_to() begin to write there
    }
    confirmation.milliseconds = std::chrono::duration_cast<milliseconds>(Clock::now() - committed).count();
    return confirmation;
}

std::optional<Done> DoneListener::answer_to(Receipt receipt, milliseconds most) {
    const auto end = Clock::now() + most;
    for (;;) {
        for (const PgNotification& notification : postgres_.take_notifications()) {
            const auto done = parse_done(notification.payload);
            if (done && done->receipt == receipt) return done;
        }
        const auto left = std::chrono::ceil<milliseconds>(end - Clock::now());
        if (left.count() <= 0 || !wait_readable({postgres_.socket()}, left)) return std::nullopt;
    }
}

void DoneListener::end() {
    postgres_.execute(std::string("UNLISTEN ") + kDoneChannel);
    postgres_.take_notifications();
}

}  // namespace apikey
