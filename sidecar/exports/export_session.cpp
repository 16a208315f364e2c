#include "sidecar/exports/export_session.hpp"

#include "sidecar/exports/copy_text.hpp"

namespace apikey {

std::string json_begin(UserSnapshot& snapshot) {
    std::string text = R"({"success":true,"exportDate":")";
    append_time(text, snapshot.time());
    return text + R"(","format":"json","data":[)";
}

std::string json_end(std::uint64_t rows) {
    return (rows == 0 ? "]" : "\n]") + std::string(R"(,"recordCount":)") + std::to_string(rows) + "}\n";
}

}  // namespace apikey
