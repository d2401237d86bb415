// The real hook program under the conditions in which slurmctld runs it, and worse ones.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "base/files.h"
#include "slurm/hook_protocol.h"

namespace slipway {
namespace {

using std::chrono::steady_clock;

// Build trees put all programs into one folder.
std::filesystem::path hook_program() {
  return std::filesystem::read_symlink("/proc/self/exe").parent_path() / "slipway-hook";
}

class HookTest : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/slipway-hook-XXXXXX";
    ASSERT_NE(mkdtemp(name), nullptr);
    folder_ = name;
    ASSERT_TRUE(std::filesystem::exists(hook_program())) << "build the target slipway-hook first";
    for (const char* link :
         {"slipway-resume", "slipway-suspend", "slipway-resume-fail", "slipway-prolog", "slipway-hook"}) {
      std::filesystem::create_symlink(hook_program(), folder_ / link);
    }
  }
  void TearDown() override {
    if (listener_ >= 0) close(listener_);
    std::filesystem::remove_all(folder_);
  }

  std::string socket_path() const { return (folder_ / "hook.sock").string(); }

  void listen_on_socket(int backlog = 8) {
    listener_ = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    socket_path().copy(address.sun_path, sizeof address.sun_path - 1);
    ASSERT_EQ(bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    ASSERT_EQ(listen(listener_, backlog), 0);
  }

  // Accepts one connection; -1 when none comes in time.
  int accept_one(int timeout_ms = 5000) {
    pollfd wait{listener_, POLLIN, 0};
    return poll(&wait, 1, timeout_ms) == 1 ? accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC) : -1;
  }

  // Everything up to the end of the connection, or to the end of the first frame.
  static std::string receive_frame(int fd) {
    std::string bytes;
    size_t want = 4;
    char buffer[65536];
    while (bytes.size() < want) {
      const ssize_t got = read(fd, buffer, std::min(sizeof buffer, want - bytes.size()));
      if (got <= 0) return "incomplete";
      bytes.append(buffer, static_cast<size_t>(got));
      if (bytes.size() == 4) {
        for (int i = 0; i < 4; ++i) want += static_cast<size_t>(static_cast<unsigned char>(bytes[i])) << (24 - 8 * i);
      }
    }
    return bytes.substr(4);
  }

  struct Run {
    pid_t pid = -1;
    steady_clock::time_point start;
  };

