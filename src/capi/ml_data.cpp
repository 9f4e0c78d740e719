// SPDX-License-Identifier: Apache-2.0
#include "base/error.h"
#include "capi/ml_arguments.h"
#include "import/table.h"

using namespace pronghorn;

struct ph_data {
  import::Table table;
};

ph_status ph_data_open(const char* path, ph_data** data) {
  return capi::guard([&] {
    capi::require(path, "path");
    capi::require(data, "data");
    *data = new ph_data{import::open_table(path)};
  });
}

ph_status ph_data_matrix(const ph_data* data, ph_matrix* x) {
  return capi::guard([&] {
    capi::require(data, "data");
    const import::Table& table = data->table;
    ph_matrix filled{};
    filled.data = table.data;
    filled.rows = table.rows;
    filled.cols = table.cols;
    filled.row_stride = table.row_stride;
    filled.col_stride = table.col_stride;
    filled.dtype = table.is_f32 ? PH_F32 : PH_F64;
    capi::write_struct(filled, x, "x");
  });
}

const char* ph_data_column(const ph_data* data, int64_t index) {
  if (data == nullptr || index < 0 || index >= data->table.cols) return nullptr;
  const auto& names = data->table.names;
  return names.empty() ? "" : names[static_cast<std::size_t>(index)].c_str();
}

void ph_data_free(ph_data* data) { delete data; }
