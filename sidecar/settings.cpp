#include "sidecar/settings.hpp"

#include <libpq-fe.h>
#include <yaml-cpp/eventhandler.h>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <memory>
#include <sstream>

#include "core/secret_file.hpp"
#include "core/tls_session.hpp"
#include "sidecar/duration.hpp"
#include "sidecar/settings_section.hpp"

namespace apikey {
namespace {

using std::chrono::seconds;

constexpr std::size_t kMaxKeyPrefix = 32;
constexpr int kPriceDecimals = 6;  // per million tokens, so 10⁻¹² per token

Error quoted(std::string_view text, const char* rest) {
    return Error{"\"" + std::string(text) + "\" " + rest};
}

Result<std::string> redis_prefix(const std::string& text) {
    if (text.empty() || text.size() > redis::kMaxPrefixBytes || !redis::has_prefix_bytes(text)) {
        return quoted(text, "is no prefix; use 1 to 64 printable ASCII characters without spaces");
    }
    return text;
}

Result<std::string> key_prefix(const std::string& text) {
    const bool usable = std::all_of(text.begin(), text.end(), [](char c) {
        return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
               std::string_view("-._~+/").find(c) != std::string_view::npos;
    });
    if (text.empty() || text.size() > kMaxKeyPrefix || !usable) {
        return quoted(text, "is no prefix for keys; use 1 to 32 of A-Z a-z 0-9 - . _ ~ + /");
    }
    return text;
}

Result<std::string> absolute_file(const std::string& text) {
    if (text.size() < 2 || text.front() != '/') {
        return quoted(text, "is no absolute path; write it from the root, /etc/apikeyd/...");
    }
    if (read_secret_file(text.c_str())) return text;
    if (errno != 0) return quoted(text, "cannot be read; check the path and who may read it");
    static_assert(kMaxSecretBytes == 512);
    return quoted(text, "has no secret of 1 to 512 bytes on its first line; put it there");
}

auto ca_file_for(const redis::Url& url) {
    return [&url](const std::string& text) -> Result<std::string> {
        if (!url.tls) return Error{"is given, but redis has no TLS; write rediss:// there, or leave this out"};
        if (text.size() < 2 || text.front() != '/') {
            return quoted(text, "is no absolute path; write it from the root, /etc/apikeyd/...");
        }
        const auto context = make_tls_context(text);
        if (!context) return Error{context.error()};
        return text;
    };
}

Result<std::string> listen_path(const std::string& text) {
    constexpr std::string_view kScheme = "unix:";
    if (!text.starts_with(kScheme)) {
        return quoted(text, "is no Unix socket; write unix:/run/apikeyd/apikeyd.sock");
    }
    std::string path = text.substr(kScheme.size());
    if (path.size() < 2 || path.front() != '/') {
        return quoted(text, "needs an absolute path; write unix:/run/apikeyd/apikeyd.sock");
    }
    if (path.size() > redis::kMaxUnixPath) return quoted(text, "is too long; a path has at most 107 bytes");
    return path;
}

Result<unsigned> file_mode(const std::string& text) {
    unsigned mode = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), mode, 8);
    if (error != std::errc{} || end != text.data() + text.size() || text.size() < 3 || text.size() > 4 || mode > 0777) {
        return quoted(text, "is no file mode; write three octal digits after a zero, \"0660\"");
    }
    return mode;
}

auto duration_between(seconds least, seconds most) {
    return [least, most](const std::string& text) -> Result<seconds> {
        auto duration = parse_duration(text);
        if (!duration) return duration;
        if (*duration < least || *duration > most) {
            return Error{"\"" + text + "\" is out of range; use " + format_duration(least) + " to " +
                         format_duration(most)};
        }
        return duration;
    };
}

Result<seconds> usage_bucket(const std::string& text) {
    auto bucket = duration_between(seconds(60), std::chrono::days(1))(text);
    if (bucket && *bucket % std::chrono::minutes(1) != seconds(0)) {
        return quoted(text, "is no whole number of minutes; use for example 60s, 15m, 1h, 1d");
    }
    return bucket;
}

