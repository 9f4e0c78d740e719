// SPDX-License-Identifier: Apache-2.0
#include "runtime/embedded_model.h"

#include <cstddef>

#include "base/error.h"
#include "import/import.h"

// The file's bytes, in read-only data: mapped with the library, read when first used.
asm(".section .rodata.pronghorn_tin200,\"a\",@progbits\n"
    ".balign 64\n"
    "pronghorn_tin200_begin:\n"
    ".incbin \"" PRONGHORN_TIN200
    "\"\n"
    "pronghorn_tin200_end:\n"
    ".byte 0\n"
    ".text\n");
extern "C" {
[[gnu::visibility("hidden")]] extern const std::byte pronghorn_tin200_begin[];
[[gnu::visibility("hidden")]] extern const std::byte pronghorn_tin200_end[];
}

namespace pronghorn::runtime {

graph::Graph embedded_model(const std::string& name) {
  if (name != "tin200") {
    base::fail(base::Status::kNotFound, "there is no embedded model \"{}\"; there is: tin200",
               name);
  }
  const base::Bytes bytes(pronghorn_tin200_begin, pronghorn_tin200_end);
  graph::Graph graph = import::import_onnx(bytes, nullptr, "tin200 (embedded)");
  graph.name = name;
  return graph;
}

}  // namespace pronghorn::runtime
