#include "slurm/hook_protocol.h"

#include <gtest/gtest.h>

namespace slipway::slurm {
namespace {

std::string frame(const std::string& kind, const std::string& nodes, const std::string& job,
                  const std::string& resume_file) {
  std::string text;
  for (const std::string& field : {std::string("1"), kind, nodes, job}) text += field + '\0';
  return text + resume_file;
}

TEST(DecodeHint, ReadsTheResumeFileOf2205) {
  // Captured from 22.05.8; a second job added.
  const auto hint =
      decode_hint(frame("resume", "cpu-[0001-0004]", "",
                        R"({"jobs":[{"job_id":1,"nodes":"cpu-[0001-0003]"},{"job_id":2,"nodes":"cpu-0004"}],)"
                        R"("all_nodes":"cpu-[0001-0004]"})"));
  ASSERT_TRUE(hint);
  EXPECT_EQ(hint->kind, HintKind::resume);
  EXPECT_EQ(hint->nodes.size(), 4u);
  ASSERT_EQ(hint->jobs.size(), 2u);
  EXPECT_EQ(hint->jobs[0].id, 1u);
  EXPECT_EQ(hint->jobs[0].nodes.back().str(), "cpu-0003");
  EXPECT_EQ(hint->jobs[1].nodes.size(), 1u);
}

TEST(DecodeHint, ReadsTheResumeFileOf2411) {
  const auto hint = decode_hint(frame(
      "resume", "cpu-[0012-0013]", "",
      R"({"jobs":[{"extra":null,"job_id":3,"features":null,"nodes_alloc":"cpu-[0011-0013]","nodes_resume":"cpu-[0012-0013]",)"
      R"("oversubscribe":"OK","partition":"batch","reservation":null},{"job_id":4,"nodes_resume":null}],)"
      R"("all_nodes_resume":"cpu-[0012-0013]"})"));
  ASSERT_TRUE(hint);
  ASSERT_EQ(hint->jobs.size(), 1u);
  EXPECT_EQ(hint->jobs[0].id, 3u);
  ASSERT_EQ(hint->jobs[0].nodes.size(), 2u);
  EXPECT_EQ(hint->jobs[0].nodes[0].str(), "cpu-0012");
}

TEST(DecodeHint, ABadResumeFileCostsOnlyTheJobs) {
  for (const std::string& file :
       {std::string("{"), std::string("[]"), std::string("null"), std::string(R"({"jobs":7})"),
        std::string(R"({"jobs":[7,null,{}]})"),
        std::string(R"({"jobs":[{"job_id":-1,"nodes":"a"},{"job_id":"x","nodes":"a"},{"job_id":1,"nodes":"a[1-"}]})"),
        std::string(R"({"jobs":[{"job_id":99999999999,"nodes":"a"}]})"), std::string(100'000, '['),
        std::string("\0\0\0", 3)}) {
    const auto hint = decode_hint(frame("resume", "a-[1-2]", "", file));
    ASSERT_TRUE(hint) << file.substr(0, 40);
    EXPECT_EQ(hint->nodes.size(), 2u);
    EXPECT_TRUE(hint->jobs.empty()) << file.substr(0, 40);
  }
}

TEST(DecodeHint, KnowsTheOtherKinds) {
  EXPECT_EQ(decode_hint(frame("suspend", "a", "", ""))->kind, HintKind::suspend);
  EXPECT_EQ(decode_hint(frame("resume_fail", "a", "", ""))->kind, HintKind::resume_fail);
  const auto start = decode_hint(frame("job_start", "a-[1-3]", "4711", ""));
  ASSERT_TRUE(start);
  EXPECT_EQ(start->kind, HintKind::job_start);
  EXPECT_EQ(start->job, 4711u);
  EXPECT_EQ(start->nodes.size(), 3u);
}

TEST(DecodeHint, RefusesWhatTheHookNeverSends) {
  EXPECT_FALSE(decode_hint(""));
  EXPECT_FALSE(decode_hint("1"));
  EXPECT_FALSE(decode_hint(std::string("1\0resume\0a\0", 11)));
  EXPECT_FALSE(decode_hint(frame("reboot", "a", "", "")));
  EXPECT_FALSE(decode_hint(frame("resume", "a[", "", "")));
  std::string other = frame("resume", "a", "", "");
  other[0] = '2';
  EXPECT_FALSE(decode_hint(other));
}

}  // namespace
}  // namespace slipway::slurm
