#include "tests/core/stepped_process.hpp"

#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

namespace apikey::test {

SteppedProcess::SteppedProcess(const std::function<void()>& job) {
    const pid_t pid = fork();
    if (pid == 0) {
        if (ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) _exit(1);
        raise(SIGSTOP);
        job();
        raise(SIGSTOP);  // the end; _exit would have to be found by the dynamic linker, a thousand instructions
    }
    int status = 0;
    if (pid > 0 && waitpid(pid, &status, 0) == pid && WIFSTOPPED(status)) pid_ = pid;
}

SteppedProcess::~SteppedProcess() {
    if (pid_ <= 0) return;
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
}

bool SteppedProcess::step() {
    int status = 0;
    if (pid_ <= 0 || ptrace(PTRACE_SINGLESTEP, pid_, nullptr, nullptr) != 0) return false;
    if (waitpid(pid_, &status, 0) == pid_ && WIFSTOPPED(status)) return WSTOPSIG(status) == SIGTRAP;
    pid_ = -1;  // it ended otherwise
    return false;
}

}  // namespace apikey::test
