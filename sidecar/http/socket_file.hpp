// The file of a Unix socket: what stands where one is to be made, and who may put something else there.
#pragma once

#include <string>

namespace apikey::http {

// 0 when somebody listens at `path`, else the errno of connect(2): ECONNREFUSED when its process is gone. Waits for nothing.
int connect_error(const std::string& path);

// The nearest folder on the way to `path` in which anybody may put something else in its place: everybody may write into it, and
// it has no sticky bit. Empty: none.
std::string open_folder_on(const std::string& path);

// "0660".
std::string octal(unsigned mode);

}  // namespace apikey::http
