// SPDX-License-Identifier: Apache-2.0
#include "quantize/equalize.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "graph/passes/uses.h"

namespace pronghorn::quantize {
namespace {

using graph::Graph;
using graph::Node;
using graph::Op;
using graph::Tensor;

// The estimate knows nothing of clipping, so a small promised gain is none.
constexpr double kWorthwhile = 0.5;

// Input channel of weight i of output channel oc.
struct Columns {
  std::size_t rows, row, ic, per_group;

  Columns(const Graph& g, const Node& conv) {
    const auto& dims = g.value(conv.inputs[1]).dims;
    rows = static_cast<std::size_t>(dims[0]);
    ic = static_cast<std::size_t>(dims[3]);
    row = static_cast<std::size_t>(dims[1] * dims[2]) * ic;
    per_group = rows / static_cast<std::size_t>(conv.as<graph::Window>().groups);
  }
  std::size_t channel(std::size_t oc, std::size_t i) const { return oc / per_group * ic + i % ic; }
};

bool is_depthwise(const Graph& g, const Node& conv) {
  return conv.as<graph::Window>().groups > 1 && g.value(conv.inputs[1]).dims[3] == 1;
}

// Expected error power at the second convolution's result, summed over its channels: every stored
// activation is off by step^2 / 12 and meets w^2; every weight is off by its own step^2 / 12 and
// meets the channel's power.
double expected_error(const Columns& at, std::span<const float> w, const TensorStatistics& t,
                      const std::vector<double>& s) {
  double range = 0;
  for (std::size_t c = 0; c < s.size(); ++c) range = std::max(range, t.largest[c] / s[c]);
  const double activation = range * range / (255.0 * 255.0 * 12.0);
  double total = 0;
  for (std::size_t oc = 0; oc < at.rows; ++oc) {
    double largest = 0, gain = 0, power = 0;
    for (std::size_t i = 0; i < at.row; ++i) {
      const std::size_t c = at.channel(oc, i);
      const double scaled = w[oc * at.row + i] * s[c];
      largest = std::max(largest, std::fabs(scaled));
      gain += scaled * scaled;
      power += t.square[c] / (s[c] * s[c]);
    }
    total += gain * activation + power * largest * largest / (127.0 * 127.0 * 12.0);
  }
  return total;
}

Tensor scaled(const Tensor& tensor, const auto& factor_of) {
  const auto values = tensor.values<float>();
  std::vector<float> result(values.size());
  for (std::size_t i = 0; i < values.size(); ++i) result[i] = values[i] * factor_of(i);
  return Tensor::from(tensor.dims(), std::move(result));
}

}  // namespace

std::vector<Chain> find_chains(const Graph& g) {
  const graph::passes::Uses uses(g);
  const auto only_reader = [&](graph::ValueId id) {
    const auto at = static_cast<std::size_t>(id);
    return uses.is_output[at] || uses.consumers[at].size() != 1 ? -1 : uses.consumers[at][0];
  };
  std::vector<Chain> chains;
  for (std::size_t first = 0; first < g.nodes.size(); ++first) {
    if (g.nodes[first].op != Op::kConv) continue;
    graph::ValueId between = g.nodes[first].output;
    int next = only_reader(between);
    if (next >= 0 && g.nodes[static_cast<std::size_t>(next)].op == Op::kRelu) {
      between = g.nodes[static_cast<std::size_t>(next)].output;
      next = only_reader(between);
    }
    if (next < 0 || g.nodes[static_cast<std::size_t>(next)].op != Op::kConv) continue;
    const auto second = static_cast<std::size_t>(next);
    if (!is_depthwise(g, g.nodes[first]) && !is_depthwise(g, g.nodes[second])) continue;
    chains.push_back({first, second, between});
  }
  return chains;
}

std::vector<float> equalizing_factors(const Graph& g, const Chain& chain,
                                      const TensorStatistics& t) {
  const Node& second = g.nodes[chain.second];
  const Columns at(g, second);
  const Tensor tensor = g.constant(second.inputs[1]);
  const auto w = tensor.values<float>();
  const std::size_t channels = t.largest.size();
  std::vector<double> column(channels, 0.0);
  for (std::size_t oc = 0; oc < at.rows; ++oc) {
    for (std::size_t i = 0; i < at.row; ++i) {
      double& largest = column[at.channel(oc, i)];
      largest = std::max(largest, std::fabs(static_cast<double>(w[oc * at.row + i])));
    }
  }
  const std::vector<double> none(channels, 1.0);
  double least = kWorthwhile * expected_error(at, w, t, none);
  std::vector<float> best;
  for (const double share : {0.25, 0.5, 0.75, 1.0}) {
    // s = activation^share / weight^(1 - share), in powers of two: the float weights stay exact.
    std::vector<double> s(channels, 1.0);
    for (std::size_t c = 0; c < channels; ++c) {
      if (!(t.largest[c] > 0) || !(column[c] > 0)) continue;
      const double log = share * std::log2(static_cast<double>(t.largest[c])) -
                         (1.0 - share) * std::log2(column[c]);
      s[c] = std::exp2(std::clamp(std::nearbyint(log), -20.0, 20.0));
    }
    const double error = expected_error(at, w, t, s);
    if (error < least) {
      least = error;
      best.assign(s.begin(), s.end());
    }
  }
  return best;
}

void apply_factors(Graph& g, const Chain& chain, const std::vector<float>& s) {
  const auto replace = [&](graph::ValueId& id, Tensor tensor) {
    const std::string name = g.value(id).name;
    id = g.add_constant(name, std::move(tensor));
  };
  Node& first = g.nodes[chain.first];
  const Columns rows(g, first);
  replace(first.inputs[1], scaled(g.constant(first.inputs[1]),
                                  [&](std::size_t i) { return 1.0f / s[i / rows.row]; }));
  replace(first.inputs[2],
          scaled(g.constant(first.inputs[2]), [&](std::size_t i) { return 1.0f / s[i]; }));
  Node& second = g.nodes[chain.second];
  const Columns columns(g, second);
  replace(second.inputs[1], scaled(g.constant(second.inputs[1]), [&](std::size_t i) {
            return s[columns.channel(i / columns.row, i % columns.row)];
          }));
}

}  // namespace pronghorn::quantize
