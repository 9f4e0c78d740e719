// SPDX-License-Identifier: Apache-2.0
// A real Alveo card through XRT. The kernel's arguments are the registers of docs/fpga.md: program,
// model, input and output buffers, and the number of command words.
#include <cstddef>
#include <string>

#include "base/error.h"
#include "device/fpga/port.h"

#ifdef PRONGHORN_XRT
#include <xrt/xrt_bo.h>
#include <xrt/xrt_device.h>
#include <xrt/xrt_kernel.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>
#include <utility>
#endif

namespace pronghorn::device::fpga {

#ifndef PRONGHORN_XRT

std::unique_ptr<Port> make_xrt_port(const Configuration& c, const std::string&) {
  base::fail(base::Status::kUnavailable,
             "FPGA configuration {}: this build has no XRT, which cards need "
             "(cmake -DPRONGHORN_XRT=ON); the port \"model\" needs no card",
             c.name);
}

#else

namespace {

constexpr const char* kKernel = "pronghorn";
constexpr int kProgram = 0, kModel = 1, kInput = 2, kOutput = 3;  // arguments that are buffers
constexpr std::uint32_t kCyclesLow = 0x40, kCyclesHigh = 0x44, kId = 0x48, kErrorRegister = 0x4c,
                        kSteps = 0x50;
constexpr unsigned kLongestRunMs = 10'000;

// The manifest that rtl's packaging writes beside the bitstream: which configuration it holds.
void check_manifest(const Configuration& c, const std::string& bitstream) {
  const std::string path = bitstream + ".json";
  std::ifstream file(path);
  if (!file)
    base::fail(base::Status::kNotFound, "the bitstream's manifest {} does not exist", path);
  const auto manifest = nlohmann::json::parse(file, nullptr, false);
  const auto text = [&](const char* key) -> std::string {
    if (!manifest.is_object() || !manifest.contains(key) || !manifest[key].is_string()) return "";
    return manifest[key];
  };
  const std::string have = text("configuration"), id = text("id");
  const std::string want = fmt::format("{:08x}", c.id);
  if (have != c.name || id != want) {
    base::fail(base::Status::kInvalidArgument,
               "bitstream {} holds configuration \"{}\" (id {}), the model was compiled for \"{}\" "
               "(id {})",
               bitstream, have, id.empty() ? "none" : id, c.name, want);
  }
}

class XrtPort final : public Port {
 public:
  XrtPort(const Configuration& c, const std::string& bitstream)
      : device_(0),
        uuid_(device_.load_xclbin(bitstream)),
        kernel_(device_, uuid_, kKernel, xrt::kernel::cu_access_mode::exclusive) {
    const std::uint32_t id = kernel_.read_register(kId);
    if (id != c.id) {
      base::fail(base::Status::kInvalidArgument,
                 "the card answers with configuration id {:08x}, {} has {:08x}", id, c.name, c.id);
    }
  }

  std::string name() const override { return "xrt"; }
  bool is_card() const override { return true; }

  RunReport run(std::span<const std::uint64_t> program, const Memory& memory) override {
    try {
      fill(program_, kProgram, std::as_bytes(program));
      // The model's memory is the same from run to run: it travels when it changes.
      if (model_data_ != memory.model.data() || model_size_ != memory.model.size()) {
        fill(model_, kModel, memory.model);
        model_data_ = memory.model.data();
        model_size_ = memory.model.size();
      }
      fill(input_, kInput, memory.input);
      reserve(output_, kOutput, memory.output.size());
      auto run =
          kernel_(program_, model_, input_, output_, static_cast<std::uint32_t>(program.size()));
      const auto state = run.wait(kLongestRunMs);
      const std::uint32_t error = kernel_.read_register(kErrorRegister);
      if (state != ERT_CMD_STATE_COMPLETED || error != 0) {
        base::fail(base::Status::kUnavailable,
                   "the card did not finish: state {}, error register {} (docs/fpga.md)",
                   static_cast<int>(state), error);
      }
      output_.sync(XCL_BO_SYNC_BO_FROM_DEVICE);
      std::memcpy(memory.output.data(), output_.map<const std::byte*>(), memory.output.size());
      RunReport report;
      report.cycles = static_cast<std::int64_t>(kernel_.read_register(kCyclesLow)) |
                      static_cast<std::int64_t>(kernel_.read_register(kCyclesHigh)) << 32;
      report.steps = kernel_.read_register(kSteps);
      return report;
    } catch (const base::Error&) {
      throw;
    } catch (const std::exception& error) {
      base::fail(base::Status::kUnavailable, "the card failed: {}", error.what());
    }
  }

  std::optional<double> watts() const override {
    const auto json = info<xrt::info::device::electrical>();
    if (!json.contains("power_consumption_watts")) return std::nullopt;
    return number(json["power_consumption_watts"]);
  }

  std::optional<double> celsius() const override {
    const auto json = info<xrt::info::device::thermal>();
    if (!json.contains("thermals")) return std::nullopt;
    for (const auto& sensor : json["thermals"]) {
      if (sensor.value("location_id", "") == "fpga0") return number(sensor["temp_C"]);
    }
    return std::nullopt;
  }

 private:
  template <xrt::info::device kWhat>
  nlohmann::json info() const {
    auto json = nlohmann::json::parse(device_.get_info<kWhat>(), nullptr, false);
    return json.is_object() ? json : nlohmann::json::object();
  }

  // XRT writes numbers as text.
  static std::optional<double> number(const nlohmann::json& value) {
    if (value.is_number()) return value.get<double>();
    if (!value.is_string()) return std::nullopt;
    char* end = nullptr;
    const std::string text = value.get<std::string>();
    const double parsed = std::strtod(text.c_str(), &end);
    return end == text.c_str() ? std::nullopt : std::optional(parsed);
  }

  void reserve(xrt::bo& buffer, int argument, std::size_t bytes) {
    const std::size_t needed = std::max<std::size_t>(bytes, 4096);
    if (buffer && buffer.size() >= needed) return;
    buffer = xrt::bo(device_, needed, kernel_.group_id(argument));
  }

  void fill(xrt::bo& buffer, int argument, std::span<const std::byte> bytes) {
    reserve(buffer, argument, bytes.size());
    if (bytes.empty()) return;
    std::memcpy(buffer.map<std::byte*>(), bytes.data(), bytes.size());
    buffer.sync(XCL_BO_SYNC_BO_TO_DEVICE);
  }

  xrt::device device_;
  xrt::uuid uuid_;
  xrt::kernel kernel_;
  xrt::bo program_, model_, input_, output_;
  const std::byte* model_data_ = nullptr;
  std::size_t model_size_ = 0;
};

}  // namespace

std::unique_ptr<Port> make_xrt_port(const Configuration& c, const std::string& bitstream) {
  if (bitstream.empty()) {
    base::fail(base::Status::kUnavailable,
               "FPGA configuration {}: PRONGHORN_XCLBIN names no bitstream (an .xclbin with its "
               "manifest beside it); the port \"model\" needs none",
               c.name);
  }
  check_manifest(c, bitstream);
  try {
    return std::make_unique<XrtPort>(c, bitstream);
  } catch (const base::Error&) {
    throw;
  } catch (const std::exception& error) {
    base::fail(base::Status::kUnavailable, "no FPGA card could be opened with {}: {}", bitstream,
               error.what());
  }
}

#endif  // PRONGHORN_XRT

}  // namespace pronghorn::device::fpga
