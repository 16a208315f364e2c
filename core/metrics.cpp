#include "core/metrics.hpp"

#include <algorithm>
#include <cstdio>
#include <initializer_list>
#include <utility>

namespace apikey {
namespace {

constexpr std::string_view kPrefix = "nginx_api_key_";
constexpr double kMicrosecondsPerSecond = 1e6;

// One sample: the labels within the braces, or none.
using Sample = std::pair<std::string_view, std::uint64_t>;

class Page {
  public:
    void counter(std::string_view name, std::string_view help, std::initializer_list<Sample> samples) {
        family(name, help, "counter", samples);
    }
    void counter(std::string_view name, std::string_view help, std::uint64_t value) {
        family(name, help, "counter", {{"", value}});
    }
    void gauge(std::string_view name, std::string_view help, std::initializer_list<Sample> samples) {
        family(name, help, "gauge", samples);
    }
    void gauge(std::string_view name, std::string_view help, std::uint64_t value) {
        family(name, help, "gauge", {{"", value}});
    }

    // Buckets that count all below them, as Prometheus wants them.
    void histogram(std::string_view name, std::string_view help, const DurationHistogram& durations) {
        head(name, help, "histogram");
        std::uint64_t count = 0;
        for (std::size_t i = 0; i < durations.buckets.size(); ++i) {
            count += durations.buckets[i];
            const bool last = i == DurationHistogram::kBoundsMicroseconds.size();
            const std::string bound = last ? "+Inf" : seconds(DurationHistogram::kBoundsMicroseconds[i]);
            line(std::string(name) + "_bucket", "le=\"" + bound + "\"", std::to_string(count));
        }
        line(std::string(name) + "_sum", "", seconds(durations.sum_microseconds));
        line(std::string(name) + "_count", "", std::to_string(count));
    }

    std::string take() { return std::move(text_); }

  private:
    static std::string seconds(std::uint64_t microseconds) {
        char text[40];
        const int length =
            std::snprintf(text, sizeof(text), "%.10g", static_cast<double>(microseconds) / kMicrosecondsPerSecond);
        return {text, static_cast<std::size_t>(length)};
    }

    void family(std::string_view name, std::string_view help, std::string_view type,
                std::initializer_list<Sample> samples) {
        head(name, help, type);
        for (const auto& [labels, value] : samples)
            line(name, labels, std::to_string(value));
    }

    void head(std::string_view name, std::string_view help, std::string_view type) {
        text_.append("# HELP ").append(kPrefix).append(name).append(" ").append(help).append("\n# TYPE ");
        text_.append(kPrefix).append(name).append(" ").append(type).append("\n");
    }

    void line(std::string_view name, std::string_view labels, std::string_view value) {
        text_.append(kPrefix).append(name);
        if (!labels.empty()) text_.append("{").append(labels).append("}");
        text_.append(" ").append(value).append("\n");
    }