  // Starts the hook with exactly this environment; `in_child` runs before exec.
  Run start(
      const char* link, std::vector<std::string> arguments, std::vector<std::string> environment,
      const std::function<void()>& in_child = [] {}) {
    const std::string path = (folder_ / link).string();
    std::vector<char*> argv{const_cast<char*>(path.c_str())};
    for (auto& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    std::vector<char*> envp;
    for (auto& entry : environment) envp.push_back(entry.data());
    envp.push_back(nullptr);
    Run run{-1, steady_clock::now()};
    run.pid = fork();
    if (run.pid == 0) {
      const int null = open("/dev/null", O_WRONLY);
      dup2(null, STDERR_FILENO);
      in_child();
      execve(path.c_str(), argv.data(), envp.data());
      _exit(127);
    }
    return run;
  }

  static int finish(const Run& run) {
    int status = 0;
    waitpid(run.pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }

  static int64_t elapsed_ms(const Run& run) {
    return std::chrono::duration_cast<std::chrono::milliseconds>(steady_clock::now() - run.start).count();
  }

  std::string to_socket() const { return "SLIPWAY_HOOK_SOCKET=" + socket_path(); }

  static void say(int fd, const std::string& word) {
    const char length[4] = {0, 0, 0, static_cast<char>(word.size())};
    const std::string frame = std::string(length, 4) + word;
    ASSERT_EQ(send(fd, frame.data(), frame.size(), MSG_NOSIGNAL), static_cast<ssize_t>(frame.size()));
  }

  std::filesystem::path folder_;
  int listener_ = -1;
};

TEST_F(HookTest, HandsOverHostlistAndResumeFile) {
  listen_on_socket();
  const std::string json = R"({"jobs":[{"job_id":7,"nodes":"cpu-0001"}],"all_nodes":"cpu-[0001-0002]"})";
  ASSERT_TRUE(write_file(folder_ / "resume.json", json));
  const Run run = start("slipway-resume", {"cpu-[0001-0002]"},
                        {to_socket(), "SLURM_RESUME_FILE=" + (folder_ / "resume.json").string()});
  const int fd = accept_one();
  ASSERT_GE(fd, 0);
  const auto hint = slurm::decode_hint(receive_frame(fd));
  close(fd);
  EXPECT_EQ(finish(run), 0);
  ASSERT_TRUE(hint);
  EXPECT_EQ(hint->kind, slurm::HintKind::resume);
  ASSERT_EQ(hint->nodes.size(), 2u);
  ASSERT_EQ(hint->jobs.size(), 1u);
  EXPECT_EQ(hint->jobs[0].id, 7u);
}

TEST_F(HookTest, ItsNameSaysTheKindAndAThirdArgumentIsTolerated) {
  listen_on_socket();
  const std::pair<const char*, slurm::HintKind> kinds[] = {{"slipway-suspend", slurm::HintKind::suspend},
                                                           {"slipway-resume-fail", slurm::HintKind::resume_fail},
                                                           {"slipway-resume", slurm::HintKind::resume}};
  for (const auto& [link, kind] : kinds) {
    const Run run = start(link, {"a", "feature1,feature2"}, {to_socket(), "SLURM_JOB_ID=42"});
    const int fd = accept_one();
    ASSERT_GE(fd, 0);
    const auto hint = slurm::decode_hint(receive_frame(fd));
    close(fd);
    EXPECT_EQ(finish(run), 0);
    ASSERT_TRUE(hint);
    EXPECT_EQ(hint->kind, kind);
    EXPECT_EQ(hint->job, 42u);
  }
}

TEST_F(HookTest, SurvivesClosedDescriptorsAndBlockedSignals) {
  listen_on_socket();
  const Run run = start("slipway-suspend", {"cpu-0001"}, {to_socket()}, [] {
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, nullptr);
    signal(SIGPIPE, SIG_DFL);
    for (int fd = 0; fd < 64; ++fd) close(fd);
  });
  const int fd = accept_one();
  ASSERT_GE(fd, 0);
  EXPECT_TRUE(slurm::decode_hint(receive_frame(fd)));
  close(fd);
  EXPECT_EQ(finish(run), 0);
}

TEST_F(HookTest, UnblocksSignalsSoThatItCanBeEnded) {
  listen_on_socket();
  const Run run = start("slipway-prolog", {}, {to_socket(), "SLURM_JOB_ID=1", "SLURM_JOB_NODELIST=a"}, [] {
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, nullptr);
  });
  const int fd = accept_one();
  ASSERT_GE(fd, 0);
  receive_frame(fd);
  say(fd, slurm::hook_wait);
  kill(run.pid, SIGTERM);
  EXPECT_EQ(finish(run), 128 + SIGTERM);
  EXPECT_LT(elapsed_ms(run), 4000);
  close(fd);
}

TEST_F(HookTest, AnEmptyEnvironmentIsNoTrouble) {
  const Run run = start("slipway-resume", {"a"}, {});
  const int status = finish(run);  // 0 only if a daemon happens to run on this machine
  EXPECT_TRUE(status == 0 || status == 1) << status;
  EXPECT_LT(elapsed_ms(run), 3000);
}

TEST_F(HookTest, WithoutADaemonItFailsAtOnce) {
  Run run = start("slipway-resume", {"a"}, {to_socket()});
  EXPECT_EQ(finish(run), 1);
  EXPECT_LT(elapsed_ms(run), 900);
  listen_on_socket();
  close(listener_);  // the file stays, nobody listens
  listener_ = -1;
  run = start("slipway-resume", {"a"}, {to_socket()});
  EXPECT_EQ(finish(run), 1);
  EXPECT_LT(elapsed_ms(run), 900);
}

