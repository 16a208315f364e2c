// A whole answer, and the ways in which a request ends without one.
#pragma once

#include <exception>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace apikey::http {

using Fields = std::vector<std::pair<std::string, std::string>>;

// The Content-Type of most of them.
inline constexpr const char* kJson = "application/json";

struct Answer {
    int status = 200;
    std::string type;  // its Content-Type
    std::string body;
    Fields fields;  // more of its header
};

// A problem document (core/problem.hpp) as an answer.
Answer problem(int status, std::string_view code, std::string_view title, std::string_view detail, Fields fields = {},
               std::string_view more = {});
// Of what clients write wrong about HTTP itself.
Answer bad_request(std::string_view detail);
// Try again later: it says nothing about the request.
Answer unavailable(std::string_view detail);
// A mistake of ours. Says nothing.
Answer internal_error();

// A request is answered so instead. Whoever is in the middle of it drops all, as with the weather.
class Refused : public std::exception {
  public:
    explicit Refused(Answer answer) : answer_(std::move(answer)) {}
    [[nodiscard]] const char* what() const noexcept override { return "refused"; }
    [[nodiscard]] const Answer& answer() const noexcept { return answer_; }

  private:
    Answer answer_;
};

// The client has gone: nobody is left to answer.
class ClientGone : public std::runtime_error {
    using std::runtime_error::runtime_error;
};

// The client takes too little of the answer.
class ClientStalled : public std::runtime_error {
    using std::runtime_error::runtime_error;
};

// It was a HEAD request, and its header is sent: nothing more is wanted.
class HeaderWasEnough : public std::exception {};

}  // namespace apikey::http
