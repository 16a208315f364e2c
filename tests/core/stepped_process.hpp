// A child process that runs one instruction at a time (ptrace), so that a test sees shared memory after each store, as it
// would lie there if the process were killed at that point.
#pragma once

#include <functional>

#include <sys/types.h>

namespace apikey::test {

class SteppedProcess {
  public:
    // Forks; the child waits before `job`.
    explicit SteppedProcess(const std::function<void()>& job);
    // Kills what is left of it.
    ~SteppedProcess();
    SteppedProcess(const SteppedProcess&) = delete;
    SteppedProcess& operator=(const SteppedProcess&) = delete;

    // False where this machine does not let a process trace its own child.
    [[nodiscard]] bool is_traced() const noexcept { return pid_ > 0; }

    // Runs the next instruction; false when the job is done.
    bool step();

  private:
    pid_t pid_ = -1;
};

}  // namespace apikey::test
