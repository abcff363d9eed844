// SPDX-License-Identifier: Apache-2.0 OR MIT
// Asks a QNN backend the cases of measured.tsv and writes its answers in the same form: scenario,
// case, result, detail, separated by tabs. Into a file, as a backend may print.
//
//   conformance BACKEND.so SYSTEM.so ANSWERS.tsv [scenario]
//
// Every scenario runs in a process of its own, so that what one breaks is not seen by another;
// one that crashes has that as its last answer, one that hangs is ended.

#include <dlfcn.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "conformance.hpp"
#include "scenarios.hpp"

namespace {

constexpr int scenario_limit_ms = 60'000;

template <typename Function>
Function symbol(void* library, const char* name) {
  return reinterpret_cast<Function>(dlsym(library, name));
}

void* open_library(const char* path) {
  void* library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    std::fprintf(stderr, "%s\n", dlerror());
    std::exit(2);
  }
  return library;
}

Backend load(const char* backend_path, const char* system_path) {
  Backend backend;
  void* core = open_library(backend_path);
  void* system = open_library(system_path);
  backend.get_providers =
      symbol<decltype(&QnnInterface_getProviders)>(core, "QnnInterface_getProviders");
  backend.get_system_providers = symbol<decltype(&QnnSystemInterface_getProviders)>(
      system, "QnnSystemInterface_getProviders");
  const QnnInterface_t** providers = nullptr;
  const QnnSystemInterface_t** system_providers = nullptr;
  std::uint32_t count = 0;
  if (backend.get_providers == nullptr || backend.get_system_providers == nullptr ||
      backend.get_providers(&providers, &count) != QNN_SUCCESS || count == 0 ||
      backend.get_system_providers(&system_providers, &count) != QNN_SUCCESS || count == 0) {
    std::fprintf(stderr, "no QNN provider in %s or %s\n", backend_path, system_path);
    std::exit(2);
  }
  backend.provider = providers[0];
  backend.system_provider = system_providers[0];
  return backend;
}

/** Everything the child writes, until it is gone or its time is over. */
std::string read_answers(int descriptor, bool* hangs) {
  std::string answers;
  char buffer[4096];
  for (;;) {
    pollfd waiting = {descriptor, POLLIN, 0};
    if (poll(&waiting, 1, scenario_limit_ms) == 0) {
      *hangs = true;
      return answers;
    }
    const ssize_t count = read(descriptor, buffer, sizeof buffer);
    if (count <= 0) {
      return answers;
    }
    answers.append(buffer, static_cast<std::size_t>(count));
  }
}

const char* signal_name(int status) {
  switch (WTERMSIG(status)) {
    case SIGSEGV: return "crashed (SIGSEGV)";
    case SIGABRT: return "crashed (SIGABRT)";
    case SIGBUS: return "crashed (SIGBUS)";
    default: return "crashed";
  }
}

/** Writes whole lines; a case begun and not ended gets `last_words` as its result. */
void print(std::FILE* file, const std::string& scenario, const std::string& answers,
           const char* last_words) {
  std::size_t begin = 0;
  while (begin < answers.size()) {
    const std::size_t end = answers.find('\n', begin);
    const std::string line = answers.substr(begin, end - begin);
    if (end == std::string::npos) {
      std::fprintf(file, "%s\t%s%s\t\n", scenario.c_str(), line.c_str(), last_words);
      return;
    }
    std::fprintf(file, "%s\t%s\n", scenario.c_str(), line.c_str());
    begin = end + 1;
  }
  if (std::strcmp(last_words, "") != 0) {
    std::fprintf(file, "%s\t(end)\t%s\t\n", scenario.c_str(), last_words);
  }
}

void run(const Scenario& scenario, const char* backend_path, const char* system_path,
         std::FILE* file) {
  int ends[2];
  if (pipe(ends) != 0) {
    std::perror("pipe");
    std::exit(2);
  }
  std::fflush(file);
  const pid_t child = fork();
  if (child == 0) {
    close(ends[0]);
    Report report(ends[1]);
    const Backend backend = load(backend_path, system_path);
    scenario.run(report, backend, scenario.variant);
    std::exit(0);    // as a client ends, with static destructors
  }
  close(ends[1]);
  bool hangs = false;
  const std::string answers = read_answers(ends[0], &hangs);
  close(ends[0]);
  if (hangs) {
    kill(child, SIGKILL);
  }
  int status = 0;
  waitpid(child, &status, 0);
  const char* last_words = hangs                    ? "hangs"
                           : WIFSIGNALED(status)    ? signal_name(status)
                           : WEXITSTATUS(status) != 0 ? "ended early"
                                                      : "";
  print(file, scenario.name, answers, last_words);
}

}  // namespace

std::string text(const char* format, ...) {
  std::va_list arguments;
  va_start(arguments, format);
  char* made = nullptr;
  const int length = vasprintf(&made, format, arguments);
  va_end(arguments);
  std::string result(length < 0 ? "" : made);
  std::free(made);
  return result;
}

void Report::write(const std::string& bytes) {
  std::size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t count = ::write(descriptor_, bytes.data() + done, bytes.size() - done);
    if (count <= 0) {
      std::exit(2);
    }
    done += static_cast<std::size_t>(count);
  }
}

int main(int argc, char** argv) {
  std::FILE* file = argc < 4 ? nullptr : std::fopen(argv[3], "w");
  if (file == nullptr) {
    std::fprintf(stderr, "usage: %s BACKEND.so SYSTEM.so ANSWERS.tsv [scenario]\n", argv[0]);
    return 2;
  }
  for (const Scenario& scenario : all_scenarios()) {
    if (argc < 5 || scenario.name.compare(0, std::strlen(argv[4]), argv[4]) == 0) {
      run(scenario, argv[1], argv[2], file);
    }
  }
  return std::fclose(file) == 0 ? 0 : 2;
}