    std::string text_;
};

void add_requests(Page& page, const Counters& c) {
    const auto of = [&](Verdict verdict) { return c.requests[static_cast<std::size_t>(verdict)]; };
    page.counter("requests_total", "Requests to protected locations, by verdict.",
                 {{"verdict=\"valid\"", of(Verdict::valid)},
                  {"verdict=\"missing\"", of(Verdict::missing)},
                  {"verdict=\"malformed\"", of(Verdict::malformed)},
                  {"verdict=\"invalid\"", of(Verdict::invalid)},
                  {"verdict=\"expired\"", of(Verdict::expired)},
                  {"verdict=\"forbidden\"", of(Verdict::forbidden)},
                  {"verdict=\"unavailable\"", of(Verdict::unavailable)}});
    page.gauge("parked_requests", "Requests that wait for Redis now.", c.gauges.parked);
}

void add_cache(Page& page, const Counters& c, const ZoneFill& zone) {
    const auto of = [&](CacheUse use) { return c.cache_requests[static_cast<std::size_t>(use)]; };
    page.counter("cache_requests_total", "Requests with a well-formed key, by where the verdict came from.",
                 {{"result=\"hit\"", of(CacheUse::hit)},
                  {"result=\"miss\"", of(CacheUse::miss)},
                  {"result=\"negative\"", of(CacheUse::negative)},
                  {"result=\"stale\"", of(CacheUse::stale)}});
    page.counter("cache_too_long_total", "Answers not cached because the key's user, scopes or name are too long.",
                 c.cache_too_long);
    page.counter("cache_evictions_total", "Entries that were still good and gave way to others.",
                 {{"area=\"known\"", zone.cache.evictions}, {"area=\"unknown\"", zone.cache.unknown_evictions}});
    page.gauge("cache_entries", "Keys in the key cache.",
               {{"area=\"known\"", zone.cache.known}, {"area=\"unknown\"", zone.cache.unknown}});
    page.gauge("cache_places_used", "Places of the key cache that are taken; a key with long texts takes several.",
               {{"area=\"known\"", zone.cache.known_ways}, {"area=\"unknown\"", zone.cache.unknown}});
    page.gauge("cache_places", "Places of the key cache.",
               {{"area=\"known\"", zone.cache.known_capacity}, {"area=\"unknown\"", zone.cache.unknown_capacity}});
    page.gauge("zone_bytes", "Size of the zone.", zone.bytes);
    page.gauge("zone_free_bytes", "Bytes of the zone that nothing has been made of.", zone.free_bytes);
}

void add_redis(Page& page, const Counters& c) {
    page.counter("lookups_total", "Questions to Redis, by outcome.",
                 {{"outcome=\"found\"", c.lookups_found},
                  {"outcome=\"unknown\"", c.lookups_unknown},
                  {"outcome=\"unavailable\"", c.lookups_unavailable}});
    page.counter("lookups_joined_total", "Requests that shared the question of another one.", c.lookups_joined);
    page.histogram("lookup_duration_seconds", "From the question to Redis to its outcome.", c.lookup_time);
    page.counter("pairing_mismatches_total", "Replies of Redis that belonged to another question.",
                 c.pairing_mismatches);
    page.counter("corrupt_records_total", "Keys in Redis that are not as apikeyd writes them.", c.corrupt_keys);
    page.counter("untrusted_batches_total", "Answers of Redis thrown away because it had not proved itself.",
                 c.untrusted_batches);
    page.counter("link_failures_total", "Failures of the workers' connections for lookups.", c.link_failures);
    page.gauge("links_up", "Workers whose connection for lookups is up.", c.gauges.link_up);
}

void add_changes(Page& page, const Counters& c) {
    page.counter("subscription_failures_total", "Failures of the workers' subscriptions to changes.",
                 c.subscription_failures);
    page.gauge("subscriptions_up", "Workers whose subscription to changes is up.", c.gauges.subscription_up);
    page.gauge("watching_workers", "Workers that may use the key cache without asking Redis.", c.gauges.watching);
    page.gauge("workers", "Workers that serve requests.", c.gauges.workers);
    page.counter("changes_total", "Messages about changed keys.",
                 {{"kind=\"key\"", c.changes}, {"kind=\"all\"", c.changes_of_all}});
    page.counter("cache_flushes_total",
                 "Times when all that was cached was given up, because any key may have changed.", c.cache_flushes);
    page.counter("changes_malformed_total", "Messages about changed keys that were none.", c.changes_malformed);
    page.counter("confirmations_total", "Changes confirmed to apikeyd, by whether Redis took the confirmation.",
                 {{"result=\"taken\"", c.confirmations}, {"result=\"refused\"", c.confirmations_refused}});
    page.histogram("confirmation_duration_seconds",
                   "From the message about a change to Redis' taking the confirmation.", c.confirmation_time);
}

void add_usage(Page& page, const Counters& c) {
    page.counter("usage_requests_total", "Requests of verified keys that were recorded.", c.usage_requests);
    page.counter("usage_lost_total", "Requests that could not be recorded: no room, or texts too long.", c.usage_lost);
    page.counter("usage_other_labels_total", "Requests recorded as (other), because there were too many labels.",
                 c.usage_other_labels);
    page.counter("usage_bad_values_total", "Token counts and costs that were no numbers.", c.usage_bad_values);
    page.counter("usage_saturated_total", "Additions that reached the greatest number there is.", c.usage_saturated);
    const auto of = [&](ResponseSeen seen) { return c.responses[static_cast<std::size_t>(seen)]; };
    page.counter("usage_responses_total", "Responses that were looked at for their usage, by what was found.",
                 {{"result=\"found\"", of(ResponseSeen::found)},
                  {"result=\"absent\"", of(ResponseSeen::absent)},
                  {"result=\"malformed\"", of(ResponseSeen::malformed)},
                  {"result=\"encoded\"", of(ResponseSeen::encoded)},
                  {"result=\"other_type\"", of(ResponseSeen::other_type)}});
}

void add_shipping(Page& page, const Counters& c) {
    page.counter("usage_batches_total", "Batches of usage, by what happened to them.",
                 {{"event=\"sealed\"", c.usage_batches_sealed},
                  {"event=\"taken\"", c.usage_batches_taken},
                  {"event=\"refused\"", c.usage_batches_refused},
                  {"event=\"repeated\"", c.usage_batches_repeated},
                  {"event=\"spooled\"", c.usage_batches_spooled},
                  {"event=\"replayed\"", c.usage_batches_replayed},
                  {"event=\"hurried\"", c.usage_batches_hurried}});
    page.counter("usage_spool_failures_total", "Batches that could not be written to the spool, or read from it.",
                 c.usage_spool_failures);
    page.counter("usage_slots_adopted_total", "Slots taken over from workers that died.", c.usage_slots_adopted);
    page.gauge("usage_slots", "Slots in which usage is counted, by where they are.",
               {{"memory=\"zone\"", c.gauges.usage_slots - c.gauges.private_slots},
                {"memory=\"private\"", c.gauges.private_slots}});
    page.gauge("usage_batches_pending", "Batches that are not yet safe in Redis.", c.gauges.usage_batches);
    page.gauge("usage_spool_files", "Spooled batches that are being sent.", c.gauges.spool_files);
}

void add_stream(Page& page, const ZoneFill& zone) {
    if (zone.stream.seen == 0) return;
    const std::int64_t since = zone.stream.waits_since;
    page.gauge("usage_stream_entries", "Batches in Redis that apikeyd has not applied.", zone.stream.entries);
    page.gauge("usage_dead_entries", "Batches that Postgres refused for their content.", zone.stream.dead);
    page.gauge("usage_stream_oldest_seconds", "How long the oldest of those batches has been waiting, at least.",
               since == 0 ? 0 : static_cast<std::uint64_t>(std::max<std::int64_t>(zone.now - since, 0)) / 1000);
}

}  // namespace

std::string metrics_text(const Counters& counters, const ZoneFill& zone) {
    Page page;
    add_requests(page, counters);
    add_cache(page, counters, zone);
    add_redis(page, counters);
    add_changes(page, counters);
    add_usage(page, counters);
    add_shipping(page, counters);
    add_stream(page, zone);
    return page.take();
}

}  // namespace apikey
