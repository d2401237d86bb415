#include "daemon/hosts_file.h"

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "base/files.h"

namespace slipway::daemon {
namespace {

TEST(HostsFile, SectionsAreReplacedInPlaceAndOthersKept) {
  const std::string foreign = "127.0.0.1 localhost";
  const std::string one = with_hosts_section(foreign, "nodes", "127.0.0.1 cpu-0001");
  EXPECT_EQ(one, "127.0.0.1 localhost\n# slipway nodes\n127.0.0.1 cpu-0001\n# end of slipway nodes\n");
  const std::string two = with_hosts_section(one + "10.0.0.1 other\n", "logins", "198.18.0.3 login\n");
  const std::string three = with_hosts_section(two, "nodes", "");
  EXPECT_EQ(three,
            "127.0.0.1 localhost\n# slipway nodes\n# end of slipway nodes\n10.0.0.1 other\n"
            "# slipway logins\n198.18.0.3 login\n# end of slipway logins\n");
  EXPECT_EQ(with_hosts_section(three, "nodes", ""), three);
  EXPECT_EQ(with_hosts_section("# slipway nodes\nno end", "nodes", "x"),
            "# slipway nodes\nno end\n# slipway nodes\nx\n# end of slipway nodes\n");
}

TEST(HostsFile, AnUnchangedFileIsNotTouched) {
  std::string pattern = (std::filesystem::temp_directory_path() / "slipway-hosts-XXXXXX").string();
  ASSERT_NE(mkdtemp(pattern.data()), nullptr);
  const std::filesystem::path file = std::filesystem::path(pattern) / "hosts";
  ASSERT_TRUE(write_hosts_section(file, "logins", "198.18.0.3 login\n").has_value());
  struct stat before {};
  ASSERT_EQ(stat(file.c_str(), &before), 0);
  ASSERT_TRUE(write_hosts_section(file, "logins", "198.18.0.3 login\n").has_value());
  struct stat after {};
  ASSERT_EQ(stat(file.c_str(), &after), 0);
  EXPECT_EQ(before.st_ino, after.st_ino);
  std::filesystem::remove_all(pattern);
}

}  // namespace
}  // namespace slipway::daemon
