#include "config/azure_values.h"

#include <algorithm>
#include <array>

#include "config/words.h"

namespace slipway::config {
namespace {

constexpr size_t name_max = 90;
constexpr size_t text_max = 512;

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_small(char c) {
  return c >= 'a' && c <= 'z';
}
bool is_letter(char c) {
  return is_small(c) || (c >= 'A' && c <= 'Z');
}
bool is_hex(char c) {
  return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}
// Of the names of groups and resources.
bool is_name(char c) {
  return is_letter(c) || is_digit(c) || c == '_' || c == '-' || c == '.' || c == '(' || c == ')';
}
template <class Fits>
bool all(std::string_view text, Fits fits) {
  return std::all_of(text.begin(), text.end(), fits);
}

bool is_resource_name(std::string_view text) {
  return !text.empty() && text.size() <= name_max && all(text, is_name);
}

bool is_guid(std::string_view text) {
  if (text.size() != 36) return false;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool dash = i == 8 || i == 13 || i == 18 || i == 23;
    if (dash ? text[i] != '-' : !is_hex(text[i])) return false;
  }
  return true;
}

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> out;
  for (size_t start = 0; start <= text.size();) {
    const size_t end = std::min(text.find(separator, start), text.size());
    out.push_back(text.substr(start, end - start));
    start = end + 1;
  }
  return out;
}

// Azure compares ids without regard to case.
bool has_form(std::string_view id, std::string_view form) {
  const auto parts = split(id, '/');
  const auto wanted = split(form, '/');
  if (parts.size() != wanted.size()) return false;
  for (size_t i = 0; i < parts.size(); ++i) {
    if (wanted[i] == "*" ? !is_resource_name(parts[i]) : !equal_ignoring_case(parts[i], wanted[i])) return false;
  }
  return parts.size() < 3 || wanted[1] != "subscriptions" || is_guid(parts[2]);
}

// "https" of "https://…", empty when the text is no address of a server.
std::string_view url_scheme(std::string_view url) {
  const size_t end = url.find("://");
  if (end == std::string_view::npos || url.size() > text_max) return "";
  const std::string_view rest = url.substr(end + 3);
  const auto fits = [](char c) {
    return is_letter(c) || is_digit(c) || std::string_view("-._~:/[]%").find(c) != std::string_view::npos;
  };
  if (rest.empty() || !all(rest, fits) || !(is_letter(rest[0]) || is_digit(rest[0]) || rest[0] == '[')) return "";
  return url.substr(0, end);
}

bool stays_here(std::string_view url) {
  const std::string_view rest = url.substr(url.find("://") + 3);
  if (rest.starts_with("[::1]")) return true;
  const std::string_view host = rest.substr(0, rest.find_first_of(":/"));
  const auto is_address = [](char c) { return is_digit(c) || c == '.'; };
  const bool set_aside = host.starts_with("127.") || host.starts_with("198.18.") || host.starts_with("198.19.");
  return host == "localhost" || (set_aside && all(host, is_address));
}

// The text if `fits` says so; else reports that it isn't what was expected.
template <class Fits>
std::optional<std::string> read_fitting(Context& context, const Field& field, const std::string& expected, Fits fits) {
  auto text = read_text(context.problems, field, expected);
  if (!text || (text->size() <= text_max && fits(*text))) return text;
  context.problems.error(field.at, join({field.path, ": ", show(*text), " won't do; expected ", expected}));
  return std::nullopt;
}

}  // namespace

std::optional<std::string> read_guid(Context& context, const Field& field, std::string_view what) {
  return read_fitting(context, field, join({what, ", 32 hex digits like 11111111-2222-3333-4444-555555555555"}),
                      is_guid);
}

std::optional<std::string> read_tenant(Context& context, const Field& field) {
  const auto fits = [](std::string_view text) {
    const auto is_domain = [](char c) { return is_letter(c) || is_digit(c) || c == '.' || c == '-'; };
    return is_guid(text) || (text.find('.') != std::string_view::npos && all(text, is_domain) && text.size() < 254);
  };
  return read_fitting(context, field, "the tenant's id (32 hex digits with dashes) or domain", fits);
}

std::optional<std::string> read_resource_group(Context& context, const Field& field) {
  const auto fits = [](std::string_view text) { return is_resource_name(text) && !text.ends_with('.'); };
  return read_fitting(context, field,
                      "a resource group's name: letters, digits, '_', '-', '.', '(' and ')', at most 90", fits);
}

