// Completion scripts, generated from the command tree so that they can't fall behind it.
#include "cli/commands.h"

namespace slipway::cli {

namespace {

bool is_choice(const std::string& type) {
  return type.find('|') != std::string::npos && type.find_first_of("ABCDEFGHIJKLMNOPQRSTUVWXYZ") == std::string::npos;
}

std::string replaced(std::string text, char what, const std::string& with) {
  for (size_t at = 0; (at = text.find(what, at)) != std::string::npos; at += with.size()) text.replace(at, 1, with);
  return text;
}

// Words that can stand for a value of this type, blank-separated; the machines that every cluster has.
std::string words_of(const std::string& type) {
  if (is_choice(type)) return replaced(type, '|', " ");
  if (type == "MACHINE") return "controller login";
  if (type == "WHAT") return "controller login host daemon slurmctld";
  if (type == "N|unlimited") return "unlimited";
  if (type == "LOG") return "agent prep munged slurmctld slipwayd slurmd";
  return "";
}

std::string option_words(const CommandNode& node) {
  std::string text;
  for (const OptionNode& option : node.options) {
    for (const std::string& name : option.names) text += (text.empty() ? "" : " ") + name;
  }
  return text;
}

std::string command_words(const CommandNode& node) {
  std::string text;
  for (const CommandNode& command : node.commands) text += (text.empty() ? "" : " ") + command.name;
  return text;
}

// Calls `visit(path, node)` for the node and everything below it; a path is "slipway chaos kill".
template <class Visit>
void walk(const CommandNode& node, const std::string& path, const Visit& visit) {
  visit(path, node);
  for (const CommandNode& command : node.commands) walk(command, path + " " + command.name, visit);
}

std::string bash_values(const std::string& type, const std::string& reply) {
  if (type == "FILE") return reply + "$(compgen -f -- \"$cur\"))";
  if (type == "DIR") return reply + "$(compgen -d -- \"$cur\"))";
  if (type == "USER") return reply + "$(compgen -u -- \"$cur\"))";
  return reply + "$(compgen -W \"" + words_of(type) + "\" -- \"$cur\"))";
}

std::string bash_script(const CommandNode& tree) {
  std::string paths;
  std::string values;
  std::string choices;
  walk(tree, tree.name, [&](const std::string& path, const CommandNode& node) {
    for (const CommandNode& command : node.commands) {
      paths += "      \"" + path + " " + command.name + "\") path=\"" + path + " " + command.name + "\" ;;\n";
    }
    for (const OptionNode& option : node.options) {
      if (option.type.empty()) continue;
      for (const std::string& name : option.names) {
        values += "    \"" + path + " " + name + "\") " + bash_values(option.type, "COMPREPLY=(") + "; return ;;\n";
      }
    }
    std::string line = "    \"" + path + "\")\n      COMPREPLY=($(compgen -W \"" + command_words(node) + " " +
                       option_words(node) + " $globals\" -- \"$cur\"))\n";
    if (!node.positionals.empty()) line += "      " + bash_values(node.positionals.front().type, "COMPREPLY+=(") + "\n";
    choices += line + "      ;;\n";
  });
  std::string globals;
  for (const OptionNode& option : tree.options) {
    if (option.type.empty()) continue;
    for (const std::string& name : option.names) {
      globals += "    *\" " + name + "\") " + bash_values(option.type, "COMPREPLY=(") + "; return ;;\n";
    }
  }
  return "# bash completion for slipway: source it, or put it into /etc/bash_completion.d\n"
         "_slipway() {\n"
         "  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} path=slipway i\n"
         "  local globals=\"" +
         option_words(tree) +
         "\"\n"
         "  COMPREPLY=()\n"
         "  for ((i = 1; i < COMP_CWORD; i++)); do\n"
         "    if [[ ${COMP_WORDS[i]} == -- ]]; then\n"
         "      COMPREPLY=($(compgen -c -- \"$cur\"))\n"
         "      return\n"
         "    fi\n"
         "    case \"$path ${COMP_WORDS[i]}\" in\n" +
         paths +
         "    esac\n"
         "  done\n"
         "  case \"$path $prev\" in\n" +
         values + globals +
         "  esac\n"
         "  case \"$path\" in\n" +
         choices +
         "  esac\n"
         "}\n"
         "complete -o filenames -F _slipway slipway\n";
}

// Inside single quotes of zsh and of fish.
std::string quoted(const std::string& text) {
  return replaced(text, '\'', "'\\''");
}

std::string zsh_description(const std::string& text) {
  return quoted(replaced(replaced(replaced(text, '[', "("), ']', ")"), ':', "\\:"));
}

std::string zsh_values(const std::string& type) {
  if (type == "FILE") return "_files";
  if (type == "DIR") return "_files -/";
  if (type == "USER") return "_users";
  const std::string words = words_of(type);
  return words.empty() ? "" : "(" + words + ")";
}

std::string zsh_function(const std::string& path) {
  return "_" + replaced(replaced(path, ' ', "_"), '-', "_");
}

std::string zsh_script(const CommandNode& tree) {
  std::string functions;
  walk(tree, tree.name, [&](const std::string& path, const CommandNode& node) {
    std::string arguments;
    const auto add = [&](const CommandNode& from) {
      for (const OptionNode& option : from.options) {
        for (const std::string& name : option.names) {
          arguments += " \\\n    '" + name + "[" + zsh_description(option.description) + "]" +
                       (option.type.empty() ? "" : ":" + option.type + ":" + zsh_values(option.type)) + "'";
        }
      }
    };
    add(node);
    if (path != tree.name) add(tree);
    std::string body = "  local curcontext=\"$curcontext\" state line\n  _arguments -C" + arguments;
    if (node.commands.empty()) {
      for (const OptionNode& positional : node.positionals) {
        const bool command = positional.type == "CMD";
        body += std::string(" \\\n    '") + (command ? "*::" : ":") + positional.names.front() + ":" +
                (command ? "_normal" : zsh_values(positional.type)) + "'";
      }
      functions += zsh_function(path) + "() {\n" + body + "\n}\n\n";
      return;
    }
    body += " \\\n    ': :->command' '*:: :->rest'\n  case $state in\n    command)\n      local -a commands=(\n";
    for (const CommandNode& command : node.commands) {
      body += "        '" + command.name + ":" + zsh_description(command.description) + "'\n";
    }
    body += "      )\n      _describe command commands ;;\n    rest)\n      case $words[1] in\n";
    for (const CommandNode& command : node.commands) {
      body += "        " + command.name + ") " + zsh_function(path + " " + command.name) + " ;;\n";
    }
    functions += zsh_function(path) + "() {\n" + body + "      esac ;;\n  esac\n}\n\n";
  });
  return "#compdef slipway\n# zsh completion for slipway: put it into a folder of $fpath as _slipway\n\n" + functions +
         "if [ \"$funcstack[1]\" = _slipway ]; then\n  _slipway \"$@\"\nelse\n  compdef _slipway slipway\nfi\n";
}

std::string fish_script(const CommandNode& tree) {
  std::string text =
      "# fish completion for slipway: put it into ~/.config/fish/completions as slipway.fish\ncomplete -c slipway -f\n";
  walk(tree, tree.name, [&](const std::string& path, const CommandNode& node) {
    const bool top = path == tree.name;
    // "slipway chaos kill" holds where both words were typed.
    std::string condition;
    for (size_t at = tree.name.size(); at < path.size();) {
      const size_t end = std::min(path.find(' ', at + 1), path.size());
      condition +=
          (condition.empty() ? "" : "; and ") + ("__fish_seen_subcommand_from " + path.substr(at + 1, end - at - 1));
      at = end;
    }
    const std::string prefix = "complete -c slipway" + (condition.empty() ? "" : " -n '" + condition + "'");
    if (!node.commands.empty()) {
      const std::string without =
          (condition.empty() ? "" : condition + "; and ") + ("not __fish_seen_subcommand_from " + command_words(node));
      for (const CommandNode& command : node.commands) {
        text += "complete -c slipway -n '" + without + "' -a " + command.name + " -d '" + quoted(command.description) +
                "'\n";
      }
    }
    for (const OptionNode& option : node.options) {
      text += top ? "complete -c slipway" : prefix;
      for (const std::string& name : option.names)
        text += name[1] == '-' ? " -l " + name.substr(2) : " -s " + name.substr(1);
      if (!option.type.empty()) {
        const std::string words = words_of(option.type);
        text += option.type == "FILE" || option.type == "DIR" ? " -r -F"
                                                              : " -x" + (words.empty() ? "" : " -a '" + words + "'");
      }
      text += " -d '" + quoted(option.description) + "'\n";
    }
    if (node.positionals.empty()) return;
    const std::string& type = node.positionals.front().type;
    if (type == "FILE") text += prefix + " -F\n";
    if (const std::string words = words_of(type); !words.empty()) text += prefix + " -a '" + words + "'\n";
  });
  return text;
}

}  // namespace

std::string completion_script(const CommandNode& tree, std::string_view shell) {
  if (shell == "zsh") return zsh_script(tree);
  if (shell == "fish") return fish_script(tree);
  return bash_script(tree);
}

}  // namespace slipway::cli
