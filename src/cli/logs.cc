#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <thread>

#include "base/files.h"
#include "cli/commands.h"
#include "cli/context.h"
#include "cli/logs.h"
#include "deploy/deploy.h"
#include "machines/host.h"

namespace slipway::cli {

namespace fs = std::filesystem;

namespace {

constexpr uint32_t lines_default = 40;
constexpr Duration look_again{250};

// Where people look first: the order in which a machine comes up.
int rank(const std::string& name) {
  static const char* order[] = {"agent.log", "prep.log", "munged.log", "slurmctld.log", "slipwayd.log", "slurmd.log"};
  for (int i = 0; i < 6; ++i) {
    if (name == order[i]) return i;
  }
  return 6;
}

std::vector<fs::path> logs_in(const fs::path& folder, const std::string& only) {
  std::vector<fs::path> found;
  std::error_code error;
  for (auto entry = fs::directory_iterator(folder, error); !error && entry != fs::directory_iterator();
       entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    if (entry->path().extension() != ".log" || !fs::is_regular_file(entry->symlink_status())) continue;
    if (only.empty() || name == only || name == only + ".log") found.push_back(entry->path());
  }
  std::sort(found.begin(), found.end(), [](const fs::path& a, const fs::path& b) {
    const std::string x = a.filename().string();
    const std::string y = b.filename().string();
    return std::pair(rank(x), x) < std::pair(rank(y), y);
  });
  return found;
}

Result<std::vector<fs::path>> files_of(const ClusterRef& cluster, const Options& options) {
  std::string what = options.target;
  std::string only = options.log;
  if (what == "host") return std::vector<fs::path>{deploy::host_log(cluster.state)};
  if (what == "daemon" || what == "slipwayd" || what == "slurmctld") {
    only = what == "daemon" ? "slipwayd" : what;
    what = "controller";
  }
  auto target = parse_target(what);
  if (!target) return Failure(target.error());
  std::string id = target->name;
  // A machine that is gone may have left its logs, so an instance's folder is looked at whatever became of it.
  if (target->kind != Target::Kind::instance || !fs::exists(machines::machine_logs(cluster.state, id))) {
    auto machine = find_machine(cluster, *target);
    if (!machine) return Failure(machine.error());
    id = machine->id;
  }
  const fs::path folder = machines::machine_logs(cluster.state, id);
  auto files = logs_in(folder, only);
  if (!files.empty()) return files;
  std::string known;
  for (const fs::path& file : logs_in(folder, "")) known += (known.empty() ? "" : ", ") + file.stem().string();
  return fail(ErrorCode::not_found, "machine " + id + " has no log" + (only.empty() ? "" : " \"" + only + "\"") +
                                        (known.empty() ? " yet" : "; it has " + known));
}

// What was appended to the file since `offset`, at most a bounded piece; a file that shrank is read from its beginning.
std::string read_new(const fs::path& file, off_t& offset) {
  const Fd fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  struct stat about {};
  if (!fd || ::fstat(fd.get(), &about) != 0) return "";
  if (about.st_size < offset) offset = 0;
  std::array<char, 65536> buffer;
  const ssize_t got = ::pread(fd.get(), buffer.data(), buffer.size(), offset);
  if (got <= 0) return "";
  offset += got;
  return {buffer.data(), static_cast<size_t>(got)};
}

off_t size_of(const fs::path& file) {
  struct stat about {};
  return ::stat(file.c_str(), &about) == 0 ? about.st_size : 0;
}

void follow(const ClusterRef& cluster, const std::vector<fs::path>& files, std::vector<off_t> offsets,
            Terminal& terminal) {
  size_t last = files.size() - 1;
  while (fs::exists(deploy::kept_cluster_file(cluster.state))) {
    bool quiet = true;
    for (size_t i = 0; i < files.size(); ++i) {
      const std::string text = read_new(files[i], offsets[i]);
      if (text.empty()) continue;
      if (files.size() > 1 && last != i) terminal.print("\n==> " + files[i].filename().string() + " <==\n");
      terminal.print(text);
      last = i;
      quiet = false;
    }
    if (quiet) std::this_thread::sleep_for(look_again);
  }
}

}  // namespace

std::string_view last_lines(std::string_view text, size_t lines) {
  size_t at = text.size();
  if (at > 0 && text[at - 1] == '\n') --at;
  while (at > 0) {
    const size_t newline = text.rfind('\n', at - 1);
    if (newline == std::string_view::npos) return text;
    if (--lines == 0) return text.substr(newline + 1);
    at = newline;
  }
  return text;
}

Result<int> logs(const Options& options, Terminal& terminal) {
  auto cluster = choose_cluster(options);
  if (!cluster) return Failure(cluster.error());
  auto files = files_of(*cluster, options);
  if (!files) return Failure(files.error());
  const size_t lines = options.lines > 0 ? options.lines : lines_default;
  std::vector<off_t> offsets;
  for (const fs::path& file : *files) {
    offsets.push_back(size_of(file));
    // Long lines exist; 400 bytes each is enough for what is shown.
    const auto tail = read_tail(file, std::max<size_t>(lines * 400, 64 << 10));
    if (!tail) {
      if (files->size() == 1) return Failure(tail.error());
      continue;
    }
    if (files->size() > 1) {
      terminal.print((&file == &files->front() ? "" : "\n") +
                     terminal.paint(Colour::bold, "==> " + file.filename().string() + " <==") + "\n");
    }
    terminal.print(last_lines(*tail, lines));
  }
  if (options.follow) follow(*cluster, *files, std::move(offsets), terminal);
  return 0;
}

}  // namespace slipway::cli