std::optional<std::string> read_region(Context& context, const Field& field) {
  const auto is_region = [](std::string_view text) {
    return text.size() <= 40 && !text.empty() && is_small(text[0]) &&
           all(text, [](char c) { return is_small(c) || is_digit(c); });
  };
  auto text = read_text(context.problems, field, "a region like westeurope");
  if (!text || is_region(*text)) return text;
  // "West Europe" is how the portal shows it.
  std::string plain = lower(*text);
  std::erase_if(plain, [](char c) { return c == ' ' || c == '-' || c == '_'; });
  const std::string hint = is_region(plain) ? "; did you mean '" + plain + "'?" : "";
  context.problems.error(field.at,
                         join({field.path, ": ", show(*text),
                               " is not a region; expected small letters and digits, like westeurope", hint}));
  return std::nullopt;
}

std::optional<std::string> read_azure_subnet(Context& context, const Field& field) {
  return read_fitting(
      context, field,
      "VNET/SUBNET of the pool's resource group, or a resource id like /subscriptions/ID/resourceGroups/"
      "GROUP/providers/Microsoft.Network/virtualNetworks/VNET/subnets/SUBNET",
      [](std::string_view text) { return has_form(text, subnet_form) || has_form(text, "*/*"); });
}

std::optional<std::string> read_azure_image(Context& context, const Field& field) {
  static constexpr std::array<std::string_view, 3> forms = {
      "/subscriptions/*/resourceGroups/*/providers/Microsoft.Compute/images/*",
      "/subscriptions/*/resourceGroups/*/providers/Microsoft.Compute/galleries/*/images/*",
      "/subscriptions/*/resourceGroups/*/providers/Microsoft.Compute/galleries/*/images/*/versions/*"};
  const auto fits = [](std::string_view text) {
    if (text.starts_with('/')) {
      return std::any_of(forms.begin(), forms.end(), [&](std::string_view form) { return has_form(text, form); });
    }
    const auto parts = split(text, ':');
    return parts.size() == 4 && std::all_of(parts.begin(), parts.end(), is_resource_name);
  };
  return read_fitting(context, field,
                      "a marketplace image as publisher:offer:sku:version, like "
                      "canonical:ubuntu-24_04-lts:server:latest, or the resource id of an image or a gallery's image",
                      fits);
}

std::optional<std::string> read_account_name(Context& context, const Field& field, std::string_view what) {
  const auto fits = [](std::string_view text) {
    return text.size() >= 3 && text.size() <= 24 && all(text, [](char c) { return is_small(c) || is_digit(c); });
  };
  return read_fitting(context, field, join({what, "'s name, 3 to 24 small letters and digits"}), fits);
}

std::optional<std::string> read_resource_id(Context& context, const Field& field, std::string_view form,
                                            std::string_view what) {
  std::string shown(form);
  for (size_t at = 0; (at = shown.find('*', at)) != std::string::npos; at += 3) shown.replace(at, 1, "…");
  return read_fitting(context, field, join({"the resource id of ", what, ", like ", shown}),
                      [&](std::string_view text) { return has_form(text, form); });
}

std::optional<std::string> read_url(Context& context, const Field& field, std::string_view example,
                                    bool plain_anywhere) {
  auto text = read_text(context.problems, field, join({"an address like ", example}));
  if (!text) return std::nullopt;
  const std::string_view scheme = url_scheme(*text);
  if (scheme != "https" && scheme != "http") {
    context.problems.error(field.at,
                           join({field.path, ": ", show(*text), " is not an address; expected one like ", example}));
    return std::nullopt;
  }
  if (scheme == "http" && !plain_anywhere && !stays_here(*text)) {
    context.problems.error(field.at, join({field.path, ": ", show(*text),
                                           " isn't encrypted, so that anyone on the way could read and change what is "
                                           "said; expected https://…"}));
    return std::nullopt;
  }
  while (text->ends_with('/')) text->pop_back();
  return text;
}

std::optional<std::string> read_file_path(Context& context, const Field& field, std::string_view what) {
  const TreeNode& node = *field.node;
  const auto fits = [](char c) { return static_cast<unsigned char>(c) > 0x20 && c != 0x7f; };
  if (node.kind == NodeKind::scalar && node.text.size() > 1 && node.text.size() <= text_max &&
      node.text.starts_with('/') && all(node.text, fits)) {
    return node.text;
  }
  context.problems.error(field.at, join({field.path, ": is not the absolute path of a file; expected one that holds ",
                                         what, ", readable by root only. What is written there isn't shown here"}));
  return std::nullopt;
}

}  // namespace slipway::config
