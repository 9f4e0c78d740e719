// SPDX-License-Identifier: Apache-2.0
// What the opaque handles of pronghorn.h hold.
#pragma once

#include <memory>

#include "graph/graph.h"
#include "image/image.h"
#include "image/source.h"
#include "pronghorn/pronghorn.h"
#include "runtime/session.h"

struct ph_model {
  std::shared_ptr<const pronghorn::graph::Graph> graph;
};

struct ph_source {
  std::shared_ptr<const pronghorn::image::Source> source;
};

struct ph_session {
  explicit ph_session(std::unique_ptr<pronghorn::runtime::Session> s) : session(std::move(s)) {}
  std::unique_ptr<pronghorn::runtime::Session> session;
};

namespace pronghorn::capi {

// The resize that a call means: what is given, else the model's own, else direct at its width.
image::ResizeMode resize_of(const ph_resize* given, const graph::Graph* model);
void fill_device_info(const device::DeviceProperties& properties, ph_device_info* info);

}  // namespace pronghorn::capi
