#include "daemon/lease.h"

#include <fcntl.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <thread>
#include <utility>

#include "base/log.h"
#include "join/handshake.h"

namespace slipway::daemon {

namespace {

constexpr std::string_view magic = "slipway-lease-1";
// Written as a whole into one block, so that a shorter line leaves nothing of a longer one behind.
constexpr size_t line_bytes = 512;
// Locks beyond the text: one for a read and a write together, one for a holder's life.
constexpr off_t turn_lock = 1 << 20;
constexpr off_t life_lock = turn_lock + 1;
constexpr int turn_tries = 100;
constexpr std::chrono::milliseconds turn_pause{10};

bool set_lock(int file, short kind, off_t at) {
  struct flock lock {};
  lock.l_type = kind;
  lock.l_whence = SEEK_SET;
  lock.l_start = at;
  lock.l_len = 1;
  // Of the open file, not of the process: threads and other open files of one process count as strangers.
  return ::fcntl(file, F_OFD_SETLK, &lock) == 0;
}

class Turn {
 public:
  explicit Turn(int file) : file_(file) {
    for (int i = 0; i < turn_tries && !(taken_ = set_lock(file_, F_WRLCK, turn_lock)); ++i) {
      std::this_thread::sleep_for(turn_pause);
    }
  }
  ~Turn() {
    if (taken_) set_lock(file_, F_UNLCK, turn_lock);
  }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;
  bool taken() const { return taken_; }

