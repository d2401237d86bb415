// The hook, start to finish, beside /bin/true in the same run: process start, hand-over to a listening socket, exit.
//
//   hook_bench PATH_OF_SLIPWAY_HOOK [RUNS]
//
// Runs the two in turn and prints one JSON object with medians in microseconds and the ratio. The hook is called as slurmctld calls it: an
// environment of SLURM_CONF and SLURM_RESUME_FILE alone, standard descriptors closed.
#include <fcntl.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

namespace {

double run(const char* program, char* const argv[], char* const environment[]) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  for (int fd = 0; fd < 3; ++fd) posix_spawn_file_actions_addclose(&actions, fd);
  const auto start = std::chrono::steady_clock::now();
  pid_t pid = 0;
  if (posix_spawn(&pid, program, &actions, nullptr, argv, environment) != 0) {
    std::perror(program);
    std::exit(1);
  }
  int status = 0;
  waitpid(pid, &status, 0);
  const std::chrono::duration<double, std::micro> took = std::chrono::steady_clock::now() - start;
  posix_spawn_file_actions_destroy(&actions);
  if (status != 0) {
    std::fprintf(stderr, "%s ended with status %d\n", program, status);
    std::exit(1);
  }
  return took.count();
}

double median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + static_cast<long>(values.size() / 2), values.end());
  return values[values.size() / 2];
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: hook_bench PATH_OF_SLIPWAY_HOOK [RUNS]\n");
    return 2;
  }
  const int runs = argc > 2 ? std::atoi(argv[2]) : 500;
  char folder[] = "/tmp/hook-bench-XXXXXX";
  if (mkdtemp(folder) == nullptr) return 1;
  const std::string path = std::string(folder) + "/hook.sock";
  const std::string resume_file = std::string(folder) + "/resume.json";
  {
    std::FILE* file = std::fopen(resume_file.c_str(), "w");
    std::fputs(R"({"all_nodes_resume":"cpu-[0001-0200]","jobs":[{"job_id":7,"nodes_resume":"cpu-[0001-0200]"}]})", file);
    std::fclose(file);
  }
  const int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path.c_str(), sizeof(address.sun_path) - 1);
  if (bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0 || listen(listener, 128) != 0) return 1;
  size_t received = 0;
  std::thread server([&] {
    char buffer[65536];
    for (;;) {
      const int peer = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
      if (peer < 0) return;
      ssize_t got = 0;
      while ((got = read(peer, buffer, sizeof(buffer))) > 0) received += static_cast<size_t>(got);
      close(peer);
    }
  });

  const std::string socket_variable = "SLIPWAY_HOOK_SOCKET=" + path;
  const std::string resume_variable = "SLURM_RESUME_FILE=" + resume_file;
  char* environment[] = {const_cast<char*>("SLURM_CONF=/etc/slurm/slurm.conf"), const_cast<char*>(resume_variable.c_str()),
                         const_cast<char*>(socket_variable.c_str()), nullptr};
  char* hook_argv[] = {const_cast<char*>("slipway-resume"), const_cast<char*>("cpu-[0001-0200]"), nullptr};
  char* true_argv[] = {const_cast<char*>("true"), nullptr};
  for (int i = 0; i < 20; ++i) {
    run("/bin/true", true_argv, environment);
    run(argv[1], hook_argv, environment);
  }
  std::vector<double> floor;
  std::vector<double> hook;
  for (int i = 0; i < runs; ++i) {
    floor.push_back(run("/bin/true", true_argv, environment));
    hook.push_back(run(argv[1], hook_argv, environment));
  }
  shutdown(listener, SHUT_RDWR);
  server.join();
  unlink(path.c_str());
  unlink(resume_file.c_str());
  rmdir(folder);
  if (received == 0) {
    std::fprintf(stderr, "the hook handed nothing over\n");
    return 1;
  }
  std::printf("{\"runs\": %d, \"true_us\": %.0f, \"hook_us\": %.0f, \"ratio\": %.2f}\n", runs, median(floor), median(hook),
              median(hook) / median(floor));
}