auto number_between(std::uint64_t least, std::uint64_t most) {
    return [least, most](const std::string& text) -> Result<std::uint64_t> {
        std::uint64_t number = 0;
        const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
        if (error != std::errc{} || end != text.data() + text.size() || number < least || number > most) {
            return Error{"\"" + text + "\" is no whole number from " + std::to_string(least) + " to " +
                         std::to_string(most)};
        }
        return number;
    };
}

Result<std::uint64_t> import_bytes(const std::string& text) {
    auto size = parse_size(text);
    if (size && (*size < 1024 || *size > std::uint64_t{1} << 40)) {
        return quoted(text, "is out of range; use 1k to 1t");
    }
    return size;
}

// "2.5" per million tokens = 2,500,000 · 10⁻¹² per token.
Result<std::int64_t> price(const std::string& text) {
    const Error wrong = quoted(text, "is no price; write a number like 2.50 (per million tokens)");
    const auto point = std::min(text.find('.'), text.size());
    const std::string whole = text.substr(0, point);
    std::string decimals = point < text.size() ? text.substr(point + 1) : "0";
    if (whole.empty() || whole.size() > 9 || decimals.empty()) return wrong;
    if (decimals.size() > kPriceDecimals) return quoted(text, "has more than 6 decimals");
    decimals.resize(kPriceDecimals, '0');
    const std::string digits = whole + decimals;
    std::int64_t value = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    if (error != std::errc{} || end != digits.data() + digits.size() || value < 0) return wrong;
    return value;
}

Result<LogLevel> log_level(const std::string& text) {
    if (text == "debug") return LogLevel::debug;
    if (text == "info") return LogLevel::info;
    if (text == "warn") return LogLevel::warn;
    if (text == "error") return LogLevel::error;
    return quoted(text, "is no log level; use debug, info, warn or error");
}

Result<LogFormat> log_format(const std::string& text) {
    if (text == "text") return LogFormat::text;
    if (text == "json") return LogFormat::json;
    return quoted(text, "is no log format; use text or json");
}

