// SPDX-License-Identifier: Apache-2.0
#include "judge.h"

#include <fmt/format.h>

#include <cstdlib>
#include <cstring>
#include <utility>
#include <variant>

#include "base/error.h"
#include "device/cpu/cpu_device.h"

namespace pronghorn::exact {
namespace {

constexpr const char* kCpuSets[] = {"portable", "avx2", "avxvnni", "avx512vnni", "amx"};

// Where two results differ first, in words.
std::string difference(const graph::Value& value, const std::vector<std::byte>& have,
                       const std::vector<std::byte>& want) {
  const std::size_t element = graph::size_of(value.dtype);
  std::size_t count = 0;
  std::size_t first = 0;
  for (std::size_t i = want.size() / element; i-- > 0;) {
    if (std::memcmp(&have[i * element], &want[i * element], element) == 0) continue;
    ++count;
    first = i;
  }
  const auto number = [&](const std::vector<std::byte>& bytes) {
    if (value.dtype == graph::DType::kF32) {
      float x = 0;
      std::memcpy(&x, &bytes[first * 4], 4);
      return fmt::format("{}", x);
    }
    const int q = std::to_integer<int>(bytes[first]);
    return fmt::format("{}", value.dtype == graph::DType::kS8 ? static_cast<std::int8_t>(q) : q);
  };
  const auto c = first % static_cast<std::size_t>(value.shape.c);
  const auto pixel = first / static_cast<std::size_t>(value.shape.c);
  const auto w = pixel % static_cast<std::size_t>(value.shape.w);
  const auto h =
      pixel / static_cast<std::size_t>(value.shape.w) % static_cast<std::size_t>(value.shape.h);
  return fmt::format("{}: {} of {} differ, first at h {} w {} c {}: {}, reference {}", value.name,
                     count, want.size() / element, h, w, c, number(have), number(want));
}

}  // namespace

std::vector<Candidate> candidates() {
  std::vector<Candidate> list;
  for (const char* isa : kCpuSets) {
    ::setenv("PRONGHORN_ISA", isa, 1);
    try {
      Candidate candidate{fmt::format("cpu {}", isa), device::cpu::make_device()};
      if (candidate.device->properties().isa != isa) {
        base::fail(base::Status::kInternal, "PRONGHORN_ISA={} gave {}", isa,
                   candidate.device->properties().isa);
      }
      list.push_back(std::move(candidate));
    } catch (const base::Error& error) {
      // Not built, or not on this processor.
      if (error.status() != base::Status::kInvalidArgument &&
          error.status() != base::Status::kUnavailable) {
        throw;
      }
    }
  }
  ::unsetenv("PRONGHORN_ISA");
  return list;
}

Bytes run(device::Program& program, const Bytes& inputs, int batch, int threads) {
  const graph::Graph& g = program.graph();
  std::vector<const void*> sources;
  for (const auto& bytes : inputs) sources.push_back(bytes.data());
  Bytes outputs;
  std::vector<void*> results;
  for (const graph::ValueId id : g.outputs) {
    const graph::Value& v = g.value(id);
    const auto size = static_cast<std::size_t>(v.shape.size() * batch) * graph::size_of(v.dtype);
    outputs.emplace_back(size, std::byte{0xA5});
  }
  for (auto& bytes : outputs) results.push_back(bytes.data());
  if (auto completion = program.submit({sources, results, batch, threads})) completion->wait();
  return outputs;
}

std::optional<std::string> disagreement(const Candidate& candidate, device::Device& reference,
                                        const graph::Graph& graph, const Bytes& inputs, int batch,
                                        const std::vector<int>& threads) {
  const auto shared = std::make_shared<const graph::Graph>(graph);
  const auto judge = device::compile_or_throw(reference, shared, {1});
  const Bytes want = run(*judge, inputs, batch, 1);
  for (const int count : threads) {
    auto compiled = candidate.device->compile(shared, {count});
    if (const auto* refusal = std::get_if<device::Refusal>(&compiled)) {
      return fmt::format("{} refuses: {}", candidate.name, refusal->message());
    }
    auto& program = *std::get<std::unique_ptr<device::Program>>(compiled);
    // Twice: what the first run leaves in the arena must not matter.
    for (int repeat = 0; repeat < 2; ++repeat) {
      const Bytes have = run(program, inputs, batch, 0);
      for (std::size_t i = 0; i < want.size(); ++i) {
        if (have[i] == want[i]) continue;
        return fmt::format("{}, {} threads, run {}: {}", candidate.name, count, repeat + 1,
                           difference(graph.value(graph.outputs[i]), have[i], want[i]));
      }
    }
  }
  return std::nullopt;
}

}  // namespace pronghorn::exact
