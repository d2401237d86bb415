// The fixture of test_machine.h, and a test that it is what it says.
#include <arpa/inet.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <sstream>

#include "agent/agent.h"
#include "gtest/gtest.h"
#include "test_machine.h"

namespace slipway::agent {

namespace fs = std::filesystem;

namespace {

// A stand-in that forks has a second process with its own command line until that one has become another program, and
// then it isn't the one such process. So slurmctld and slipwayd never fork, and slurmd has done so before it listens.

// Listens where slurmd would, says in its log who it is, and leaves an orphan behind to be reaped.
constexpr const char* fake_slurmd = R"sh(#!/usr/bin/perl
use IO::Socket::INET; use Sys::Hostname;
$| = 1;
my $mode = 'serve';
if (open(my $f, '<', '/var/log/slipway/mode')) { $mode = <$f>; chomp $mode; }
print "slurmd: started as ", join(' ', @ARGV), " on ", hostname(), " uid $< pid $$ path $ENV{PATH}\n";
if ($mode eq 'die') { print "slurmd: fatal: no such configuration\n"; exit 1; }
$SIG{TERM} = sub { print "slurmd: told to stop\n"; exit 0 if $mode ne 'stubborn' };
pipe(my $became_sleep, my $held) or die;
if (fork() == 0) { if (fork() == 0) { exec 'sleep', '0.1'; } exit 0; }
wait;
close $held;
<$became_sleep>;
my $s = IO::Socket::INET->new(Listen => 5, LocalPort => 6818, ReuseAddr => 1) or do { print "slurmd: cannot listen: $!\n"; exit 1 };
select(undef, undef, undef, 0.2) while 1;
)sh";

constexpr const char* fake_slurmctld = R"sh(#!/usr/bin/perl
$| = 1;
$SIG{TERM} = sub { print "slurmctld: saved\n"; exit 0 };
sub lines { my ($path) = @_; open(my $f, '<', $path) or return (); return <$f>; }
my $hosts = grep { /slipway/ } lines('/etc/hosts');
chomp(my ($conf) = lines('/etc/slurm/slurm.conf'));
print "slurmctld: started with @ARGV hosts $hosts prepared $conf\n";
select(undef, undef, undef, 0.2) while 1;
)sh";

constexpr const char* fake_slipwayd = R"sh(#!/usr/bin/perl
$| = 1;
$SIG{TERM} = sub { print "slipwayd: told to stop\n"; exit 0 };
print "slipwayd: @ARGV\n";
if ($ARGV[0] eq '--prepare') {
  my $status = 0;
  if (!-e '/run/prepared-once' && open(my $f, '<', '/var/log/slipway/prepare_status')) { $status = <$f>; }
  open(my $once, '>', '/run/prepared-once') or die;
  open(my $conf, '>', '/etc/slurm/slurm.conf') or die;
  print $conf "by slipwayd\n";
  close $conf;
  exit int($status);
}
select(undef, undef, undef, 0.2) while 1;
)sh";

void must(bool ok, const char* what) {
  if (ok) return;
  perror(what);
  _exit(99);
}

void write_text(const fs::path& path, const std::string& text, mode_t mode = 0644) {
  std::ofstream(path) << text;
  (void)chmod(path.c_str(), mode);
}

