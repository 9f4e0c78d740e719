// SPDX-License-Identifier: Apache-2.0
#include "device/cuda/tuning.h"

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string_view>

#include "base/error.h"
#include "base/file.h"
#include "device/cuda/kernels/conv_pair.h"
#include "device/cuda/kernels/conv_pool.h"

namespace pronghorn::device::cuda {
namespace {

constexpr int kFormat = 1;

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

std::filesystem::path folder() {
  if (const std::string own = variable("PRONGHORN_CACHE"); !own.empty()) {
    return std::filesystem::path(own) / "cuda";
  }
  if (const std::string xdg = variable("XDG_CACHE_HOME"); !xdg.empty()) {
    return std::filesystem::path(xdg) / "pronghorn" / "cuda";
  }
  if (const std::string home = variable("HOME"); !home.empty()) {
    return std::filesystem::path(home) / ".cache" / "pronghorn" / "cuda";
  }
  return {};
}

// FNV-1a, 64 bits: names files, guards nothing.
class Digest {
 public:
  void add(const void* data, std::size_t size) {
    const auto* bytes = static_cast<const unsigned char*>(data);
    for (std::size_t i = 0; i < size; ++i) value_ = (value_ ^ bytes[i]) * 0x100000001b3ull;
  }
  void add(std::string_view text) { add(text.data(), text.size()); }
  std::uint64_t value() const { return value_; }

