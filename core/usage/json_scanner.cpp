#include "core/usage/json_scanner.hpp"

#include <algorithm>
#include <cstring>

#include "core/byte_run.hpp"

namespace apikey::usage {
namespace {

constexpr std::uint64_t kMostCount = INT64_MAX;
constexpr std::uint32_t kReplacement = 0xfffd;
constexpr std::array<std::string_view, 3> kWords = {"true", "false", "null"};

using EndsRun = ControlsAnd<'"', '\\'>;

constexpr bool is_white(char c) noexcept {
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}
constexpr bool is_digit(char c) noexcept {
    return c >= '0' && c <= '9';
}
constexpr bool is_surrogate(std::uint32_t unit) noexcept {
    return unit >= 0xd800 && unit < 0xe000;
}

// How many bytes of `text` make whole characters, when only its last one may be cut.
std::size_t whole_characters(std::string_view text) noexcept {
    std::size_t lead = text.size();
    while (lead > 0 && text.size() - lead < 4) {
        const auto byte = static_cast<unsigned char>(text[--lead]);
        if ((byte & 0xc0) == 0x80) continue;
        const std::size_t needs = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1;
        return text.size() - lead < needs ? lead : text.size();
    }
    return text.size();
}

}  // namespace

JsonScanner::Token JsonScanner::next(std::string_view* bytes) noexcept {
    if (place_ == Place::malformed) return Token::malformed;
    while (!bytes->empty()) {
        const Token token = step(bytes);
        if (token != Token::need_bytes) return token;
    }
    return Token::need_bytes;
}

JsonScanner::Token JsonScanner::step(std::string_view* bytes) noexcept {
    if (place_ == Place::in_string) return string(bytes);
    if (place_ == Place::in_number) return number(bytes);
    const char c = bytes->front();
    bytes->remove_prefix(1);
    switch (place_) {
        case Place::in_escape: return escape(c);
        case Place::in_code_point: return code_point_digit(c);
        case Place::in_word: return word(c);
        default: return is_white(c) ? Token::need_bytes : mark(c);
    }
}

// A byte between strings, numbers and words that is no white space.
JsonScanner::Token JsonScanner::mark(char c) noexcept {
    switch (place_) {
        case Place::start: return c == '{' ? open(true) : malformed();
        case Place::value_or_end:
            if (c == ']') return close(false);
            [[fallthrough]];
        case Place::value: return begin_value(c);
        case Place::name_or_end:
            if (c == '}') return close(true);
            [[fallthrough]];
        case Place::name:
            if (c != '"') return malformed();
            begin_string(true);
            return Token::need_bytes;
        case Place::colon:
            if (c != ':') return malformed();
            place_ = Place::value;
            return Token::need_bytes;
        case Place::comma_or_end:
            if (c != ',') return c == '}' || c == ']' ? close(c == '}') : malformed();
            place_ = (objects_ & 1) != 0 ? Place::name : Place::value;
            return Token::need_bytes;
        default: return malformed();
    }
}

JsonScanner::Token JsonScanner::begin_value(char c) noexcept {
    const auto begin_word = [this](Word word) {
        place_ = Place::in_word;
        word_ = word;
        word_bytes_ = 1;
        return Token::need_bytes;
    };
    switch (c) {
        case '{': return open(true);
        case '[': return open(false);
        case '"': begin_string(false); return Token::need_bytes;
        case 't': return begin_word(Word::yes);
        case 'f': return begin_word(Word::no);
        case 'n': return begin_word(Word::null);
        default: break;
    }
    if (c != '-' && !is_digit(c)) return malformed();
    place_ = Place::in_number;
    number_part_ = c == '-' ? NumberPart::minus : c == '0' ? NumberPart::zero : NumberPart::whole;
    is_count_ = c != '-';
    number_ = is_count_ ? static_cast<std::uint64_t>(c - '0') : 0;
    return Token::need_bytes;
}

JsonScanner::Token JsonScanner::open(bool object) noexcept {
    if (depth_ == kDeepest) return malformed();
    ++depth_;
    objects_ = objects_ << 1 | (object ? 1 : 0);
    place_ = object ? Place::name_or_end : Place::value_or_end;
    return object ? Token::object : Token::array;
}

JsonScanner::Token JsonScanner::close(bool object) noexcept {
    if (object != ((objects_ & 1) != 0)) return malformed();
    --depth_;
    objects_ >>= 1;
    value_ended();
    return object ? Token::object_end : Token::array_end;
}

JsonScanner::Token JsonScanner::malformed() noexcept {
    place_ = Place::malformed;
    return Token::malformed;
}

void JsonScanner::value_ended() noexcept {
    place_ = depth_ > 0 ? Place::comma_or_end : Place::behind;
}

// --- names and texts ---------------------------------------------------------------------------------------

void JsonScanner::begin_string(bool name) noexcept {
    place_ = Place::in_string;
    is_name_ = name;
    text_bytes_ = 0;
    text_is_cut_ = false;
    high_surrogate_ = 0;
}

JsonScanner::Token JsonScanner::string(std::string_view* bytes) noexcept {
    const std::size_t run = run_before<EndsRun>(*bytes);
    if (run > 0) append(bytes->substr(0, run));
    if (run == bytes->size()) {
        *bytes = {};
        return Token::need_bytes;
    }
    const char c = (*bytes)[run];
    bytes->remove_prefix(run + 1);
    if (c == '"') return end_of_string();
    if (c != '\\') return malformed();
    place_ = Place::in_escape;
    return Token::need_bytes;
}

JsonScanner::Token JsonScanner::end_of_string() noexcept {
    flush_high_surrogate();
    if (text_is_cut_) text_bytes_ = static_cast<std::uint8_t>(whole_characters(text()));
    if (is_name_) {
        place_ = Place::colon;
        return Token::name;
    }
    value_ended();
    return Token::text;
}

JsonScanner::Token JsonScanner::escape(char c) noexcept {
    constexpr std::string_view kLetters = "\"\\/bfnrt";
    constexpr std::string_view kMeanings = "\"\\/\b\f\n\r\t";
    if (c == 'u') {
        place_ = Place::in_code_point;
        code_unit_ = 0;
        code_unit_digits_ = 0;
        return Token::need_bytes;
    }
    const std::size_t letter = kLetters.find(c);
    if (letter == std::string_view::npos) return malformed();
    append(kMeanings.substr(letter, 1));
    place_ = Place::in_string;
    return Token::need_bytes;
}

JsonScanner::Token JsonScanner::code_point_digit(char c) noexcept {
    const char lower = static_cast<char>(c | 0x20);
    if (!is_digit(c) && (lower < 'a' || lower > 'f')) return malformed();
    const int digit = is_digit(c) ? c - '0' : lower - 'a' + 10;
    code_unit_ = static_cast<std::uint16_t>(code_unit_ << 4 | digit);
    if (++code_unit_digits_ == 4) {
        code_unit(code_unit_);
        place_ = Place::in_string;
    }
    return Token::need_bytes;
}

// One \uXXXX: a character, or half of one.
void JsonScanner::code_unit(std::uint32_t unit) noexcept {
    const bool low_half = unit >= 0xdc00 && unit < 0xe000;
    if (low_half && high_surrogate_ != 0) {
        const std::uint32_t high = high_surrogate_;
        high_surrogate_ = 0;
        return append_character(0x10000 + ((high - 0xd800) << 10) + (unit - 0xdc00));
    }
    flush_high_surrogate();
    if (is_surrogate(unit) && !low_half) {
        high_surrogate_ = static_cast<std::uint16_t>(unit);
    } else {
        append_character(low_half || unit == 0 ? kReplacement : unit);
    }
}

void JsonScanner::flush_high_surrogate() noexcept {
    if (high_surrogate_ == 0) return;
    high_surrogate_ = 0;
    append_character(kReplacement);
}

void JsonScanner::append(std::string_view piece) noexcept {
    flush_high_surrogate();
    if (text_is_cut_) return;
    const std::size_t fits = std::min(piece.size(), kMostTextBytes - text_bytes_);
    std::memcpy(text_.data() + text_bytes_, piece.data(), fits);
    text_bytes_ = static_cast<std::uint8_t>(text_bytes_ + fits);
    text_is_cut_ = fits < piece.size();
}

// As UTF-8.
void JsonScanner::append_character(std::uint32_t code_point) noexcept {
    std::array<char, 4> bytes{};
    const std::size_t size = code_point < 0x80 ? 1 : code_point < 0x800 ? 2 : code_point < 0x10000 ? 3 : 4;
    for (std::size_t i = size - 1; i > 0; --i, code_point >>= 6)
        bytes.at(i) = static_cast<char>(0x80 | (code_point & 0x3f));
    constexpr std::array<std::uint8_t, 5> kLeads = {0, 0, 0xc0, 0xe0, 0xf0};
    bytes[0] = static_cast<char>(kLeads.at(size) | code_point);
    append({bytes.data(), size});
}

// --- numbers and words -------------------------------------------------------------------------------------

JsonScanner::Token JsonScanner::number(std::string_view* bytes) noexcept {
    for (; !bytes->empty(); bytes->remove_prefix(1)) {
        const char c = bytes->front();
        if (!continue_number(c)) {
            if (!may_end(number_part_)) return malformed();
            value_ended();
            return Token::number;
        }
    }
    return Token::need_bytes;
}

// Whether `c` belongs to the number. It then is part of it.
bool JsonScanner::continue_number(char c) noexcept {
    const bool digit = is_digit(c);
    const bool e = c == 'e' || c == 'E';
    const auto go_on = [this](NumberPart part) {
        if (part != NumberPart::whole) is_count_ = false;
        number_part_ = part;
        return true;
    };
    switch (number_part_) {
        case NumberPart::minus: return digit && go_on(c == '0' ? NumberPart::zero : NumberPart::whole);
        case NumberPart::whole:
            if (digit) {
                is_count_ = is_count_ && number_ <= kMostCount / 10;
                if (is_count_) number_ = number_ * 10 + static_cast<std::uint64_t>(c - '0');
                return true;
            }
            [[fallthrough]];
        case NumberPart::zero: return (c == '.' && go_on(NumberPart::point)) || (e && go_on(NumberPart::e));
        case NumberPart::point: return digit && go_on(NumberPart::fraction);
        case NumberPart::fraction: return digit || (e && go_on(NumberPart::e));
        case NumberPart::e:
            if (c == '+' || c == '-') return go_on(NumberPart::e_sign);
            [[fallthrough]];
        case NumberPart::e_sign: return digit && go_on(NumberPart::exponent);
        case NumberPart::exponent: return digit;
    }
    return false;
}

bool JsonScanner::may_end(NumberPart part) noexcept {
    return part == NumberPart::zero || part == NumberPart::whole || part == NumberPart::fraction ||
           part == NumberPart::exponent;
}

std::optional<std::uint64_t> JsonScanner::count() const noexcept {
    return is_count_ && number_ <= kMostCount ? std::optional(number_) : std::nullopt;
}

JsonScanner::Token JsonScanner::word(char c) noexcept {
    const std::string_view whole = kWords.at(static_cast<std::size_t>(word_));
    if (c != whole[word_bytes_]) return malformed();
    if (++word_bytes_ < whole.size()) return Token::need_bytes;
    value_ended();
    return word_ == Word::null ? Token::null : Token::boolean;
}

}  // namespace apikey::usage
