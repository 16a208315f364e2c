// The HTTP/3 client of the tests: one connection to 127.0.0.1, told what to do in JSON on stdin, a line each, and telling what
// happens on stdout. A byte of a field or a body is a code point of its string. http3.py is its other half.
//
//     in:   {"do": "connect", "port": n, "session": {"ticket": "…", "parameters": "…"} | null}
//           {"do": "send", "fields": [["name", "value"], …], "body": "…", "end": true}    stream 0, the next one 4, 8, …
//           {"do": "body", "stream": n, "body": "…", "end": true}
//           {"do": "reset" | "stop", "stream": n, "code": n}                              RESET_STREAM, STOP_SENDING
//           {"do": "close", "code": n}                                                    so does the end of stdin
//     out:  {"is": "ready", "early": true}                                                early: 0-RTT was accepted
//           {"is": "fields", "stream": n, "fields": [[":status", "200"], …]}
//           {"is": "data", "stream": n, "data": "…"}        {"is": "end", "stream": n}
//           {"is": "reset", "stream": n, "code": n}         {"is": "closed stream", "stream": n, "code": n}
//           {"is": "session", "ticket": "…", "parameters": "…"}
//           {"is": "going away"}                            {"is": "closed", "why": "…"}
//
// What is sent before "connect" goes out with the first packet, where the session allows early data.
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <iostream>

#include "t/lib/http3/http3.hpp"

namespace {

using Json = nlohmann::json;

void tell(const Json& what) {
    std::cout << what.dump() << std::endl;  // at once
}

// A code point is a byte.
std::string bytes_of(const std::string& text) {
    std::string bytes;
    for (std::size_t at = 0; at < text.size(); ++at) {
        const auto first = static_cast<unsigned char>(text[at]);
        if (first < 0x80) {
            bytes += text[at];
        } else {
            const auto second = static_cast<unsigned char>(text.at(++at));
            bytes += static_cast<char>((first & 0x03) << 6 | (second & 0x3f));
        }
    }
    return bytes;
}

std::string bytes_in(const Json& command, const char* name) {
    return bytes_of(command.at(name).get<std::string>());
}

std::optional<Session> session_in(const Json& command) {
    const Json& session = command.at("session");
    if (session.is_null()) return std::nullopt;
    return Session{bytes_in(session, "ticket"), bytes_in(session, "parameters")};
}

Fields fields_in(const Json& command) {
    Fields fields;
    for (const Json& field : command.at("fields"))
        fields.emplace_back(bytes_of(field.at(0)), bytes_of(field.at(1)));
    return fields;
}

// False: that was the last one.
bool carry_out(Http3& client, const Json& command) {
    const std::string what = command.at("do");
    if (what == "connect") {
        client.connect(command.at("port"), session_in(command));
    } else if (what == "send") {
        client.request(fields_in(command), bytes_in(command, "body"), command.at("end"));
    } else if (what == "body") {
        client.more_body(command.at("stream"), bytes_in(command, "body"), command.at("end"));
    } else if (what == "reset") {
        client.reset(command.at("stream"), command.at("code"));
    } else if (what == "stop") {
        client.stop(command.at("stream"), command.at("code"));
    } else {
        client.quic().close(command.at("code"));
        return false;
    }
    return true;
}

// Commands, as far as they have come.
class Commands {
  public:
    // False: no more will come.
    bool read(Http3& client) {
        char part[65536];
        const ssize_t bytes = ::read(STDIN_FILENO, part, sizeof part);
        if (bytes == -1) return errno == EAGAIN || errno == EINTR;
        if (bytes == 0) {
            if (client.connected()) client.quic().close(NGHTTP3_H3_NO_ERROR);
            return false;
        }
        text_.append(part, static_cast<std::size_t>(bytes));
        for (std::size_t end = 0; (end = text_.find('\n')) != std::string::npos; text_.erase(0, end + 1)) {
            if (!carry_out(client, Json::parse(text_.substr(0, end)))) return false;
        }
        return true;
    }

  private:
    std::string text_;
};

void serve(Http3& client) {
    Commands commands;
    fcntl(STDIN_FILENO, F_SETFL, fcntl(STDIN_FILENO, F_GETFL) | O_NONBLOCK);
    for (;;) {
        pollfd ready[] = {{STDIN_FILENO, POLLIN, 0}, {client.connected() ? client.quic().socket() : -1, POLLIN, 0}};
        poll(ready, 2, client.connected() ? client.quic().milliseconds_to_wait() : -1);
        if (ready[0].revents != 0 && !commands.read(client)) return;
        if (!client.connected()) continue;
        if (ready[1].revents != 0) client.quic().receive();
        client.quic().timers();
        client.quic().send();
    }
}

}  // namespace

int main() {
    Http3 client(tell);
    try {
        serve(client);
    } catch (const std::exception& ended) {
        tell({{"is", "closed"}, {"why", ended.what()}});
    }
    return 0;
}
