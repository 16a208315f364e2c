// What Redis says in a LookupSession's conversation, as bytes.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/digest.hpp"
#include "core/key_facts.hpp"
#include "core/redis/command.hpp"

namespace apikey::test {

inline const std::string kRunId(40, 'a');
inline const std::string kNilReply = "$-1\r\n";

inline std::string bulk(std::string_view text) {
    return "$" + std::to_string(text.size()) + "\r\n" + std::string(text) + "\r\n";
}

inline std::string command(std::initializer_list<std::string_view> words) {
    std::string bytes;
    redis::append_command(bytes, words);
    return bytes;
}

// The lookup of `digest` whose reply ends with `marks` marks.
inline std::string lookup_command(const Digest& digest, std::size_t marks, const std::string& prefix = "apikey:") {
    const std::string name = prefix + "k:" + to_hex_string(digest);
    std::vector<std::string_view> words{"HMGET", name};
    words.insert(words.end(), kFactFields.begin(), kFactFields.end());
    words.insert(words.end(), marks, kMarkField);
    std::string bytes;
    redis::append_command(bytes, words);
    return bytes;
}

inline std::string fields_reply(const std::vector<std::string>& fields, std::size_t marks) {
    std::string bytes = "*" + std::to_string(fields.size() + marks) + "\r\n";
    for (const std::string& field : fields)
        bytes += bulk(field);
    while (marks-- > 0)
        bytes += kNilReply;
    return bytes;
}

inline std::string found_reply(const Digest& digest, const std::string& user, std::size_t marks) {
    return fields_reply({to_hex_string(digest), "id", user, "name", "ia_", "*", ""}, marks);
}

inline std::string absent_reply(std::size_t marks) {
    std::string bytes = "*" + std::to_string(kFactFields.size() + marks) + "\r\n";
    for (std::size_t i = 0; i < kFactFields.size() + marks; ++i)
        bytes += kNilReply;
    return bytes;
}

inline std::string server_info(std::string_view run_id = kRunId) {
    return bulk("# Server\r\nredis_version:7.0.15\r\nrun_id:" + std::string(run_id) + "\r\ntcp_port:6379\r\n");
}

inline std::string role_info(std::string_view role = "master") {
    return bulk("# Replication\r\nrole:" + std::string(role) + "\r\nconnected_slaves:0\r\n");
}

inline std::string epoch_reply(std::string_view pass = "1", std::string_view run_id = kRunId) {
    return bulk(std::string(run_id) + " " + std::string(pass));
}

inline Digest digest_of(int number) {
    Digest digest{};
    digest[0] = static_cast<std::uint8_t>(number);
    digest[31] = static_cast<std::uint8_t>(number >> 8);
    return digest;
}

}  // namespace apikey::test
