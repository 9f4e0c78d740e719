// SPDX-License-Identifier: Apache-2.0
#include "device/cpu/pack_conv.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <numeric>

namespace pronghorn::device::cpu {
namespace {

// 16-bit sums of one quad: for each output channel and half, its positive and its negative weights.
constexpr std::size_t kSums = 2 * 2 * kPanel;
constexpr int kMostSum = 128;  // 255 * 128 fits 16 bits

// What the first part of a split quad keeps of a sum: small enough for two or three such quads to
// share a group, chosen by trying on trained networks.
constexpr int kSplitSum = 44;
// How many quads are looked at for each group: more finds a little better groups, at a price when
// graphs are compiled.
constexpr int kTries = 128;

struct Quad {
  std::array<std::int8_t, kQuadBytes> weights{};
  std::int32_t tap = 0;
};
using Sums = std::array<std::uint8_t, kSums>;

// Bytes of a window that lie together in memory and in the weights of one output channel.
struct Run {
  std::int64_t tap;
  std::int64_t weight;
  std::int64_t length;
};

std::vector<Run> runs_of(const ConvWeights& w, const Layout& src, std::int64_t group) {
  const graph::Window& window = w.window;
  const std::int64_t ic = w.ic / window.groups;
  std::vector<Run> runs;
  for (std::int64_t y = 0; y < window.kh; ++y) {
    if (window.groups == 1) {  // a kernel row is one run
      runs.push_back({y * src.pitch(), y * window.kw * ic, window.kw * ic});
      continue;
    }
    for (std::int64_t x = 0; x < window.kw; ++x) {
      runs.push_back({y * src.pitch() + x * w.ic + group * ic, (y * window.kw + x) * ic, ic});
    }
  }
  return runs;
}

bool is_zero(const Quad& quad) {
  return std::all_of(quad.weights.begin(), quad.weights.end(), [](int w) { return w == 0; });
}

// Quads of 16 output channels from `weights` on, [oc] apart by `stride`. All-zero ones are left out
// where panels need not have the same taps.
std::vector<Quad> quads_of(const std::int8_t* weights, std::int64_t stride, std::int64_t channels,
                           const std::vector<Run>& runs, ConvPacking packing) {
  std::vector<Quad> quads;
  for (const Run& run : runs) {
    for (std::int64_t i = 0; i < run.length; i += kQuad) {
      Quad quad;
      quad.tap = static_cast<std::int32_t>(run.tap + i);
      const auto bytes = static_cast<std::size_t>(std::min<std::int64_t>(kQuad, run.length - i));
      for (std::int64_t oc = 0; oc < channels; ++oc) {
        std::memcpy(&quad.weights[static_cast<std::size_t>(oc * kQuad)],
                    weights + oc * stride + run.weight + i, bytes);
      }
      if (packing == ConvPacking::kQuads || !is_zero(quad)) quads.push_back(quad);
    }
  }
  return quads;
}

// Moves what the positive (sign 1) or negative (-1) weights of one sum have above kept to `excess`.
void move_sum(std::int8_t* weights, std::int8_t* excess, int sign) {
  const int a = std::max(sign * weights[0], 0);
  const int b = std::max(sign * weights[1], 0);
  const int over = a + b - std::max(kSplitSum, a + b - kMostSum);
  if (over <= 0) return;
  const int from_a = std::min(a, over);
  weights[0] = static_cast<std::int8_t>(weights[0] - sign * from_a);
  excess[0] = static_cast<std::int8_t>(excess[0] + sign * from_a);
  weights[1] = static_cast<std::int8_t>(weights[1] - sign * (over - from_a));
  excess[1] = static_cast<std::int8_t>(excess[1] + sign * (over - from_a));
}

// A quad that breaks the promise by itself becomes two. As the second one is paid for then, both
// get small sums, which find groups easily. False when there is nothing to do.
bool split(Quad& quad, Quad& excess) {
  bool breaks = false;
  for (std::size_t i = 0; i < kQuadBytes; i += 2) {
    // Weights of opposite signs stay below the bound.
    breaks |= std::abs(quad.weights[i] + quad.weights[i + 1]) > kMostSum;
  }
  if (!breaks) return false;
  excess.tap = quad.tap;
  for (std::size_t i = 0; i < kQuadBytes; i += 2) {
    move_sum(&quad.weights[i], &excess.weights[i], 1);
    move_sum(&quad.weights[i], &excess.weights[i], -1);
  }
  return true;
}

Sums sums_of(const Quad& quad) {
  Sums sums;
  for (std::size_t i = 0; i < kSums / 2; ++i) {
    const int a = quad.weights[2 * i];
    const int b = quad.weights[2 * i + 1];
    sums[i] = static_cast<std::uint8_t>(std::max(a, 0) + std::max(b, 0));
    sums[i + kSums / 2] = static_cast<std::uint8_t>(std::max(-a, 0) + std::max(-b, 0));
  }
  return sums;
}

// The compiler makes vectors of these two.
bool fits(const Sums& sums, const Sums& room) {
  std::uint8_t over = 0;
  for (std::size_t i = 0; i < kSums; ++i) {
    over = static_cast<std::uint8_t>(over | (std::max(sums[i], room[i]) ^ room[i]));
  }
  return over == 0;
}

void take(const Sums& sums, Sums& room) {
  for (std::size_t i = 0; i < kSums; ++i) room[i] = static_cast<std::uint8_t>(room[i] - sums[i]);
}

constexpr std::array<std::size_t, kDepthCount> kDepths = {4, 3, 2, 1};

// Groups by depth; each is a list of quads.
using Groups = std::array<std::vector<const Quad*>, kDepthCount>;

// First fit: the first quad left opens a group, those after it join while the promise holds.
void group(const std::vector<Quad>& quads, Groups& groups) {
  std::vector<Sums> sums(quads.size());
  std::transform(quads.begin(), quads.end(), sums.begin(), sums_of);
  std::vector<std::size_t> left(quads.size());  // indices of quads without a group
  std::iota(left.begin(), left.end(), std::size_t{0});
  std::size_t begin = 0;
  std::vector<const Quad*> members;
  while (begin < left.size()) {
    Sums room;
    room.fill(kMostSum);
    members.clear();
    std::size_t kept = begin;  // of the quads looked at, those that stay move up to here
    std::size_t at = begin;
    for (int tries = 0; at < left.size() && members.size() < kDepths[0] && tries < kTries;
         ++tries) {
      const std::size_t q = left[at++];
      if (fits(sums[q], room)) {
        take(sums[q], room);
        members.push_back(&quads[q]);
      } else {
        left[kept++] = q;
      }
    }
    // The ones that stay stand in [begin, kept); close the gap before `at`.
    std::copy_backward(left.begin() + static_cast<std::ptrdiff_t>(begin),
                       left.begin() + static_cast<std::ptrdiff_t>(kept),
                       left.begin() + static_cast<std::ptrdiff_t>(at));
    begin = at - (kept - begin);
    auto& group = groups[kDepths[0] - members.size()];
    group.insert(group.end(), members.begin(), members.end());
  }
}

void pack_panel(std::vector<Quad> quads, ConvPacking packing, PackedPanel& panel) {
  Groups groups;
  if (packing == ConvPacking::kPairSums) {
    std::vector<Quad> excess;
    for (Quad& quad : quads) {
      Quad more;
      if (split(quad, more)) excess.push_back(more);
    }
    quads.insert(quads.end(), excess.begin(), excess.end());
    group(quads, groups);
  } else {
    for (const Quad& quad : quads) groups[kDepthCount - 1].push_back(&quad);
  }
  const std::size_t count = quads.size();
  panel.weights = base::Buffer(count * kQuadBytes);
  panel.taps.reserve(count);
  auto* weights = panel.weights.as<std::int8_t>();
  for (std::size_t d = 0; d < kDepthCount; ++d) {
    panel.conv.groups[d] = static_cast<std::int32_t>(groups[d].size() / kDepths[d]);
    for (const Quad* quad : groups[d]) {
      std::memcpy(weights, quad->weights.data(), kQuadBytes);
      weights += kQuadBytes;
      panel.taps.push_back(quad->tap);
    }
  }
  panel.conv.quads = static_cast<std::int32_t>(count);
  panel.conv.weights = panel.weights.as<std::int8_t>();
  panel.conv.taps = panel.taps.data();
  panel.conv.bias = panel.bias.data();
  panel.conv.m = panel.m.data();
}

void pack_depthwise(const ConvWeights& w, const Layout& src, std::int64_t channels,
                    PackedPanel& panel) {
  const graph::Window& window = w.window;
  const std::int64_t count = std::int64_t{window.kh} * window.kw;
  const std::int64_t pairs = (count + 1) / 2;
  panel.weights = base::Buffer(static_cast<std::size_t>(pairs * 2 * kPanel) * 2);
  std::memset(panel.weights.data(), 0, panel.weights.size());
  auto* weights = panel.weights.as<std::int16_t>();
  for (std::int64_t tap = 0; tap < 2 * pairs; ++tap) {
    const std::int64_t real = std::min(tap, count - 1);
    panel.taps.push_back(static_cast<std::int32_t>(real / window.kw * src.pitch() +
                                                   real % window.kw * w.ic + panel.channel));
    if (tap >= count) break;
    for (std::int64_t c = 0; c < channels; ++c) {
      weights[(tap / 2 * kPanel + c) * 2 + tap % 2] =
          w.values[static_cast<std::size_t>((panel.channel + c) * count + tap)];
    }
  }
  panel.depthwise = {weights,
                     panel.taps.data(),
                     static_cast<std::int32_t>(pairs),
                     static_cast<std::int32_t>(channels),
                     panel.bias.data(),
                     panel.m.data()};
}

}  // namespace

// bias - sum of z * w, in the two's complement of s32: the exact sum of the law fits, what is on
// the way to it need not.
double pack_channel(const ConvWeights& w, std::int64_t oc, std::int32_t* bias_dst, float* m_dst) {
  const std::int64_t ic = w.ic / w.window.groups;
  const std::int64_t group = oc / (w.oc / w.window.groups);
  const std::int64_t size = ic * w.window.kh * w.window.kw;
  const std::int8_t* weights = w.values.data() + oc * size;
  std::int64_t zero = 0;
  std::int64_t magnitude = 0;
  const bool per_channel = w.z_src.size() > 1;
  for (std::int64_t i = 0; i < size; ++i) {
    const std::int64_t c = per_channel ? group * ic + i % ic : 0;
    zero += w.z_src[static_cast<std::size_t>(c)] * std::int64_t{weights[i]};
    magnitude += std::abs(int{weights[i]});
  }
  const std::int64_t bias = w.bias[static_cast<std::size_t>(oc)] - zero;
  *bias_dst = static_cast<std::int32_t>(static_cast<std::uint32_t>(bias));
  *m_dst = w.m[static_cast<std::size_t>(oc)];
  return std::abs(static_cast<double>(bias)) + 255.0 * static_cast<double>(magnitude);
}

std::int64_t PackedConv::bytes() const {
  std::int64_t sum = 0;
  for (const PackedPanel& p : panels) {
    sum += static_cast<std::int64_t>(p.weights.size() + 4 * p.taps.size() + 8 * kPanel);
  }
  return sum;
}

PackedConv pack_conv(const ConvWeights& w, const Layout& src, const KernelSet& kernels,
                     base::ThreadPool& pool) {
  const std::int64_t groups = w.window.groups;
  PackedConv packed;
  packed.depthwise = groups > 1 && w.ic == groups && w.oc == groups;
  // Panels never cross groups, but a depthwise panel is 16 groups.
  const std::int64_t parts = packed.depthwise ? 1 : groups;
  const std::int64_t part = w.oc / parts;
  const std::int64_t part_panels = (part + kPanel - 1) / kPanel;
  packed.panels.resize(static_cast<std::size_t>(parts * part_panels));
  std::vector<double> largest(packed.panels.size(), 0.0);
  const std::int64_t stride = w.ic / groups * w.window.kh * w.window.kw;
  pool.parallel_for(parts * part_panels, [&](std::int64_t index, int) {
    const std::int64_t group = index / part_panels;
    const std::int64_t first = index % part_panels * kPanel;
    const std::int64_t channels = std::min<std::int64_t>(kPanel, part - first);
    PackedPanel& panel = packed.panels[static_cast<std::size_t>(index)];
    panel.channel = group * part + first;
    panel.bias.assign(kPanel, 0);
    panel.m.assign(kPanel, 0.0f);
    for (std::int64_t c = 0; c < channels; ++c) {
      double& most = largest[static_cast<std::size_t>(index)];
      float& m = panel.m[static_cast<std::size_t>(c)];
      const double sum =
          pack_channel(w, panel.channel + c, &panel.bias[static_cast<std::size_t>(c)], &m);
      most = std::max(most, sum * std::abs(double{m}));
    }
    if (packed.depthwise) {
      pack_depthwise(w, src, channels, panel);
      return;
    }
    panel.conv.channels = static_cast<std::int32_t>(channels);
    pack_panel(quads_of(w.values.data() + panel.channel * stride, stride, channels,
                        runs_of(w, src, group), kernels.packing),
               kernels.packing, panel);
  });
  packed.largest = *std::max_element(largest.begin(), largest.end());
  for (std::size_t i = 0; i < packed.panels.size(); ++i) {
    const PackedPanel& panel = packed.panels[i];
    packed.conv.push_back(panel.conv);
    packed.pairs.push_back(i + 1 < packed.panels.size() && panel.conv.channels == kPanel &&
                           packed.panels[i + 1].channel == panel.channel + kPanel &&
                           packed.panels[i + 1].taps == panel.taps);
  }
  return packed;
}

}  // namespace pronghorn::device::cpu
