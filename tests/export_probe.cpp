// What apikeyd's routes do with exports, without HTTP: for tests of what apikeyctl does not reach.
//
//     export_probe DSN USER usage|conversations|summary [QUERY]
//
// QUERY as in a URL. Prints the answer; exit status 3: there is no such conversation, 4: standard input was closed meanwhile, which
// counts as the client, 1: the message on stderr. A socket must be standard input for that.
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <iostream>

#include "sidecar/exports/export.hpp"
#include "sidecar/weather.hpp"

namespace apikey {
namespace {

class StandardOutput : public ByteSink {
  public:
    void write(std::string_view bytes) override {
        if (std::fwrite(bytes.data(), 1, bytes.size(), stdout) != bytes.size() || std::fflush(stdout) != 0)
            throw std::runtime_error("stdout is closed");
    }
};

template <class T>
T or_throw(Result<T> result) {
    if (!result.ok()) throw std::runtime_error(result.error());
    return std::move(*result);
}

bool is_socket(int fd) {
    struct stat what{};
    return fstat(fd, &what) == 0 && S_ISSOCK(what.st_mode);
}

int answer(Postgres& postgres, const std::string& user, const std::string& what, const QueryParameters& query) {
    StandardOutput out;
    if (what == "usage") {
        export_usage(postgres, user, or_throw(usage_export_query(query)), out);
    } else if (what == "conversations") {
        if (!export_conversations(postgres, user, or_throw(conversation_query(query)), out)) return 3;
    } else {
        out.write(or_throw(summarize_usage(postgres, user, or_throw(usage_summary_query(query)))));
    }
    return 0;
}

int run(const std::vector<std::string>& arguments) {
    if (arguments.size() < 4) throw std::runtime_error("export_probe DSN USER usage|conversations|summary [QUERY]");
    const QueryParameters query = or_throw(read_query(arguments.size() > 4 ? arguments[4] : ""));
    Postgres postgres(arguments[1], {});
    if (is_socket(STDIN_FILENO)) postgres.give_up_with(STDIN_FILENO);
    try {
        return answer(postgres, arguments[2], arguments[3], query);
    } catch (const PeerGone&) {
        return 4;
    }
}

}  // namespace
}  // namespace apikey

int main(int argc, char** argv) {
    try {
        return apikey::run({argv, argv + argc});
    } catch (const std::exception& error) {
        std::cerr << error.what() << "\n";
        return 1;
    }
}
