#include <openssl/crypto.h>

#include "core/key_facts.hpp"

namespace apikey {

bool answers_question(std::string_view hash_field, const Digest& asked) noexcept {
    const DigestHex expected = to_hex(asked);
    return hash_field.size() == expected.size() &&
           CRYPTO_memcmp(hash_field.data(), expected.data(), expected.size()) == 0;
}

bool is_in_place(std::size_t fields, std::size_t marks) noexcept {
    return fields == kFactFields.size() + marks;
}

}  // namespace apikey
