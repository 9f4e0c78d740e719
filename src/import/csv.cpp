// SPDX-License-Identifier: Apache-2.0
#include <charconv>
#include <cstring>
#include <string_view>

#include "base/error.h"
#include "import/table.h"

namespace pronghorn::import {
namespace {

using base::Status;

// Fields of one line; a quoted one without its quotes ("" inside stands for ").
class Line {
 public:
  explicit Line(std::string_view text) : rest_(text) {}
  bool done() const { return done_; }

  // The next field; false where a quote is not closed.
  bool next(std::string& field) {
    field.clear();
    std::size_t i = 0;
    while (i < rest_.size() && rest_[i] == ' ') ++i;
    if (i < rest_.size() && rest_[i] == '"') {
      for (++i;; ++i) {
        if (i >= rest_.size()) return false;
        if (rest_[i] != '"') {
          field += rest_[i];
        } else if (i + 1 < rest_.size() && rest_[i + 1] == '"') {
          field += rest_[++i];
        } else {
          break;
        }
      }
      i = rest_.find(',', i);
    } else {
      const std::size_t from = i;
      i = rest_.find(',', i);
      field = rest_.substr(from, i == std::string_view::npos ? i : i - from);
      while (!field.empty() && (field.back() == ' ' || field.back() == '\r')) field.pop_back();
    }
    done_ = i == std::string_view::npos;
    if (!done_) rest_.remove_prefix(i + 1);
    return true;
  }

 private:
  std::string_view rest_;
  bool done_ = false;
};

bool number(const std::string& field, double& value) {
  const char* first = field.data();
  const char* last = first + field.size();
  if (first != last && *first == '+') ++first;
  const auto [end, error] = std::from_chars(first, last, value);
  return first != last && end == last &&
         (error == std::errc() || error == std::errc::result_out_of_range);
}

}  // namespace

Table read_csv(const std::filesystem::path& path) {
  const std::string name = path.string();
  const base::MappedFile file(path);
  std::string_view text(reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size());
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);
  Table table;
  std::vector<double> values;
  std::vector<std::string> fields;
  std::string field;
  std::int64_t line_number = 0;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    const std::string_view content = text.substr(at, end - at);
    at = end + 1;
    ++line_number;
    if (content.find_first_not_of(" \r") == std::string_view::npos) {
      if (text.find_first_not_of(" \r\n", at) == std::string_view::npos) break;
      base::fail(Status::kCorrupt, "{}:{}: an empty line between others", name, line_number);
    }
    fields.clear();
    for (Line line(content); !line.done();) {
      if (!line.next(field)) {
        base::fail(Status::kCorrupt, "{}:{}: a quote is not closed", name, line_number);
      }
      fields.push_back(field);
    }
    const auto count = static_cast<std::int64_t>(fields.size());
    if (line_number == 1) {
      table.cols = count;
      double unused = 0;
      bool names = true;
      for (const std::string& f : fields) names = names && !number(f, unused);
      if (names) {
        table.names = fields;
        continue;
      }
    }
    if (count != table.cols) {
      base::fail(Status::kCorrupt, "{}:{}: {} fields where the first line has {}", name,
                 line_number, count, table.cols);
    }
    for (std::size_t i = 0; i < fields.size(); ++i) {
      double value = 0;
      if (!number(fields[i], value)) {
        base::fail(Status::kCorrupt, "{}:{}: field {} is \"{}\", not a number", name, line_number,
                   i + 1, fields[i].substr(0, 40));
      }
      values.push_back(value);
    }
    ++table.rows;
  }
  if (table.rows == 0) base::fail(Status::kCorrupt, "{}: has no row of numbers", name);
  table.values = base::Buffer(values.size() * sizeof(double));
  std::memcpy(table.values.data(), values.data(), values.size() * sizeof(double));
  table.data = table.values.data();
  table.row_stride = table.cols;
  table.col_stride = 1;
  return table;
}

}  // namespace pronghorn::import