 private:
  std::uint64_t value_ = 0xcbf29ce484222325ull;
};

bool can_join(const Step& step, const Step& next, int images) {
  if (!step.with_next) return false;
  const ConvProblem problem = step.conv->problem_for(images);
  return next.max_pool ? conv_pool_takes(problem, *next.max_pool)
                       : pair_takes(problem, next.conv->problem_for(images));
}

std::vector<int> variants_of(const Step& step, int images, int multiprocessors) {
  if (step.conv == nullptr) return {0};
  const ConvKernel& kernel = *step.conv->kernel;
  const ConvProblem problem = step.conv->problem_for(images);
  std::vector<int> variants = {kernel.choose(problem, multiprocessors)};
  for (int v = 0; v < kernel.variants; ++v) {
    if (v != variants[0] && kernel.takes(problem, v)) variants.push_back(v);
  }
  return variants;
}

std::string slug(const std::string& name) {
  std::string text;
  for (const char c : name) {
    text += std::isalnum(static_cast<unsigned char>(c)) != 0
                ? static_cast<char>(std::tolower(static_cast<unsigned char>(c)))
                : '-';
  }
  return text;
}

}  // namespace

bool tuning_wanted() {
  const std::string value = variable("PRONGHORN_AUTOTUNE");
  if (value.empty() || value == "0") return false;
  if (value == "1") return true;
  base::fail(base::Status::kInvalidArgument, "PRONGHORN_AUTOTUNE is \"{}\"; 0 or 1", value);
}

std::string fault_of(const Plan& plan, int images, const std::vector<int>& variants) {
  const std::vector<Step>& steps = plan.steps;
  if (variants.size() != steps.size()) {
    return fmt::format("{} variants for {} steps", variants.size(), steps.size());
  }
  for (std::size_t i = 0; i < steps.size(); ++i) {
    const int variant = variants[i];
    const bool joined = i > 0 && variants[i - 1] == kWithNext;
    bool good = variant == kWithPrevious ? joined : !joined;
    if (variant == kWithNext) {
      good = good && i + 1 < steps.size() && can_join(steps[i], steps[i + 1], images);
    } else if (variant != kWithPrevious) {
      const ConvStep* conv = steps[i].conv.get();
      good =
          good && (conv == nullptr ? variant == 0
                                   : variant >= 0 && variant < conv->kernel->variants &&
                                         conv->kernel->takes(conv->problem_for(images), variant));
    }
    if (!good) return fmt::format("step {} ({}) has no variant {}", i, steps[i].node, variant);
  }
  return "";
}

std::vector<std::vector<int>> choices(const Plan& plan, int images) {
  const std::size_t steps = plan.steps.size();
  std::vector<std::vector<int>> each;
  std::size_t most = 1;
  for (const Step& step : plan.steps) {
    each.push_back(variants_of(step, images, plan.multiprocessors));
    most = std::max(most, each.back().size());
  }
  std::vector<std::vector<int>> all(most, std::vector<int>(steps));
  for (std::size_t r = 0; r < most; ++r) {
    for (std::size_t i = 0; i < steps; ++i) all[r][i] = each[i][std::min(r, each[i].size() - 1)];
  }
  std::vector<int> joined = all[0];
  bool any = false;
  for (std::size_t i = 0; i + 1 < steps; ++i) {
    if (!can_join(plan.steps[i], plan.steps[i + 1], images)) continue;
    joined[i] = kWithNext;
    joined[++i] = kWithPrevious;
    any = true;
  }
  if (any) all.push_back(std::move(joined));
  return all;
}

std::vector<int> fastest(const Plan& plan, const std::vector<std::vector<int>>& choices,
                         const std::vector<std::vector<double>>& times) {
  const std::size_t steps = plan.steps.size();
  std::vector<int> best(steps);
  std::vector<double> least(steps);
  for (std::size_t i = 0; i < steps; ++i) {
    for (std::size_t r = 0; r < choices.size(); ++r) {
      if (choices[r][i] < 0 || (r > 0 && times[r][i] >= least[i])) continue;
      best[i] = choices[r][i];
      least[i] = times[r][i];
    }
  }
  const std::vector<int>& joined = choices.back();
  for (std::size_t i = 0; i + 1 < steps; ++i) {
    if (joined[i] != kWithNext) continue;
    if (times.back()[i] + times.back()[i + 1] >= least[i] + least[i + 1]) continue;
    best[i] = kWithNext;
    best[++i] = kWithPrevious;
  }
  return best;
}

TuningFile tuning_file(const Plan& plan, int images, const std::string& gpu) {
  Digest model;
  model.add(plan.constants.bytes().data(), plan.constants.bytes().size());
  Digest kernels;
  for (const Step& step : plan.steps) {
    model.add(step.node);
    kernels.add(step.kernel);
  }
  for (std::int32_t k = 0; k < kConvKernelCount; ++k) {
    for (std::int32_t v = 0; v < kConvKernels[k]->variants; ++v) {
      kernels.add(kConvKernels[k]->variant_name(v));
    }
  }
  TuningFile file;
  file.head = fmt::format(
      "pronghorn cuda variants {}, version {}\ngpu {}\nmodel {:016x}\nkernels {:016x}\nbatch {}\n",
      kFormat, PRONGHORN_VERSION, gpu, model.value(), kernels.value(), images);
  const std::filesystem::path home = folder();
  if (!home.empty()) {
    file.path = home / fmt::format("{}-{:016x}-{:016x}-{}.txt", slug(gpu), model.value(),
                                   kernels.value(), images);
  }
  return file;
}

std::vector<int> read_tuning(const TuningFile& file, const Plan& plan, int images,
                             std::string& note) {
  note.clear();
  std::ifstream in(file.path, std::ios::binary);
  if (file.path.empty() || !in) return {};
  const std::string text{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
  const auto unusable = [&](const std::string& why) {
    note = fmt::format("{}: {}; measured again", file.path.string(), why);
    return std::vector<int>{};
  };
  if (!text.starts_with(file.head)) return unusable("not what it is named for");
  std::istringstream rest(text.substr(file.head.size()));
  std::vector<int> variants;
  std::string word;
  if (!(rest >> word) || word != "variants") return unusable("no line of variants");
  for (int variant = 0; rest >> variant;) variants.push_back(variant);
  rest.clear();
  if (!(rest >> word) || word != "end" || rest >> word) return unusable("it is not whole");
  if (const std::string fault = fault_of(plan, images, variants); !fault.empty()) {
    return unusable(fault);
  }
  return variants;
}

std::string write_tuning(const TuningFile& file, const std::vector<int>& variants) {
  if (file.path.empty()) return "no cache folder: set PRONGHORN_CACHE or HOME";
  std::string text = file.head + "variants";
  for (const int variant : variants) text += fmt::format(" {}", variant);
  text += "\nend\n";
  try {
    std::filesystem::create_directories(file.path.parent_path());
    base::write_file(file.path, text);
  } catch (const std::exception& error) {
    return error.what();
  }
  return "";
}

}  // namespace pronghorn::device::cuda
