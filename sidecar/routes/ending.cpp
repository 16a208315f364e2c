#include "sidecar/routes/ending.hpp"

#include <new>
#include <string_view>
#include <system_error>

#include "sidecar/weather.hpp"

namespace apikey {
namespace {

// The statement is wrong, or what is in it, or we may not: another try would not help.
bool is_mistake(const std::string& sqlstate) {
    const std::string_view of_class = std::string_view(sqlstate).substr(0, 2);
    return of_class == "22" || of_class == "23" || of_class == "42";
}

// Of a database that is not in UTF-8.
constexpr std::string_view kUntranslatableCharacter = "22P05";

Ending of_postgres(const PostgresError& error) {
    if (error.sqlstate() == kUntranslatableCharacter) {
        return {error.what(), http::problem(400, "invalid_parameter", "Parameter not valid",
                                            "There is a character in it that the database has no room for.")};
    }
    if (is_mistake(error.sqlstate())) return {error.what(), http::internal_error(), true};
    if (error.sqlstate() == "57014")
        return {error.what(), http::unavailable("It took too long; ask for less at once, or try again later.")};
    return {error.what(),
            http::unavailable("The database cannot be asked just now. Try again after the time in Retry-After.")};
}

}  // namespace

Ending ending_of(const std::exception_ptr& error) {
    try {
        std::rethrow_exception(error);
    } catch (const http::Refused& refused) {
        return {"refused with " + std::to_string(refused.answer().status), refused.answer()};
    } catch (const http::HeaderWasEnough&) {
        return {"only its header was wanted", {}};
    } catch (const http::ClientStalled&) {
        return {"stalled: the client takes too little", {}};
    } catch (const http::ClientGone&) {
        return {"the client has gone", {}};
    } catch (const PeerGone&) {
        return {"the client has gone", {}};
    } catch (const Stopped&) {
        return {"apikeyd is being stopped", http::unavailable("apikeyd is being stopped.")};
    } catch (const PostgresError& refused) {
        return of_postgres(refused);
    } catch (const SchemaMismatch& mismatch) {
        return {mismatch.what(), http::unavailable("The database is not prepared for this; its operator must do so.")};
    } catch (const std::bad_alloc&) {
        return {"no memory left", http::unavailable("There is no memory left just now."), true};
    } catch (const std::system_error& failed) {  // no room for a temporary file, no thread, no descriptor
        return {failed.what(), http::unavailable("There is no room for it just now."), true};
    } catch (const std::exception& other) {
        return {other.what(), http::internal_error(), true};
    } catch (...) {
        return {"for an unknown reason", http::internal_error(), true};
    }
}

}  // namespace apikey