TEST_F(HookTest, AFullQueueCostsAboutASecond) {
  listen_on_socket(0);
  std::vector<int> fillers;
  for (int i = 0; i < 4; ++i) {
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    socket_path().copy(address.sun_path, sizeof address.sun_path - 1);
    connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address);
    fillers.push_back(fd);
  }
  const Run run = start("slipway-resume", {"a"}, {to_socket()});
  EXPECT_EQ(finish(run), 1);
  EXPECT_GE(elapsed_ms(run), 900);
  EXPECT_LT(elapsed_ms(run), 4000);
  for (int fd : fillers) close(fd);
}

TEST_F(HookTest, ADaemonThatNeverReadsCostsAboutASecond) {
  listen_on_socket();
  ASSERT_TRUE(write_file(folder_ / "resume.json", std::string(4 << 20, 'x')));  // more than a socket buffers
  const Run run =
      start("slipway-resume", {"a"}, {to_socket(), "SLURM_RESUME_FILE=" + (folder_ / "resume.json").string()});
  EXPECT_EQ(finish(run), 1);
  EXPECT_GE(elapsed_ms(run), 900);
  EXPECT_LT(elapsed_ms(run), 4000);
}

TEST_F(HookTest, ADaemonThatHangsUpIsNoCrash) {
  listen_on_socket();
  ASSERT_TRUE(write_file(folder_ / "resume.json", std::string(4 << 20, 'x')));
  const Run run =
      start("slipway-resume", {"a"}, {to_socket(), "SLURM_RESUME_FILE=" + (folder_ / "resume.json").string()});
  const int fd = accept_one();
  ASSERT_GE(fd, 0);
  close(fd);
  EXPECT_EQ(finish(run), 1);
}

TEST_F(HookTest, ASmallHintForABusyDaemonIsKeptByTheSocket) {
  listen_on_socket();
  const Run run = start("slipway-resume", {"a"}, {to_socket()});
  EXPECT_EQ(finish(run), 0);  // before anybody accepted
  const int fd = accept_one();
  ASSERT_GE(fd, 0);
  EXPECT_TRUE(slurm::decode_hint(receive_frame(fd)));
  close(fd);
}

TEST_F(HookTest, TheLongestHostlistArrivesWhole) {
  listen_on_socket();
  std::string list;
  size_t count = 0;
  while (list.size() < 120 << 10) list += (list.empty() ? "n" : ",n") + std::to_string(100000 + 7 * count++);
  const Run run = start("slipway-resume", {list}, {to_socket()});
  const int fd = accept_one();
  ASSERT_GE(fd, 0);
  const auto hint = slurm::decode_hint(receive_frame(fd));
  close(fd);
  EXPECT_EQ(finish(run), 0);
  ASSERT_TRUE(hint);
  EXPECT_EQ(hint->nodes.size(), count);
}

TEST_F(HookTest, AnUnreadableOrAbsurdResumeFileCostsOnlyTheJobs) {
  listen_on_socket();
  ASSERT_EQ(mkfifo((folder_ / "fifo").c_str(), 0600), 0);
  ASSERT_TRUE(write_file(folder_ / "empty", ""));
  ASSERT_TRUE(write_file(folder_ / "huge", ""));
  ASSERT_EQ(truncate((folder_ / "huge").c_str(), (16 << 20) + 1), 0);
  for (const char* file : {"missing", "fifo", ".", "empty", "huge"}) {
    const Run run =
        start("slipway-resume", {"a-[1-3]"}, {to_socket(), "SLURM_RESUME_FILE=" + (folder_ / file).string()});
    const int fd = accept_one();
    ASSERT_GE(fd, 0) << file;
    const std::string frame = receive_frame(fd);
    close(fd);
    EXPECT_EQ(finish(run), 0) << file;
    EXPECT_LT(frame.size(), 100u) << file;
    const auto hint = slurm::decode_hint(frame);
    ASSERT_TRUE(hint) << file;
    EXPECT_EQ(hint->nodes.size(), 3u);
    EXPECT_TRUE(hint->jobs.empty());
  }
}