 private:
  int file_;
  bool taken_ = false;
};

constexpr std::array<std::string_view, 3> state_words = {"held", "held_locked", "released"};

std::optional<uint64_t> number(std::string_view text) {
  uint64_t value = 0;
  const auto [end, bad] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (bad != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

}  // namespace

Duration boot_time() {
  timespec now{};
  clock_gettime(CLOCK_BOOTTIME, &now);
  return std::chrono::duration_cast<Duration>(std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec));
}

std::string encode_lease(const LeaseLine& line) {
  const std::string beat = std::to_string(line.beat);
  // The beat at both ends tells a whole line from one that was cut off.
  std::string text = std::string(magic) + " " + beat + " " + std::to_string(line.epoch) + " " +
                     std::string(state_words[static_cast<size_t>(line.state)]) + " " + line.boot_id + " " +
                     line.holder + " " + line.at + " " + beat + "\n";
  text.resize(std::max(text.size(), line_bytes), ' ');
  return text;
}

Result<LeaseLine> decode_lease(std::string_view text) {
  const auto bad = [] { return fail(ErrorCode::bad_config, "the lease file holds no lease"); };
  const size_t end = text.find('\n');
  if (end == text.npos) return bad();
  text = text.substr(0, end);
  std::array<std::string_view, 8> field;
  for (size_t i = 0; i < field.size(); ++i) {
    const size_t gap = text.find(' ');
    if ((gap == text.npos) != (i + 1 == field.size())) return bad();
    field[i] = text.substr(0, gap);
    text.remove_prefix(gap == text.npos ? text.size() : gap + 1);
  }
  const auto beat = number(field[1]);
  const auto epoch = number(field[2]);
  const auto* const state = std::find(state_words.begin(), state_words.end(), field[3]);
  if (field[0] != magic || !beat || !epoch || state == state_words.end() || field[7] != field[1]) return bad();
  LeaseLine line;
  line.beat = *beat;
  line.epoch = *epoch;
  line.state = static_cast<LeaseLine::State>(state - state_words.begin());
  line.boot_id = field[4];
  line.holder = field[5];
  line.at = field[6];
  return line;
}

// --- the file ---

Lease::Lease(Options options) : options_(std::move(options)) {}

Lease::~Lease() = default;

Result<void> Lease::open() {
  if (file_) return {};
  // Not through a link: the folder belongs to slurmctld's user, this process is root.
  file_ = Fd(::open(options_.file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!file_) return fail_errno("open " + options_.file.string());
  return {};
}

Result<Lease::Outcome> Lease::step() {
  const Duration begun = options_.clock();
  if (auto opened = open(); !opened) return Failure(opened.error());
  const Turn turn(file_.get());
  if (!turn.taken()) return fail(ErrorCode::transient, "somebody keeps " + options_.file.string() + " locked");
  char text[line_bytes];
  const ssize_t size = ::pread(file_.get(), text, sizeof text, 0);
  if (size < 0) return fail_errno("read " + options_.file.string());
  const std::string_view found(text, static_cast<size_t>(size));
  const auto line = decode_lease(found);
  Outcome outcome;
  if (line) {
    outcome.epoch = line->epoch;
    outcome.holder = line->holder;
  }
  if (held_) {
    held_ = line && line->holder == own_.holder && line->epoch == own_.epoch;
    outcome.lost = !held_;
    if (outcome.lost) return outcome;
  } else {
    if (found != seen_) {
      seen_ = found;
      seen_at_ = options_.clock();
    }
    if (!may_take(line)) return outcome;
    own_ = {.epoch = next_epoch(line), .boot_id = options_.boot_id, .holder = options_.holder};
  }
  locked_ = locked_ || set_lock(file_.get(), F_WRLCK, life_lock);
  ++own_.beat;
  own_.state = locked_ ? LeaseLine::State::held_locked : LeaseLine::State::held;
  if (auto written = write(own_); !written) return Failure(written.error());
  held_ = true;
  outcome.held = true;
  outcome.valid_until = begun + options_.validity - options_.margin;
  outcome.epoch = own_.epoch;
  outcome.holder = own_.holder;
  return outcome;
}

bool Lease::may_take(const Result<LeaseLine>& line) {
  if (seen_.empty()) return true;  // a new file
  if (line && line->state == LeaseLine::State::released) return true;
  const bool same_kernel = line && !options_.boot_id.empty() && line->boot_id == options_.boot_id;
  if (same_kernel && line->state == LeaseLine::State::held_locked && set_lock(file_.get(), F_WRLCK, life_lock)) {
    locked_ = true;
    return true;
  }
  return options_.clock() - seen_at_ >= options_.validity;
}

uint64_t Lease::next_epoch(const Result<LeaseLine>& line) const {
  if (line) return line->epoch + 1;
  if (seen_.empty()) return 1;
  // Somebody counted, and it can't be read: the present second is larger than any count.
  const auto now = SystemClock().now().time_since_epoch();
  return static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::seconds>(now).count());
}

Result<void> Lease::write(LeaseLine line) {
  line.at = to_iso8601(SystemClock().now());
  const std::string text = encode_lease(line);
  if (::pwrite(file_.get(), text.data(), text.size(), 0) != static_cast<ssize_t>(text.size()) ||
      ::fdatasync(file_.get()) != 0) {
    return fail_errno("write " + options_.file.string());
  }
  return {};
}

void Lease::release() {
  if (!std::exchange(held_, false)) return;
  const Turn turn(file_.get());
  char text[line_bytes];
  const ssize_t size = turn.taken() ? ::pread(file_.get(), text, sizeof text, 0) : -1;
  const auto line = decode_lease({text, static_cast<size_t>(std::max<ssize_t>(size, 0))});
  if (!line || line->holder != own_.holder || line->epoch != own_.epoch) return;
  own_.state = LeaseLine::State::released;
  (void)write(own_);
}

// --- keeping it ---

LeaseKeeper::LeaseKeeper(Loop& loop, Options options, Events events)
    : loop_(loop), options_(std::move(options)), events_(std::move(events)), lease_(options_.lease) {
  worker_.emplace(loop, 1u);
  step();
}

LeaseKeeper::~LeaseKeeper() {
  loop_.cancel(timer_);
  loop_.cancel(watch_);
  worker_.reset();  // waits for a step that runs
  lease_.release();
}

void LeaseKeeper::step() {
  worker_->run([this] { return lease_.step(); }, [this](const Result<Lease::Outcome>& outcome) { stepped(outcome); });
}

void LeaseKeeper::stepped(const Result<Lease::Outcome>& outcome) {
  if (lost_ || (held_ && !is_held())) return;
  timer_ = loop_.after(held_ || (outcome && outcome->held) ? options_.renew_every : options_.look_every, [this] {
    timer_ = Loop::TimerId::none;
    step();
  });
  if (!outcome) {
    if (waits_for_ != outcome.error().message) log_error("lease_unusable", {{"why", outcome.error().message}});
    waits_for_ = outcome.error().message;
    return;
  }
  if (outcome->lost) return lose("another daemon has taken it: " + outcome->holder);
  if (!outcome->held) {
    const std::string whom = outcome->holder.empty() ? "a holder that can't be read" : outcome->holder;
    if (waits_for_ != whom) log_info("stands_by", {{"for", whom}, {"epoch", outcome->epoch}});
    waits_for_ = whom;
    return;
  }
  waits_for_.clear();
  valid_until_ = outcome->valid_until;
  loop_.cancel(watch_);
  watch_ = loop_.after(std::max(Duration(0), valid_until_ - options_.lease.clock()), [this] {
    watch_ = Loop::TimerId::none;
    (void)is_held();
  });
  if (std::exchange(held_, true)) return;
  epoch_ = outcome->epoch;
  log_info("lease_taken", {{"holder", options_.lease.holder}, {"epoch", epoch_}});
  events_.taken();
}

bool LeaseKeeper::is_held() {
  if (!held_ || lost_) return false;
  if (options_.lease.clock() < valid_until_) return true;
  lose("it could not be renewed in time");
  return false;
}

void LeaseKeeper::lose(const std::string& why) {
  lost_ = true;
  held_ = false;
  log_error("lease_lost", {{"epoch", epoch_}, {"why", why}});
  events_.lost(why);
}

std::string own_holder_name() {
  char host[256] = {};
  if (::gethostname(host, sizeof host - 1) != 0 || host[0] == '\0') host[0] = '?';
  std::string name(host);
  std::replace_if(
      name.begin(), name.end(), [](char c) { return c <= ' '; }, '?');
  return name + "/" + std::to_string(::getpid()) + "/" + join::to_hex(join::random_key()).substr(0, 12);
}

std::string own_boot_id() {
  auto text = read_file("/proc/sys/kernel/random/boot_id", 256);
  if (!text) return {};
  std::string id = *text;
  std::erase_if(id, [](char c) { return c <= ' '; });
  return id;
}

}  // namespace slipway::daemon