void read_usage(Section usage, Settings& settings) {
    usage.optional("bucket", settings.usage_bucket, usage_bucket);
    usage.optional("keep", settings.usage_keep, duration_between(std::chrono::days(1), std::chrono::days(36'500)));
    Section prices = usage.section("prices");
    for (auto& [model, section] : prices.all()) {
        Price of_model;
        section.required("input", "2.50", of_model.input, price);
        section.required("output", "10.00", of_model.output, price);
        section.finish();
        settings.usage_prices.emplace(model, of_model);
    }
    usage.finish();
}

void read_flush(Section flush, Settings& settings) {
    flush.optional("interval", settings.flush_interval, duration_between(seconds(1), std::chrono::minutes(1)));
    flush.optional("rows", settings.flush_rows, number_between(1, 1'000'000));
    flush.finish();
}

void read_transfers(Section exports, Section imports, Settings& settings) {
    exports.optional("parallel", settings.exports_parallel, number_between(1, 1'000));
    exports.optional("stall", settings.exports_stall, duration_between(seconds(1), std::chrono::hours(1)));
    exports.finish();
    imports.optional("max_bytes", settings.imports_max_bytes, import_bytes);
    imports.finish();
}

// Hears where the documents of a file begin.
class DocumentStarts : public YAML::EventHandler {
  public:
    void OnDocumentStart(const YAML::Mark& mark) override { marks.push_back(mark); }
    void OnDocumentEnd() override {}
    void OnNull(const YAML::Mark& /*mark*/, YAML::anchor_t /*anchor*/) override {}
    void OnAlias(const YAML::Mark& /*mark*/, YAML::anchor_t /*anchor*/) override {}
    void OnScalar(const YAML::Mark& /*mark*/, const std::string& /*tag*/, YAML::anchor_t /*anchor*/,
                  const std::string& /*value*/) override {}
    void OnSequenceStart(const YAML::Mark& /*mark*/, const std::string& /*tag*/, YAML::anchor_t /*anchor*/,
                         YAML::EmitterStyle::value /*style*/) override {}
    void OnSequenceEnd() override {}
    void OnMapStart(const YAML::Mark& /*mark*/, const std::string& /*tag*/, YAML::anchor_t /*anchor*/,
                    YAML::EmitterStyle::value /*style*/) override {}
    void OnMapEnd() override {}

    std::vector<YAML::Mark> marks;
};

// Looks no further than at two: where none can begin, as at a comma, yaml-cpp finds an empty one again and again, so that its
// LoadAll() never ends. Throws SettingsComplaint, YAML::Exception.
void require_one_document(const std::string& yaml, const std::string& file) {
    std::istringstream text(yaml);
    YAML::Parser parser(text);
    DocumentStarts starts;
    for (int documents = 0; documents < 2; ++documents)
        if (!parser.HandleNextDocument(starts)) return;
    const YAML::Mark& first = starts.marks.front();
    if (starts.marks.back().pos == first.pos) throw YAML::ParserException(first, "nothing can begin so");
    throw SettingsComplaint{file + ": holds more than one YAML document"};
}

Settings read(Section top) {
    Settings settings;
    top.required("postgres", "postgresql://apikeyd@127.0.0.1/app", settings.postgres, parse_postgres);
    top.required("redis", "redis://127.0.0.1:6379/0", settings.redis, redis::parse_url);
    top.required("listen", "unix:/run/apikeyd/apikeyd.sock", settings.listen, listen_path);
    top.optional("redis_password_file", settings.redis_password_file, absolute_file);
    top.optional("redis_ca_file", settings.redis_ca_file, ca_file_for(settings.redis));
    top.optional("redis_prefix", settings.redis_prefix, redis_prefix);
    top.optional("listen_mode", settings.listen_mode, file_mode);
    top.optional("secret_file", settings.secret_file, absolute_file);
    Section keys = top.section("keys");
    keys.optional("prefix", settings.key_prefix, key_prefix);
    keys.finish();
    read_usage(top.section("usage"), settings);
    read_flush(top.section("flush"), settings);
    read_transfers(top.section("exports"), top.section("imports"), settings);
    Section log = top.section("log");
    log.optional("level", settings.log_level, log_level);
    log.optional("format", settings.log_format, log_format);
    log.finish();
    top.finish();
    return settings;
}

}  // namespace

Result<std::string> parse_postgres(std::string_view text) {
    // libpq's own message can repeat a piece of the password, so it is not shown.
    const Error wrong{
        "is no libpq connection string; write postgresql://user@host/database or "
        "\"host=... dbname=... user=...\""};
    const std::string dsn(text);
    if (dsn.find('=') == std::string::npos && !dsn.starts_with("postgresql://") && !dsn.starts_with("postgres://")) {
        return wrong;
    }
    char* message = nullptr;
    const std::unique_ptr<PQconninfoOption, decltype(&PQconninfoFree)> options(PQconninfoParse(dsn.c_str(), &message),
                                                                               &PQconninfoFree);
    PQfreemem(message);
    if (!options) return wrong;
    for (const PQconninfoOption* option = options.get(); option->keyword != nullptr; ++option) {
        const std::string_view keyword = option->keyword;
        const std::string_view value = option->val == nullptr ? "" : option->val;
        if (keyword == "host" && value.find('@', 1) != std::string_view::npos) {
            return Error{"has an @ in the host; in a password write %40 for @"};
        }
    }
    return dsn;
}

Result<Settings> parse_settings(const std::string& yaml, const std::string& file) {
    try {
        require_one_document(yaml, file);
        const YAML::Node document = YAML::Load(yaml);
        if (document.IsNull()) return Error{file + ": is empty; postgres, redis and listen must be given"};
        return read(Section(file, file, "", document));
    } catch (const SettingsComplaint& complaint) {
        return Error{complaint.message};
    } catch (const YAML::Exception& error) {
        return Error{file + ":" + std::to_string(error.mark.line + 1) + ": is no valid YAML here: " + error.msg};
    }
}

Result<Settings> load_settings(const std::string& file) {
    std::ifstream in(file, std::ios::binary);
    if (!in) return Error{file + ": cannot be read; name another file with --config"};
    std::ostringstream text;
    text << in.rdbuf();
    if (in.bad() || text.fail()) return Error{file + ": cannot be read"};
    return parse_settings(text.str(), file);
}

std::string place_of_setting(const std::string& file, std::string_view name) {
    try {
        for (const auto& item : YAML::LoadFile(file)) {
            if (item.first.IsScalar() && item.first.Scalar() == name) {
                return file + ":" + std::to_string(item.first.Mark().line + 1);
            }
        }
    } catch (const YAML::Exception&) {
        return file;
    }
    return file;
}

}  // namespace apikey
