// SPDX-License-Identifier: Apache-2.0
// One op as a line of text, for correctness and for speed:
//
//   conv ic64 ih56 oc64 k3 s1 p1 src=u8 res=u8 relu=1 batch=2 seed=7
//
// The first word is the op: conv, add, max_pool, average_pool, requantize, concat, pad, quantize,
// dequantize. Then, in any order (what is left out keeps the value in brackets):
//   ic ih iw oc      sizes; iw is ih when left out, oc is ic                            [8 8 8 8]
//   kh kw sh sw      kernel, stride; k and s set both                                   [1 1 1 1]
//   pt pl pb pr      padding or border; p sets all four                                 [0 0 0 0]
//   g                groups of a convolution                                            [1]
//   src= dst=        u8, s8; dst also f32 (conv, average_pool)                          [u8 u8]
//   res=             none, u8, s8: the residual of a convolution                        [none]
//   zin=             1: a zero point for each input channel (conv, dequantize)          [0]
//   relu= clip=      1: the result starts at its zero point; ends 60 steps above it     [0 0]
//   incpad=          1: an average pool's divisor counts padding                        [0]
//   fill=            random, high (255 or 127 times 127), low (extremes times -128), ties
//   (multipliers
//                    that are powers of two)                                            [random]
//   parts=           inputs of a concat                                                 [2]
//   batch= seed=     images; zero points, multipliers, weights and data follow the seed [1 1]
#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "graph/graph.h"

namespace pronghorn::exact {

struct Problem {
  std::string op = "conv";
  int ic = 8, ih = 8, iw = 8, oc = 8;
  graph::Window window;
  std::string src = "u8", dst = "u8", res = "none", fill = "random";
  bool zin = false, relu = false, clip = false;
  int parts = 2, batch = 1;
  std::uint32_t seed = 1;
};

// Throws Error(kInvalidArgument) naming the word that is not understood.
Problem parse(const std::string& line);
std::string to_string(const Problem& problem);

// Any op; convolutions are the majority. Sizes are odd on purpose and small: below 2 M products.
Problem random_problem(std::mt19937& random);
Problem random_conv(std::mt19937& random);

// The graph of one node and its constants.
graph::Graph build(const Problem& problem);

// Bytes for each input of `graph`, `batch` images, as `fill` says.
std::vector<std::vector<std::byte>> make_inputs(const graph::Graph& graph, int batch,
                                                const std::string& fill, std::uint32_t seed);

}  // namespace pronghorn::exact
