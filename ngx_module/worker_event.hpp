// A timer or posted event of nginx that calls a member function of what owns it, fenced: nothing that the function throws
// reaches nginx. It then calls Owner::on_exception() noexcept, because the state it leaves behind is unknown.
//
// Timers are cancelable, that is, a stopping worker does not wait for them, unless hold_worker(true).
#pragma once

#include "ngx_module/guard.hpp"
#include "ngx_module/ngx.hpp"

namespace apikey::ngx {

template <class Owner>
class WorkerEvent {
  public:
    using Handler = void (Owner::*)();

    // `name` (a literal) is for the log, in case the handler throws. Allocates nothing.
    WorkerEvent(Owner& owner, Handler handler, const char* name) noexcept
        : owner_(owner), handler_(handler), name_(name) {
        anchor_.data = this;
        anchor_.fd = static_cast<ngx_socket_t>(-1);
        anchor_.log = ngx_cycle->log;
        event_.data = &anchor_;
        event_.handler = run;
        event_.log = ngx_cycle->log;
        event_.cancelable = 1;
    }
    ~WorkerEvent() { cancel(); }
    WorkerEvent(const WorkerEvent&) = delete;
    WorkerEvent& operator=(const WorkerEvent&) = delete;

    // Fires `wait` ms from now (0: in the next turn of the event loop), and not when it was to fire before.
    void set(ngx_msec_t wait) noexcept {
        // nginx leaves a timer as it is when the new time is less than 300 ms off.
        if (event_.timer_set) ngx_del_timer(&event_);
        ngx_add_timer(&event_, wait);
    }
    // Fires `wait` ms from now, or earlier if it was to fire earlier: it then looks again.
    void set_at_most(ngx_msec_t wait) noexcept {
        if (event_.timer_set && static_cast<ngx_msec_int_t>(event_.timer.key - (ngx_current_msec + wait)) <= 0) return;
        set(wait);
    }
    [[nodiscard]] bool is_set() const noexcept { return event_.timer_set != 0; }

    // Fires at the end of this turn of the event loop; does nothing if it is posted already.
    void post() noexcept { ngx_post_event(&event_, &ngx_posted_events); }

    // It does not fire.
    void cancel() noexcept {
        if (event_.timer_set) ngx_del_timer(&event_);
        if (event_.posted) {
            ngx_delete_posted_event(&event_);  // a macro of two statements
        }
    }

    // Whether a stopping worker waits until it has fired.
    void hold_worker(bool hold) noexcept { event_.cancelable = hold ? 0 : 1; }

  private:
    static void run(ngx_event_t* event) noexcept {
        auto* self = static_cast<WorkerEvent*>(static_cast<ngx_connection_t*>(event->data)->data);
        const bool ok = guarded(ngx_cycle->log, self->name_, false, [self] {
            (self->owner_.*self->handler_)();
            return true;
        });
        if (!ok) self->owner_.on_exception();
    }

    Owner& owner_;
    const Handler handler_;
    const char* const name_;
    ngx_event_t event_{};
    ngx_connection_t anchor_{};  // nginx' debug log reads a connection's fd through an event's data
};

}  // namespace apikey::ngx