TEST_F(HookTest, ABigResumeFileArrivesWhole) {
  listen_on_socket();
  std::string json = R"({"jobs":[{"job_id":7,"nodes":"a-1"}],"pad":")";
  json += std::string(8 << 20, 'x') + "\"}";
  ASSERT_TRUE(write_file(folder_ / "resume.json", json));
  const Run run =
      start("slipway-resume", {"a-1"}, {to_socket(), "SLURM_RESUME_FILE=" + (folder_ / "resume.json").string()});
  const int fd = accept_one();
  ASSERT_GE(fd, 0);
  const auto hint = slurm::decode_hint(receive_frame(fd));
  close(fd);
  EXPECT_EQ(finish(run), 0);
  ASSERT_TRUE(hint);
  EXPECT_EQ(hint->jobs.size(), 1u);
}

TEST_F(HookTest, WrongUsageIsSaid) {
  EXPECT_EQ(finish(start("slipway-hook", {"a"}, {to_socket()})), 2);
  EXPECT_EQ(finish(start("slipway-resume", {}, {to_socket()})), 2);
  EXPECT_EQ(finish(start("slipway-resume", {""}, {to_socket()})), 2);
}

TEST_F(HookTest, APersonGetsAnExplanation) {
  const std::filesystem::path out = folder_ / "out";
  const Run run =
      start("slipway-hook", {"--help"}, {}, [&] { dup2(open(out.c_str(), O_CREAT | O_WRONLY, 0600), STDOUT_FILENO); });
  EXPECT_EQ(finish(run), 0);
  const auto text = read_file(out);
  ASSERT_TRUE(text);
  EXPECT_NE(text->find("PrologSlurmctld"), std::string::npos);
}

TEST_F(HookTest, APrologWaitsUntilTheDaemonSaysGo) {
  listen_on_socket();
  const Run run = start("slipway-prolog", {}, {to_socket(), "SLURM_JOB_ID=12", "SLURM_JOB_NODELIST=cpu-[0001-0002]"});
  const int fd = accept_one();
  ASSERT_GE(fd, 0);
  const auto hint = slurm::decode_hint(receive_frame(fd));
  ASSERT_TRUE(hint);
  EXPECT_EQ(hint->kind, slurm::HintKind::job_start);
  EXPECT_EQ(hint->job, 12u);
  EXPECT_EQ(hint->nodes.size(), 2u);
  say(fd, slurm::hook_wait);
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  EXPECT_EQ(waitpid(run.pid, nullptr, WNOHANG), 0);
  say(fd, slurm::hook_go);
  EXPECT_EQ(finish(run), 0);
  EXPECT_LT(elapsed_ms(run), 4000);
  close(fd);
}

TEST_F(HookTest, APrologNeverFailsAJob) {
  Run run = start("slipway-prolog", {}, {to_socket(), "SLURM_JOB_ID=12", "SLURM_JOB_NODELIST=a"});  // no daemon
  EXPECT_EQ(finish(run), 0);
  EXPECT_LT(elapsed_ms(run), 900);
  listen_on_socket();
  run = start("slipway-prolog", {},
              {to_socket(), "SLURM_JOB_ID=12", "SLURM_JOB_NODELIST=a"});  // a daemon that says nothing
  EXPECT_EQ(finish(run), 0);
  EXPECT_GE(elapsed_ms(run), 4900);
  EXPECT_LT(elapsed_ms(run), 9000);
}

TEST_F(HookTest, APrologAsksARestartedDaemonAgain) {
  listen_on_socket();
  const Run run = start("slipway-prolog", {}, {to_socket(), "SLURM_JOB_ID=12", "SLURM_JOB_NODELIST=a"});
  int fd = accept_one();
  ASSERT_GE(fd, 0);
  receive_frame(fd);
  say(fd, slurm::hook_wait);
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  close(fd);
  close(listener_);
  std::filesystem::remove(socket_path());
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  listen_on_socket();
  fd = accept_one();
  ASSERT_GE(fd, 0);
  EXPECT_TRUE(slurm::decode_hint(receive_frame(fd)));
  say(fd, slurm::hook_go);
  EXPECT_EQ(finish(run), 0);
  close(fd);
}

}  // namespace
}  // namespace slipway
