// SPDX-License-Identifier: Apache-2.0
// What is measured needs a GPU; what becomes of measurements and of the file does not.
#include "device/cuda/tuning.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "base/error.h"
#include "device/cuda/kernels/conv_kernel.h"
#include "device/cuda/kernels/wgmma_choices.h"
#include "device/cuda/test_network.h"

namespace pronghorn::device::cuda {
namespace {

class Tuning : public ::testing::Test {
 protected:
  void SetUp() override {
    ::setenv("PRONGHORN_CACHE", folder_.c_str(), 1);
    file_ = tuning_file(*plan_, kImages, "NVIDIA H200");
  }
  void TearDown() override {
    ::unsetenv("PRONGHORN_CACHE");
    std::filesystem::remove_all(folder_);
  }
  std::string text() const {
    std::ostringstream out;
    out << std::ifstream(file_.path).rdbuf();
    return out.str();
  }
  // The note for a file of this text.
  std::string note_for(const std::string& changed) {
    std::ofstream(file_.path) << changed;
    std::string note;
    EXPECT_TRUE(read_tuning(file_, *plan_, kImages, note).empty());
    return note;
  }

  static constexpr int kImages = 1024;
  const std::filesystem::path folder_ =
      std::filesystem::temp_directory_path() / ("pronghorn-tuning-" + std::to_string(::getpid()));
  const std::shared_ptr<const Plan> plan_ = make_plan(test_network(), 90, 132);
  TuningFile file_;
};

TEST_F(Tuning, EveryChoiceFits) {
  for (const int images : {1, 8, kImages}) {
    const auto all = choices(*plan_, images);
    ASSERT_GT(all.size(), 2u);
    for (const auto& choice : all) EXPECT_EQ(fault_of(*plan_, images, choice), "");
  }
  const auto joined = choices(*plan_, kImages).back();
  EXPECT_EQ(std::count(joined.begin(), joined.end(), kWithNext), 3);
}

TEST_F(Tuning, TakesTheFastestOfEachStep) {
  const auto all = choices(*plan_, kImages);
  const std::size_t steps = plan_->steps.size();
  // Choice 1 is fastest everywhere, but for joined pairs that cost less than two of its steps.
  std::vector<std::vector<double>> times(all.size(), std::vector<double>(steps, 3e-6));
  times[1].assign(steps, 2e-6);
  times.back().assign(steps, 1.5e-6);
  std::vector<int> best = fastest(*plan_, all, times);
  EXPECT_EQ(fault_of(*plan_, kImages, best), "");
  EXPECT_EQ(std::count(best.begin(), best.end(), kWithNext), 3);
  // Nor are they taken when they cost more.
  times.back().assign(steps, 2.5e-6);
  best = fastest(*plan_, all, times);
  EXPECT_EQ(best, all[1]);
}

TEST_F(Tuning, FileKeepsVariants) {
  std::string note;
  EXPECT_TRUE(read_tuning(file_, *plan_, kImages, note).empty());
  EXPECT_EQ(note, "");  // no file is no fault
  const std::vector<int> variants = choices(*plan_, kImages).back();
  ASSERT_EQ(write_tuning(file_, variants), "");
  EXPECT_EQ(read_tuning(file_, *plan_, kImages, note), variants);
  EXPECT_EQ(note, "");
  EXPECT_NE(tuning_file(*plan_, 8, "NVIDIA H200").path, file_.path);
  EXPECT_NE(tuning_file(*plan_, kImages, "NVIDIA A100").path, file_.path);
  EXPECT_NE(tuning_file(*make_plan(test_network(), 80, 132), kImages, "NVIDIA H200").path,
            file_.path);
}

TEST_F(Tuning, DamagedFilesAreSaidToBe) {
  ASSERT_EQ(write_tuning(file_, make_schedule(*plan_, kImages).variants), "");
  const std::string good = text();
  // Cut anywhere, it is not whole.
  for (std::size_t size = 0; size + 1 < good.size(); size += 7) {
    const std::string note = note_for(good.substr(0, size));
    EXPECT_NE(note.find(file_.path.string()), std::string::npos);
    EXPECT_NE(note.find("measured again"), std::string::npos);
  }
  std::string other = good;
  other.replace(other.find("variants ", 20), 10, "variants 9");
  EXPECT_NE(note_for(other).find("no variant"), std::string::npos);
  EXPECT_NE(note_for(good + "more\n").find("not whole"), std::string::npos);
  std::string gpu = good;
  gpu.replace(gpu.find("H200"), 4, "A100");
  EXPECT_NE(note_for(gpu).find("not what it is named for"), std::string::npos);
  std::string many = good;
  many.insert(many.find("\nend"), " 0");
  EXPECT_NE(note_for(many).find("steps"), std::string::npos);
}

// Rows of the built-in table name variants that their layers take, and are what a plan gets.
TEST(MeasuredVariants, AreChosen) {
  int measured = 0;
  const auto look = [&](int n, int size, int ic, int oc, int kernel, int stride, bool residual) {
    ConvProblem p{};
    p.n = n;
    p.ih = p.iw = size;
    p.ic = ic;
    p.oc = oc;
    p.kh = p.kw = kernel;
    p.sh = p.sw = stride;
    p.pad_top = p.pad_left = kernel / 2;
    p.oh = p.ow = (size + 2 * p.pad_top - kernel) / stride + 1;
    p.groups = 1;
    p.result = residual ? ConvResult::kBytesResidual : ConvResult::kBytes;
    EXPECT_EQ(measured_variant(p, 114), nullptr);
    const char* variant = measured_variant(p, 132);
    if (variant == nullptr) return;
    ++measured;
    EXPECT_STREQ(kConvWgmmaSm90a.variant_name(kConvWgmmaSm90a.choose(p, 132)), variant)
        << "n" << n << " ih" << size << " ic" << ic << " oc" << oc << " k" << kernel;
  };
  for (const int n : {1, 8, 32, 64, 128, 256}) {
    int size = 56;
    for (int wide = 64; wide <= 512; wide *= 2, size /= 2) {
      for (const bool residual : {false, true}) {
        look(n, size, wide, wide * 4, 1, 1, residual);
        look(n, size, wide * 4, wide * 8, 1, 2, residual);
      }
      look(n, size, 64, 64, 1, 1, false);
      look(n, size, wide, wide, 3, 1, false);
      look(n, size, wide * 4, wide, 1, 1, false);
      look(n, size, wide * 4, wide * 2, 1, 1, false);
      look(n, size, wide * 2, wide * 2, 3, 2, false);
    }
  }
  EXPECT_GT(measured, 10);
}

TEST_F(Tuning, IsAskedForByName) {
  for (const auto& [value, wanted] : {std::pair{"", false}, {"0", false}, {"1", true}}) {
    ::setenv("PRONGHORN_AUTOTUNE", value, 1);
    EXPECT_EQ(tuning_wanted(), wanted);
  }
  ::setenv("PRONGHORN_AUTOTUNE", "yes", 1);
  EXPECT_THROW(tuning_wanted(), base::Error);
  ::unsetenv("PRONGHORN_AUTOTUNE");
}

}  // namespace
}  // namespace pronghorn::device::cuda
