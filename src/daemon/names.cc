#include "daemon/names.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <cerrno>
#include <charconv>

namespace slipway::daemon {

namespace {

constexpr size_t header_bytes = 12;
constexpr size_t query_max = 1232;
constexpr size_t name_max = 255;
constexpr int queries_a_turn = 256;  // then the loop's other callers get theirs
constexpr uint16_t type_a = 1;
constexpr uint16_t type_ptr = 12;
constexpr uint16_t class_in = 1;
constexpr char ttl_seconds = 1;  // a node's machine may change at any time
constexpr std::string_view reverse_zone = ".in-addr.arpa";

enum class Code : uint8_t { none = 0, malformed = 1, no_such_name = 3, not_implemented = 4 };

uint16_t number_at(std::string_view bytes, size_t at) {
  return static_cast<uint16_t>(static_cast<unsigned char>(bytes[at]) << 8 | static_cast<unsigned char>(bytes[at + 1]));
}

void put(std::string& out, uint16_t number) {
  out += static_cast<char>(number >> 8);
  out += static_cast<char>(number & 0xff);
}

struct Question {
  std::string name;  // lower case, without the last dot
  uint16_t type = 0;
  uint16_t klass = 0;
  size_t end = 0;  // behind it in the query
};

std::optional<Question> read_question(std::string_view query) {
  Question question;
  size_t at = header_bytes;
  for (;;) {
    if (at >= query.size()) return std::nullopt;
    const size_t length = static_cast<unsigned char>(query[at++]);
    if (length == 0) break;
    if (length > 63 || at + length > query.size() || question.name.size() + length + 1 > name_max) return std::nullopt;
    if (!question.name.empty()) question.name += '.';
    for (const char c : query.substr(at, length)) question.name += c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
    at += length;
  }
  if (at + 4 > query.size()) return std::nullopt;
  question.type = number_at(query, at);
  question.klass = number_at(query, at + 2);
  question.end = at + 4;
  return question;
}

// "7.0.18.198.in-addr.arpa" → "198.18.0.7"
std::optional<std::string> reversed_address(std::string_view name) {
  if (!name.ends_with(reverse_zone)) return std::nullopt;
  in_addr address{};
  if (inet_pton(AF_INET, std::string(name.substr(0, name.size() - reverse_zone.size())).c_str(), &address) != 1) return std::nullopt;
  address.s_addr = __builtin_bswap32(address.s_addr);
  char text[INET_ADDRSTRLEN];
  return std::string(inet_ntop(AF_INET, &address, text, sizeof text));
}

std::string encoded_name(std::string_view name) {
  std::string out;
  while (!name.empty()) {
    const std::string_view label = name.substr(0, std::min(name.find('.'), name.size()));
    out += static_cast<char>(std::min<size_t>(label.size(), 63));
    out += label.substr(0, 63);
    name.remove_prefix(std::min(name.size(), label.size() + 1));
  }
  out += '\0';
  return out;
}

std::string reply(std::string_view query, size_t question_end, Code code, uint16_t type, std::string_view data) {
  std::string out(query.substr(0, 2));
  const char recursion_desired = static_cast<char>(query[2] & 1);
  out += static_cast<char>(0x84 | recursion_desired);  // an answer, with authority
  out += static_cast<char>(0x80 | static_cast<char>(code));
  put(out, question_end > header_bytes ? 1 : 0);
  put(out, data.empty() ? 0 : 1);
  put(out, 0);
  put(out, 0);
  out += query.substr(header_bytes, question_end - header_bytes);
  if (data.empty()) return out;
  put(out, 0xc000 | header_bytes);  // the question's name
  put(out, type);
  put(out, class_in);
  out.append({0, 0, 0, ttl_seconds});
  put(out, static_cast<uint16_t>(data.size()));
  out += data;
  return out;
}

}  // namespace

std::string answer_query(std::string_view query, const NameLookup& lookup) {
  if (query.size() < header_bytes || (query[2] & 0x80) != 0) return {};
  if ((query[2] & 0x78) != 0) return reply(query, header_bytes, Code::not_implemented, 0, {});
  const auto question = number_at(query, 4) == 1 ? read_question(query) : std::nullopt;
  if (!question) return reply(query, header_bytes, Code::malformed, 0, {});
  if (question->klass == class_in && question->type == type_ptr) {
    const auto address = reversed_address(question->name);
    const auto name = address ? lookup.name_of(*address) : std::nullopt;
    if (!name) return reply(query, question->end, Code::no_such_name, 0, {});
    return reply(query, question->end, Code::none, type_ptr, encoded_name(*name));
  }
  const auto address = lookup.address_of(question->name);
  in_addr binary{};
  if (!address || inet_pton(AF_INET, address->c_str(), &binary) != 1) return reply(query, question->end, Code::no_such_name, 0, {});
  // The name exists, but has nothing of another type (AAAA).
  if (question->klass != class_in || question->type != type_a) return reply(query, question->end, Code::none, 0, {});
  return reply(query, question->end, Code::none, type_a, std::string_view(reinterpret_cast<const char*>(&binary), sizeof binary));
}

Result<std::unique_ptr<NameServer>> NameServer::open(Loop& loop, const std::string& endpoint, NameLookup lookup) {
  const size_t colon = endpoint.rfind(':');
  sockaddr_in address{};
  address.sin_family = AF_INET;
  uint16_t port = 0;
  const char* const end = endpoint.data() + endpoint.size();
  if (colon == endpoint.npos || inet_pton(AF_INET, endpoint.substr(0, colon).c_str(), &address.sin_addr) != 1 ||
      std::from_chars(endpoint.data() + colon + 1, end, port).ptr != end) {
    return fail(ErrorCode::bad_config, "not an address and port: " + endpoint);
  }
  address.sin_port = htons(port);
  Fd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) return fail_errno("socket");
  if (bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) return fail_errno("bind to " + endpoint);
  return std::unique_ptr<NameServer>(new NameServer(loop, std::move(socket), std::move(lookup)));
}

NameServer::NameServer(Loop& loop, Fd socket, NameLookup lookup) : loop_(loop), socket_(std::move(socket)), lookup_(std::move(lookup)) {
  loop_.watch(socket_.get(), EPOLLIN, [this](uint32_t) { serve(); });
}

NameServer::~NameServer() { loop_.unwatch(socket_.get()); }

void NameServer::serve() {
  char bytes[query_max];
  for (int i = 0; i < queries_a_turn; ++i) {
    sockaddr_in from{};
    socklen_t length = sizeof from;
    const ssize_t got = recvfrom(socket_.get(), bytes, sizeof bytes, 0, reinterpret_cast<sockaddr*>(&from), &length);
    if (got < 0) return;
    const std::string answer = answer_query(std::string_view(bytes, static_cast<size_t>(got)), lookup_);
    if (!answer.empty()) sendto(socket_.get(), answer.data(), answer.size(), MSG_DONTWAIT, reinterpret_cast<const sockaddr*>(&from), length);
  }
}

}  // namespace slipway::daemon
