// SPDX-License-Identifier: Apache-2.0
// What tests of plans run.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "graph/graph.h"

namespace pronghorn::device::cuda {

inline graph::ValueId add_test_conv(graph::Graph& g, const std::string& name, graph::ValueId src,
                                    std::int64_t oc, int kernel, int stride,
                                    graph::ValueId residual = graph::kNoValue) {
  const std::int64_t ic = g.value(src).shape.c;
  const auto count = static_cast<std::size_t>(oc * kernel * kernel * ic);
  const auto size = static_cast<std::size_t>(oc);
  graph::QConv q;
  q.window = {kernel, kernel, stride, stride, kernel / 2, kernel / 2, kernel / 2, kernel / 2};
  q.z_src = {0};
  q.m.assign(size, 0.01f);
  q.m_res = 1;
  std::vector<graph::ValueId> inputs = {
      src,
      g.add_constant(name + ".w", graph::Tensor::from({oc, kernel, kernel, ic},
                                                      std::vector<std::int8_t>(count, 1))),
      g.add_constant(name + ".b", graph::Tensor::from({oc}, std::vector<std::int32_t>(size, 3)))};
  if (residual != graph::kNoValue) inputs.push_back(residual);
  return g.add_node(graph::Op::kQConv, name, std::move(inputs), q, graph::DType::kU8);
}

// A first layer, a pool and three bottleneck blocks.
inline std::shared_ptr<const graph::Graph> test_network() {
  graph::Graph g;
  g.name = "blocks";
  const graph::ValueId image = g.add_value("image", graph::DType::kU8, {64, 64, 3});
  g.inputs = {image};
  graph::ValueId x = add_test_conv(g, "first", image, 64, 7, 2);
  x = g.add_node(graph::Op::kMaxPool, "pool", {x}, graph::Window{3, 3, 2, 2, 1, 1, 1, 1},
                 graph::DType::kU8);
  for (int block = 0; block < 3; ++block) {
    const std::string name = "block" + std::to_string(block);
    const graph::ValueId down = add_test_conv(g, name + ".down", x, 64, 1, 1);
    const graph::ValueId middle = add_test_conv(g, name + ".middle", down, 64, 3, 1);
    const graph::ValueId shortcut =
        block == 0 ? add_test_conv(g, name + ".shortcut", x, 256, 1, 1) : x;
    x = add_test_conv(g, name + ".up", middle, 256, 1, 1, shortcut);
  }
  g.outputs = {x};
  graph::verify(g);
  return std::make_shared<const graph::Graph>(std::move(g));
}

}  // namespace pronghorn::device::cuda