std::string read_text(const fs::path& path) {
  std::ifstream in(path);
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

void tmpfs_over(const char* path) {
  must(mount("tmpfs", path, "tmpfs", 0, "mode=0755") == 0, path);
}

// In the child: a private view of the box, where everything that the agent writes is in memory.
void build_root(const fs::path& folder, const MachineOptions& options) {
  must(mount("", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0, "private mounts");
  if (options.own_pids) must(mount("proc", "/proc", "proc", 0, nullptr) == 0, "proc");
  must(mount(folder.c_str(), "/mnt", nullptr, MS_BIND, nullptr) == 0, "bind");
  for (const char* path : {"/run", "/var/log", "/var/spool", "/var/lib/munge", "/home", "/usr/local/sbin", "/opt"})
    tmpfs_over(path);
  fs::create_directories("/run/etc-upper");
  fs::create_directories("/run/etc-work");
  must(mount("overlay", "/etc", "overlay", 0, "lowerdir=/etc,upperdir=/run/etc-upper,workdir=/run/etc-work") == 0,
       "overlay");
  fs::create_directories("/var/log/slipway");
  must(mount("/mnt", "/var/log/slipway", nullptr, MS_BIND, nullptr) == 0, "logs");

  if (!options.without_slurmd) write_text("/usr/local/sbin/slurmd", fake_slurmd, 0755);
  for (const char* other : {"/usr/bin/slurmd", "/usr/sbin/slurmd"}) {
    if (fs::exists(other)) must(mount("/dev/null", other, nullptr, MS_BIND, nullptr) == 0, other);
  }
  write_text("/usr/local/sbin/slurmctld", fake_slurmctld, 0755);
  write_text("/usr/local/sbin/sbatch", "#!/bin/sh\n", 0755);
  fs::create_directories("/opt/slipway/bin");
  write_text("/opt/slipway/bin/slipwayd", fake_slipwayd, 0755);
  fs::create_directories("/etc/slipway/keys");
  write_text("/etc/slipway/keys/munge.key", std::string(64, 'k'), 0600);
  if (find_identity("/etc", "slurm").error().code == ErrorCode::not_found) {
    std::ofstream("/etc/passwd", std::ios::app) << "slurm:x:64030:64030::/nonexistent:/usr/sbin/nologin\n";
  }
}

}  // namespace

void enter_own_network() {
  static const bool done = [] {
    if (unshare(CLONE_NEWNET) != 0) return false;
    const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    ifreq request{};
    std::strcpy(request.ifr_name, "lo");
    request.ifr_flags = IFF_UP | IFF_RUNNING;
    const bool up = ioctl(fd, SIOCSIFFLAGS, &request) == 0;
    close(fd);
    return up;
  }();
  ASSERT_TRUE(done) << "these tests need root";
}

bool pump_until(Loop& loop, const std::function<bool()>& condition, Duration patience) {
  const auto deadline = std::chrono::steady_clock::now() + patience;
  bool held = false;  // asked once more it may hold no longer
  std::function<void()> check = [&] {
    held = condition();
    if (held || std::chrono::steady_clock::now() >= deadline) {
      loop.stop();
    } else {
      loop.after(Duration(3), [&] { check(); });
    }
  };
  loop.after(Duration(0), [&] { check(); });
  loop.run();
  return held;
}

void pump_for(Loop& loop, Duration time) {
  (void)pump_until(
      loop, [] { return false; }, time);
}

FakeDaemon::FakeDaemon(Loop& loop, const join::Key& master) : loop_(loop), master_(master) {
  enter_own_network();
  welcome.munge_key = std::string(64, 'm');
  welcome.hosts = "127.0.0.1 controller\n";
  welcome.users = {{"ada", 54321}};
  welcome.conf_server = "127.0.0.1:6817";
  auto listener =
      Listener::tcp(loop_, daemon_address, [this](std::unique_ptr<Channel> channel) { accept(std::move(channel)); });
  EXPECT_TRUE(listener) << listener.error().message;
  if (listener) listener_ = std::move(*listener);
}

void FakeDaemon::accept(std::unique_ptr<Channel> channel) {
  const unsigned id = ++connections;
  const std::string& from = channel->peer().address;
  ports.push_back(static_cast<uint16_t>(std::stoi(from.substr(from.rfind(':') + 1))));
  channel->on_message([this, id](const std::string& frame) { received(id, frame); });
  channel->on_close([this, id](const std::string&) {
    refused += open_[id].welcomed ? 0 : 1;
    open_.erase(id);
  });
  open_[id].channel = std::move(channel);
}

void FakeDaemon::received(unsigned id, const std::string& frame) {
  Connection& connection = open_[id];
  if (!connection.greeted) {
    const auto hello = join::decode_agent_hello(frame);
    ASSERT_TRUE(hello);
    join::Key secret = join::machine_secret(master_, hello->instance);
    if (!hello->claim.empty()) {
      auto claim = join::open_claim(hello->claim, join::daemon_key_pair(master_));
      ASSERT_TRUE(claim) << claim.error().message;
      EXPECT_EQ(claim->instance, hello->instance);
      secret = claim->secret;
      claims.push_back(std::move(*claim));
      if (!vouches) {
        open_.erase(id);
        return;
      }
    }
    const join::Key nonce = join::random_key();
    connection.channel->send(join::encode_daemon_hello(nonce));
    connection.channel->seal_with(join::make_sealer(join::Side::daemon, secret, hello->nonce, nonce));
    connection.greeted = true;
    return;
  }
  auto message = join::decode_from_agent(frame);
  ASSERT_TRUE(message) << message.error().message;
  if (!connection.welcomed) {
    connection.welcomed = true;
    connection.channel->send(join::encode(join::FromDaemon(welcome)));
  }
  if (auto* report = std::get_if<join::Report>(&*message)) {
    reports.push_back(*report);
  } else if (auto* notice = std::get_if<join::Notice>(&*message)) {
    notices.push_back(*notice);
  } else {
    ++heartbeats;
  }
}

void FakeDaemon::say(const join::FromDaemon& message) {
  for (auto& [id, connection] : open_) {
    if (connection.welcomed) connection.channel->send(join::encode(message));
  }
}

const join::Report& FakeDaemon::last() const {
  static const join::Report none;
  return reports.empty() ? none : reports.back();
}

bool FakeDaemon::heard(join::Phase phase, const std::string& node) const {
  return !reports.empty() && reports.back().phase == phase && reports.back().node == node;
}

TestMachine::TestMachine(const join::Key& master, const MachineOptions& options) {
  enter_own_network();
  char name[] = "/tmp/slipway-agent-test.XXXXXX";
  folder_ = mkdtemp(name);
  (void)chmod(name, 0755);
  write_text(folder_ / "prepare_status", options.prepare_status);
  boot_.cluster = "demo";
  boot_.instance = "i-00000001";
  boot_.role = options.role;
  boot_.pool = "cpu";
  boot_.address = "127.0.0.1";
  boot_.daemon = daemon_address;
  boot_.secret = join::to_hex(join::machine_secret(master, boot_.instance));
  boot_.users = options.users;
  if (!options.imds.empty()) {
    boot_.provider = "azure";
    boot_.secret.clear();
    boot_.daemon_key = join::to_hex(join::daemon_key_pair(master).public_key);
    boot_.instance = "cpu/vm_1";
    boot_.imds = options.imds;
  }

  const unsigned long spaces = CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | (options.own_pids ? CLONE_NEWPID : 0);
  pid_ = static_cast<pid_t>(syscall(SYS_clone, spaces | SIGCHLD, nullptr, nullptr, nullptr, nullptr));
  if (pid_ != 0) return;
  (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
  const int log = open((folder_ / "agent.log").c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
  must(dup2(log, 2) == 2, "log");
  // The test's sockets and loop are not the machine's.
  must(close_range(3, ~0U, 0) == 0, "close_range");
  build_root(folder_, options);
  // Another build of the agent, the static one for example, can be put to the same tests.
  if (const char* agent = getenv("SLIPWAY_TEST_AGENT")) {
    fs::create_directories("/run/slipway");
    write_text(join::boot_data_path, join::to_json(boot_), 0600);
    execl(agent, agent, nullptr);
    must(false, agent);
  }
  _exit(run_agent(boot_));
}

TestMachine::~TestMachine() {
  if (::testing::Test::HasFailure()) {
    for (const char* name : {"agent", "slurmd", "munged", "prep", "slurmctld", "slipwayd"}) {
      const std::string text = log(name);
      if (!text.empty()) fprintf(stderr, "--- %s.log\n%s", name, text.c_str());
    }
  }
  if (pid_ > 0 && status_ < 0) {
    for (const pid_t pid : find("slurmd")) (void)kill(pid, SIGKILL);
    for (const pid_t pid : find("munged")) (void)kill(pid, SIGKILL);
    (void)kill(pid_, SIGKILL);
    (void)waitpid(pid_, &status_, 0);
  }
  std::error_code ignored;
  fs::remove_all(folder_, ignored);
}

std::vector<pid_t> TestMachine::find(const std::string& text) const {
  std::vector<pid_t> found;
  std::error_code error;
  const fs::path mine = fs::read_symlink("/proc/" + std::to_string(pid_) + "/ns/mnt", error);
  if (error) return found;
  for (const auto& entry : fs::directory_iterator("/proc")) {
    const std::string name = entry.path().filename();
    if (!std::all_of(name.begin(), name.end(), ::isdigit)) continue;
    if (fs::read_symlink(entry.path() / "ns/mnt", error) != mine || error) continue;
    std::string line = read_text(entry.path() / "cmdline");
    std::replace(line.begin(), line.end(), '\0', ' ');
    if (line.find(text) != std::string::npos && std::stoi(name) != pid_) found.push_back(std::stoi(name));
  }
  return found;
}

pid_t TestMachine::one(const std::string& text) const {
  const auto found = find(text);
  return found.size() == 1 ? found[0] : 0;
}

fs::path TestMachine::path(const std::string& inside) const {
  return fs::path("/proc/" + std::to_string(pid_) + "/root" + inside);
}

std::string TestMachine::file(const std::string& inside) const {
  return read_text(path(inside));
}
std::string TestMachine::log(const std::string& name) const {
  const bool prints = name == "slurmd" || name == "slurmctld";  // its own log is its own affair
  return read_text(folder_ / (name + (prints ? ".out" : ".log")));
}
void TestMachine::set_slurmd_mode(const std::string& mode) {
  write_text(folder_ / "mode", mode + "\n");
}

unsigned TestMachine::zombies() const {
  unsigned count = 0;
  for (const auto& entry : fs::directory_iterator("/proc")) {
    const std::string stat = read_text(entry.path() / "stat");
    const size_t end = stat.rfind(')');
    if (end == std::string::npos) continue;
    char state = 0;
    int parent = 0;
    if (sscanf(stat.c_str() + end + 1, " %c %d", &state, &parent) == 2 && state == 'Z' && parent == pid_) ++count;
  }
  return count;
}

void TestMachine::terminate() {
  (void)kill(pid_, SIGTERM);
}

bool TestMachine::wait_for_end(Loop& loop, Duration patience) {
  return pump_until(
      loop, [this] { return status_ >= 0 || waitpid(pid_, &status_, WNOHANG) == pid_; }, patience);
}

namespace {

TEST(TestMachine, SeesAMissingFileAsEmptyAndTimeAsLimited) {
  Loop loop;
  EXPECT_FALSE(pump_until(
      loop, [] { return false; }, Duration(20)));
  EXPECT_TRUE(pump_until(loop, [] { return true; }));
  EXPECT_EQ(read_text("/nowhere/at/all"), "");
}

}  // namespace

}  // namespace slipway::agent
