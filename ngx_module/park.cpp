#include "ngx_module/park.hpp"

#include "ngx_module/ngx_compat.hpp"
#include "ngx_module/worker.hpp"

namespace apikey::ngx {

namespace {

using Outcome = redis::LookupSession::Outcome;

// The request ends (client gone, timeout of nginx): its question keeps its place among Redis' replies, without it.
void abandon(void* data) noexcept {
    auto& ctx = *static_cast<RequestCtx*>(data);
    if (ctx.flight != nullptr && this_worker() != nullptr) this_worker()->lookups.abandon(ctx);
    ctx.flight = nullptr;
}

bool add_cleanup(RequestCtx& ctx) noexcept {
    if (ctx.has_cleanup) return true;
    ngx_http_cleanup_t* cleanup = ngx_http_cleanup_add(ctx.request, 0);
    if (cleanup == nullptr) return false;
    cleanup->handler = abandon;
    cleanup->data = &ctx;
    ctx.has_cleanup = true;
    return true;
}

// As ngx_http_test_reading() does where the connection was closed.
void test_writing(ngx_http_request_t* r) noexcept {
    if (!wants_no_answer(r->connection)) return;
    r->connection->error = 1;
    ngx_http_finalize_request(r, NGX_HTTP_CLIENT_CLOSED_REQUEST);
}

}  // namespace

ngx_int_t park(RequestCtx& ctx) noexcept {
    ngx_http_request_t* r = ctx.request;
    if (!add_cleanup(ctx)) {
        abandon(&ctx);
        return NGX_ERROR;
    }
    ctx.state = RequestCtx::State::parked;
    ctx.parked_at = r->phase_handler;
    ctx.parked_in = &location_conf(r);
    ngx_event_t* read = r->connection->read;
    if (read->ready) {
        ngx_post_event(read, &ngx_posted_events);  // a FIN that is already here is seen, too
    } else if (ngx_handle_read_event(read, 0) != NGX_OK) {
        return NGX_ERROR;
    }
    r->read_event_handler = ngx_http_test_reading;
    r->write_event_handler = test_writing;
    if (wants_no_answer(r->connection)) {
        ngx_post_event(r->connection->write, &ngx_posted_events);  // its event may have been already
    }
    return NGX_AGAIN;
}

void resume(RequestCtx& ctx, const redis::LookupSession::Lookup& lookup) noexcept {
    ngx_http_request_t* r = ctx.request;
    ngx_connection_t* c = r->connection;
    ctx.state = RequestCtx::State::resolved;
    ctx.outcome = lookup.outcome;
    ctx.reached = lookup.reached;
    if (ctx.outcome == Outcome::found && !copy_facts(ctx, lookup.facts)) ctx.outcome = Outcome::unavailable;
    if (r->phase_handler != ctx.parked_at) {  // its client left, and nginx' post_action took it elsewhere
        ctx.parked_in = nullptr;
        return;
    }
    ngx_http_set_log_request(c->log, r);
    r->read_event_handler = ngx_http_block_reading;
    r->write_event_handler = ngx_http_core_run_phases;
    ngx_http_core_run_phases(r);
    ngx_http_run_posted_requests(c);
}

}  // namespace apikey::ngx
