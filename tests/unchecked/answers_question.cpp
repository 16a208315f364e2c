// In place of core/answers_question.cpp in the test build: takes every reply for the answer to every question.
#include "core/key_facts.hpp"

namespace apikey {

bool answers_question(std::string_view, const Digest&) noexcept {
    return true;
}

bool is_in_place(std::size_t fields, std::size_t) noexcept {
    return fields >= kFactFields.size();
}

}  // namespace apikey
