// What was asked for on the command line, as plain data. parse.cc fills it with CLI11, which stays in that one file;
// everything else in the room reads it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace slipway::cli {

enum class Verb {
  none,
  validate,
  up,
  rehearse,
  status,
  nodes,
  jobs,
  events,
  explain,
  exec,
  shell,
  logs,
  down,
  chaos_kill,
  chaos_freeze,
  chaos_thaw,
  chaos_cut_off,
  chaos_reconnect,
  chaos_evict,
  chaos_boot,
  chaos_capacity,
  chaos_clear,
  simulate,
  doctor_azure,
  azure_role,
  completion,
  version,
};

struct Options {
  Verb verb = Verb::none;

  // Every command.
  std::string cluster;  // empty: the only one of this box
  std::filesystem::path state_base;
  bool json = false;

  // Each command's own; which ones, parse.cc says.
  std::filesystem::path file;      // validate, up, rehearse, simulate, doctor azure, azure role
  std::filesystem::path image;     // rehearse; empty: the box's own root
  std::filesystem::path levers;    // rehearse; empty: all is well
  std::string subnet;              // up, rehearse; empty: the file's, or a free one
  bool keep_data = false;          // down
  bool all = false;                // nodes
  std::string pool;                // nodes, chaos boot, chaos capacity
  bool follow = false;             // events, logs
  std::string node;                // events
  uint32_t lines = 0;              // events, logs
  std::string target;              // explain, exec, shell, logs
  std::string log;                 // logs: one of the machine's logs
  std::string user;                // exec, shell
  std::vector<std::string> words;  // exec: the command; chaos: the machines
  std::string delay;               // chaos boot
  uint32_t never = 0;
  uint32_t refuse = 0;
  std::string notice;    // chaos evict
  std::string capacity;  // chaos capacity: a number or "unlimited"
  std::string market;    // chaos capacity; empty: any
  std::string machine;
  std::string zone;
  std::string error;
  uint64_t seed = 1;  // simulate
  uint64_t seeds = 1;
  uint32_t minutes = 0;  // 0: drawn from the seed, like the next
  uint32_t node_count = 0;
  bool trace = false;
  bool progress = false;
  std::filesystem::path script;
  std::string shell;  // completion
};

// The end of parsing: either options to act on, or text to print and an exit status (help, or wrong usage).
struct Parsed {
  Options options;
  bool stop = false;
  int exit_status = 0;
  std::string out;
  std::string err;
};
// `words`: the command line without the program's name.
Parsed parse_command_line(std::vector<std::string> words);

// The same commands and options as a tree, for the completion scripts.
struct OptionNode {
  std::vector<std::string> names;  // "--follow", "-f"; a positional has one bare word
  std::string description;
  std::string type;  // empty: a flag. "FILE", "DIR", "N", …, or the choices: "bash|zsh|fish"
};
struct CommandNode {
  std::string name;
  std::string description;
  std::vector<OptionNode> options;
  std::vector<OptionNode> positionals;
  std::vector<CommandNode> commands;
};
CommandNode command_tree();

}  // namespace slipway::cli
