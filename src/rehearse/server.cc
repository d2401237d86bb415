#include "rehearse/server.h"

#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <boost/json.hpp>
#include <csignal>

#include "base/log.h"
#include "config/config.h"
#include "rehearse/admin.h"
#include "rehearse/certificates.h"
#include "rehearse/imds_doors.h"
#include "rehearse/world.h"

namespace slipway::rehearse {
namespace {

using std::chrono::steady_clock;

constexpr Duration look_every{500};  // at the folder and levers.json
constexpr Duration save_after{200};  // what changed
constexpr int save_share = 20;       // saving takes at most this part of the time
constexpr size_t state_bytes_max = 2ul << 30;
constexpr const char* any_port = ":0";

Result<model::Cluster> load_cluster(const std::filesystem::path& file) {
  config::Loaded loaded = config::load(file, false);
  if (loaded.ok()) return std::move(loaded.cluster);
  std::string all;
  for (const config::Problem& problem : loaded.problems) {
    if (problem.severity == config::Severity::error)
      all += (all.empty() ? "" : "\n") + config::format(problem, file.string());
  }
  return fail(ErrorCode::bad_config, all);
}

// Of a file: another one is there when it is another.
struct FileMark {
  ino_t inode = 0;
  off_t size = -1;
  int64_t changed = 0;
  bool operator==(const FileMark&) const = default;
};
FileMark mark_of(const std::filesystem::path& file) {
  struct stat info {};
  if (::stat(file.c_str(), &info) != 0) return {};
  return {info.st_ino, info.st_size, info.st_mtim.tv_sec * 1'000'000'000 + info.st_mtim.tv_nsec};
}

class Rehearsal {
 public:
  explicit Rehearsal(const ServerOptions& options) : options_(options), folder_(options.folder) {}
  ~Rehearsal() {
    if (signals_) loop_.unwatch(signals_.get());
  }

  Result<void> start();
  void run() {
    loop_.run();
    if (folder_there()) save_now();
    std::error_code ignored;
    std::filesystem::remove(folder_ / "endpoints.json", ignored);
  }

 private:
  enum class Speaks : uint8_t { arm, login, batch, admin, imds };
  struct DoorKind {
    Speaks speaks;
    std::string account;
  };

  Result<void> take_folder();
  Result<void> catch_signals();
  Result<void> load_state();
  Result<void> load_levers();
  Result<void> open_doors();
  Result<uint16_t> open_door(const std::string& name, const std::string& address, DoorKind kind, bool tls);
  void handle(http::Asked asked, http::Answer answer);
  void look();
  bool folder_there() const;
  void change();
  void save_later();
  std::string state_text() const;
  void save_now();

  const ServerOptions options_;
  const std::filesystem::path folder_;
  Fd lock_;
  ino_t folder_inode_ = 0;
  Kept kept_;
  Certificates certificates_;
  AzureWorld world_;
  FileMark levers_mark_;
  std::map<size_t, DoorKind> kinds_;
  Fd signals_;
  bool changed_ = false;
  bool saving_ = false;
  Duration save_pause_ = save_after;

  // In the order in which each stands on the others.
  Loop loop_;
  SystemClock clock_;
  std::unique_ptr<http::Server> server_;
  std::unique_ptr<ImdsDoors> imds_doors_;
  std::unique_ptr<Floor> floor_;
  std::unique_ptr<Site> site_;
  std::unique_ptr<Gate> gate_;
  std::unique_ptr<AzureFace> face_;
  std::unique_ptr<Admin> admin_;
  std::unique_ptr<Workers> writer_;
};

Result<void> Rehearsal::take_folder() {
  if (auto made = make_folder(folder_, 0700); !made) return made;
  lock_ = Fd(::open((folder_ / "lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!lock_) return fail_errno("open " + (folder_ / "lock").string());
  if (::flock(lock_.get(), LOCK_EX | LOCK_NB) != 0)
    return fail(ErrorCode::bad_config, "another slipway-rehearse has the folder " + folder_.string());
  folder_inode_ = mark_of(folder_).inode;
  std::error_code ignored;
  std::filesystem::remove(folder_ / "endpoints.json", ignored);
  return write_file(folder_ / "pid", std::to_string(::getpid()) + "\n", 0600);
}

Result<void> Rehearsal::catch_signals() {
  sigset_t caught;
  sigemptyset(&caught);
  sigaddset(&caught, SIGTERM);
  sigaddset(&caught, SIGINT);
  if (::pthread_sigmask(SIG_BLOCK, &caught, nullptr) != 0) return fail_errno("block signals");
  (void)::signal(SIGPIPE, SIG_IGN);
  signals_ = Fd(::signalfd(-1, &caught, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!signals_) return fail_errno("wait for signals");
  loop_.watch(signals_.get(), EPOLLIN, [this](uint32_t) {
    signalfd_siginfo info{};
    if (::read(signals_.get(), &info, sizeof info) > 0) loop_.stop();
  });
  return {};
}

Result<void> Rehearsal::start() {
  // Before the first thread, so that no thread takes a signal.
  if (auto caught = catch_signals(); !caught) return caught;
  auto cluster = load_cluster(options_.cluster_file);
  if (!cluster) return fail(cluster.error());
  if (auto taken = take_folder(); !taken) return taken;
  auto kept = load_kept(folder_ / "kept.json");
  if (!kept) return fail(kept.error());
  kept_ = std::move(*kept);
  world_ = world_of(*cluster, kept_);
  if (!options_.image.empty()) world_.machine_image = options_.image.string();
  std::vector<std::string> names{options_.address, "localhost", "127.0.0.1"};
  if (names[0] == names[2]) names.pop_back();
  auto certificates = make_certificates(folder_, names);
  if (!certificates) return fail(certificates.error());
  certificates_ = std::move(*certificates);

  server_ = std::make_unique<http::Server>(
      loop_, http::ServerOptions(),
      [this](http::Asked asked, http::Answer answer) { handle(std::move(asked), std::move(answer)); });
  if (options_.host_socket.empty()) {
    floor_ = make_virtual_floor(loop_);
  } else {
    imds_doors_ = std::make_unique<ImdsDoors>(loop_, *server_, options_.state_folder);
    floor_ = make_host_floor(loop_, options_.host_socket, options_.state_folder, imds_doors_.get());
  }
  site_ = std::make_unique<Site>(loop_, clock_, *floor_, options_.seed);
  gate_ = std::make_unique<Gate>(clock_, options_.seed);
  AzureOptions azure;
  azure.certificate = certificates_.server;
  azure.key = certificates_.server_key;
  azure.ca_certificate = certificates_.ca;
  azure.ca_key = certificates_.ca_key;
  azure.host = options_.address;
  face_ = std::make_unique<AzureFace>(loop_, clock_, *site_, *gate_, world_, azure);
  admin_ = std::make_unique<Admin>(*site_, *gate_, kept_.admin_token, folder_ / "levers.json",
                                   [this] { levers_mark_ = mark_of(folder_ / "levers.json"); });
  writer_ = std::make_unique<Workers>(loop_, 1);
  if (auto loaded = load_levers(); !loaded) return loaded;
  if (auto loaded = load_state(); !loaded) return loaded;
  site_->watch([this](const Machine&, bool) { change(); });
  if (auto opened = open_doors(); !opened) return opened;
  loop_.after(look_every, [this] { look(); });
  return {};
}

// The state.

Result<void> Rehearsal::load_state() {
  const std::filesystem::path file = folder_ / "state.json";
  const auto text = read_file(file, state_bytes_max);
  if (!text && text.error().code == ErrorCode::not_found) return {};
  if (!text) return fail(text.error());
  boost::json::error_code error;
  const boost::json::value value = boost::json::parse(*text, error);
  const boost::json::object* object = value.if_object();
  const boost::json::value* azure = object ? object->if_contains("azure") : nullptr;
  const boost::json::value* site = object ? object->if_contains("site") : nullptr;
  const auto damaged = [&](const std::string& why) {
    return fail(ErrorCode::bad_config, file.string() + " is damaged (" + why + "); remove it to begin anew");
  };
  if (error || !azure || !site) return damaged("it isn't what slipway-rehearse writes");
  if (auto loaded = face_->load(boost::json::serialize(*azure)); !loaded) return damaged(loaded.error().message);
  auto loaded =
      site_->load(boost::json::serialize(*site), [this](Order saved) { return face_->order_of(std::move(saved)); });
  if (!loaded) return damaged(loaded.error().message);
  return {};
}

std::string Rehearsal::state_text() const {
  return "{\"azure\":" + face_->save() + ",\"site\":" + site_->save() + "}\n";
}

void Rehearsal::change() {
  changed_ = true;
  if (!saving_) save_later();
}

void Rehearsal::save_later() {
  saving_ = true;
  loop_.after(save_pause_, [this] {
    changed_ = false;
    const auto begun = steady_clock::now();
    std::string text = state_text();
    save_pause_ = std::max(save_after, save_share * std::chrono::duration_cast<Duration>(steady_clock::now() - begun));
    writer_->run([text = std::move(text), file = folder_ / "state.json"] { return write_file(file, text, 0600); },
                 [this](Result<void> written) {
                   saving_ = false;
                   if (!written) log_warning("state_not_saved", {{"why", written.error().message}});
                   if (changed_) save_later();
                 });
  });
}

void Rehearsal::save_now() {
  writer_.reset();  // what it still writes comes first
  if (auto written = write_file(folder_ / "state.json", state_text(), 0600); !written)
    log_warning("state_not_saved", {{"why", written.error().message}});
}

Result<void> Rehearsal::load_levers() {
  const std::filesystem::path file = folder_ / "levers.json";
  const FileMark mark = mark_of(file);
  if (mark == levers_mark_) return {};
  levers_mark_ = mark;
  const auto text = read_file(file, 64 << 20);
  if (!text && text.error().code != ErrorCode::not_found) return fail(text.error());
  auto levers = text ? parse_levers(*text) : Levers();
  if (!levers) return fail(ErrorCode::bad_config, file.string() + ": " + levers.error().message);
  site_->set_levers(std::move(*levers));
  log_info("levers_read", {{"file", file.string()}});
  return {};
}

bool Rehearsal::folder_there() const {
  return mark_of(folder_).inode == folder_inode_;
}

void Rehearsal::look() {
  if (!folder_there()) {
    log_info("folder_removed", {{"folder", folder_.string()}});
    loop_.stop();
    return;
  }
  if (auto loaded = load_levers(); !loaded) log_warning("levers_not_read", {{"why", loaded.error().message}});
  loop_.after(look_every, [this] { look(); });
}

// The doors.

Result<uint16_t> Rehearsal::open_door(const std::string& name, const std::string& address, DoorKind kind, bool tls) {
  http::Door door;
  if (tls) {
    door.tls_certificate = certificates_.server;
    door.tls_key = certificates_.server_key;
  }
  uint16_t& port = kept_.ports[name];
  door.listen = address + ":" + std::to_string(port);
  auto opened = server_->add(std::move(door));
  if (!opened && port != 0) {
    log_warning("port_taken", {{"door", name}, {"port", port}, {"why", opened.error().message}});
    http::Door other;
    if (tls) {
      other.tls_certificate = certificates_.server;
      other.tls_key = certificates_.server_key;
    }
    other.listen = address + any_port;
    opened = server_->add(std::move(other));
  }
  if (!opened) return fail(opened.error());
  port = opened->port;
  kinds_[opened->door] = std::move(kind);
  return port;
}

Result<void> Rehearsal::open_doors() {
  Endpoints endpoints;
  std::optional<Error> failure;
  const auto open = [&](const std::string& name, DoorKind kind, bool tls, const std::string& address) -> std::string {
    auto port = open_door(name, address, std::move(kind), tls);
    if (!port && !failure) failure = port.error();
    return port ? (tls ? "https://" : "http://") + address + ":" + std::to_string(*port) : "";
  };
  endpoints.arm = open("arm", {Speaks::arm, ""}, true, options_.address);
  endpoints.login = open("login", {Speaks::login, ""}, true, options_.address);
  endpoints.admin = open("admin", {Speaks::admin, ""}, false, options_.address);
  endpoints.imds = open("imds", {Speaks::imds, ""}, false, "127.0.0.1");
  std::vector<std::pair<std::string, std::string>> batch;
  for (const BatchAccount& account : world_.batch_accounts) {
    const std::string url = open("batch " + account.name, {Speaks::batch, account.name}, true, options_.address);
    endpoints.batch[account.name] = url;
    endpoints.batch_http[account.name] =
        open("batch_http " + account.name, {Speaks::batch, account.name}, false, options_.address);
    endpoints.batch_keys[account.name] = account.key;
    batch.emplace_back(account.name, url);
  }
  if (failure) return fail(*failure);
  endpoints.admin_token = kept_.admin_token;
  endpoints.ca_file = (std::filesystem::absolute(folder_) / "ca.pem").string();
  face_->set_urls(endpoints.arm, endpoints.login, std::move(batch));
  if (auto saved = save_kept(folder_ / "kept.json", kept_); !saved) return saved;
  if (auto written = write_file(folder_ / "endpoints.json", to_json(endpoints) + "\n", 0600); !written) return written;
  log_info("rehearsal_open", {{"folder", folder_.string()},
                              {"arm", endpoints.arm},
                              {"admin", endpoints.admin},
                              {"batch_accounts", world_.batch_accounts.size()},
                              {"machines", options_.host_socket.empty() ? "virtual" : "real"}});
  return {};
}

void Rehearsal::handle(http::Asked asked, http::Answer answer) {
  if (asked.method != "GET" && asked.method != "HEAD") change();
  if (imds_doors_) {
    if (const auto key = imds_doors_->key_of(asked.door)) {
      const Machine* machine = *key == 0 ? nullptr : site_->find(*key);
      // A machine that is being taken away gets no answer any more.
      if (*key == 0 || machine) face_->handle_imds(machine, std::move(asked), std::move(answer));
      return;
    }
  }
  const auto it = kinds_.find(asked.door);
  if (it == kinds_.end()) return;
  const DoorKind& kind = it->second;
  switch (kind.speaks) {
    case Speaks::arm:
      return face_->handle(AzureFace::Plane::arm, "", std::move(asked), std::move(answer));
    case Speaks::login:
      return face_->handle(AzureFace::Plane::login, "", std::move(asked), std::move(answer));
    case Speaks::batch:
      return face_->handle(AzureFace::Plane::batch, kind.account, std::move(asked), std::move(answer));
    case Speaks::imds:
      return face_->handle_imds(site_->find_by_address(asked.peer), std::move(asked), std::move(answer));
    case Speaks::admin:
      return admin_->handle(asked, answer);
  }
}

}  // namespace

Result<void> run_server(const ServerOptions& options) {
  if (options.host_socket.empty() != options.state_folder.empty())
    return fail(ErrorCode::bad_config, "--host-socket and --state go together: both for real machines, or neither");
  Rehearsal rehearsal(options);
  if (auto started = rehearsal.start(); !started) return started;
  rehearsal.run();
  return {};
}

}  // namespace slipway::rehearse
