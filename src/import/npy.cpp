// SPDX-License-Identifier: Apache-2.0
#include <bit>
#include <cstring>
#include <limits>
#include <string_view>

#include "base/error.h"
#include "import/table.h"

namespace pronghorn::import {
namespace {

using base::Status;

static_assert(std::endian::native == std::endian::little);

// The Python dictionary of the header, of which only three keys may be there.
struct Header {
  std::string type;  // "<f4"
  bool by_column = false;
  std::vector<std::int64_t> shape;
};

class HeaderReader {
 public:
  HeaderReader(std::string_view text, const std::string& file) : text_(text), file_(file) {}

  Header read() {
    Header header;
    int seen = 0;
    expect('{');
    while (!take('}')) {
      const std::string key = quoted();
      expect(':');
      if (key == "descr") {
        if (peek() == '[') {
          base::fail(Status::kUnsupported, "{}: holds records; a plain array of numbers is wanted",
                     file_);
        }
        header.type = quoted();
      } else if (key == "fortran_order") {
        header.by_column = boolean();
      } else if (key == "shape") {
        header.shape = numbers();
      } else {
        corrupt("an unknown key");
      }
      ++seen;
      if (!take(',') && peek() != '}') corrupt("no comma between keys");
    }
    if (seen != 3 || header.type.empty()) corrupt("missing keys");
    return header;
  }

 private:
  [[noreturn]] void corrupt(const char* what) const {
    base::fail(Status::kCorrupt, "{}: the header has {}", file_, what);
  }
  char peek() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n')) ++at_;
    return at_ < text_.size() ? text_[at_] : '\0';
  }
  bool take(char c) {
    if (peek() != c) return false;
    ++at_;
    return true;
  }
  void expect(char c) {
    if (!take(c)) corrupt("no dictionary of Python");
  }
  std::string quoted() {
    const char quote = peek();
    if (quote != '\'' && quote != '"') corrupt("no string where one belongs");
    const std::size_t end = text_.find(quote, at_ + 1);
    if (end == std::string_view::npos) corrupt("an open string");
    std::string value(text_.substr(at_ + 1, end - at_ - 1));
    at_ = end + 1;
    return value;
  }
  bool boolean() {
    peek();
    for (const std::string_view word : {"True", "False"}) {
      if (text_.substr(at_, word.size()) == word) {
        at_ += word.size();
        return word == "True";
      }
    }
    corrupt("no truth value in fortran_order");
  }
  std::vector<std::int64_t> numbers() {
    std::vector<std::int64_t> values;
    expect('(');
    while (!take(')')) {
      std::int64_t value = 0;
      bool digits = false;
      for (peek(); at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9'; ++at_) {
        if (value > std::numeric_limits<std::int64_t>::max() / 16) corrupt("a length too large");
        value = 10 * value + (text_[at_] - '0');
        digits = true;
      }
      if (!digits) corrupt("no number in its shape");
      values.push_back(value);
      if (!take(',') && peek() != ')') corrupt("no comma in its shape");
    }
    return values;
  }

  std::string_view text_;
  const std::string& file_;
  std::size_t at_ = 0;
};

template <class From>
void widen(const std::byte* src, std::size_t count, double* dst) {
  for (std::size_t i = 0; i < count; ++i) {
    From value;
    std::memcpy(&value, src + i * sizeof value, sizeof value);
    dst[i] = static_cast<double>(value);
  }
}

using Widen = void (*)(const std::byte*, std::size_t, double*);
struct Type {
  std::string_view name;
  std::size_t size;
  Widen widen;
};
constexpr Type kTypes[] = {
    {"<f4", 4, widen<float>},        {"<f8", 8, widen<double>},
    {"|i1", 1, widen<std::int8_t>},  {"|u1", 1, widen<std::uint8_t>},
    {"<i2", 2, widen<std::int16_t>}, {"<u2", 2, widen<std::uint16_t>},
    {"<i4", 4, widen<std::int32_t>}, {"<u4", 4, widen<std::uint32_t>},
    {"<i8", 8, widen<std::int64_t>}, {"<u8", 8, widen<std::uint64_t>},
    {"|b1", 1, widen<std::uint8_t>},
};

std::size_t little(const std::byte* p, int bytes) {
  std::size_t value = 0;
  for (int i = bytes; i-- > 0;) value = value << 8 | std::to_integer<std::size_t>(p[i]);
  return value;
}

}  // namespace

Table read_npy(const std::filesystem::path& path) {
  const std::string name = path.string();
  Table table;
  table.file = std::make_shared<base::MappedFile>(path);
  const base::Bytes bytes = table.file->bytes();
  if (bytes.size() < 10 || std::memcmp(bytes.data(), "\x93NUMPY", 6) != 0) {
    base::fail(Status::kCorrupt, "{}: does not begin as a .npy file does", name);
  }
  const int major = std::to_integer<int>(bytes[6]);
  if (major < 1 || major > 3) {
    base::fail(Status::kUnsupported, "{}: format version {}; 1 to 3 are read", name, major);
  }
  const std::size_t length_bytes = major == 1 ? 2 : 4;
  if (bytes.size() < 8 + length_bytes) base::fail(Status::kCorrupt, "{}: cut off", name);
  const std::size_t length = little(bytes.data() + 8, static_cast<int>(length_bytes));
  const std::size_t start = 8 + length_bytes + length;
  if (start > bytes.size()) base::fail(Status::kCorrupt, "{}: cut off in its header", name);
  const Header header =
      HeaderReader({reinterpret_cast<const char*>(bytes.data()) + 8 + length_bytes, length}, name)
          .read();
  const Type* type = nullptr;
  for (const Type& known : kTypes) {
    if (known.name == header.type) type = &known;
  }
  if (type == nullptr) {
    base::fail(Status::kUnsupported,
               "{}: elements are {}; little-endian numbers of up to 8 bytes "
               "are read",
               name, header.type);
  }
  if (header.shape.empty() || header.shape.size() > 2) {
    base::fail(Status::kUnsupported, "{}: has {} dimensions; 1 or 2 are read", name,
               header.shape.size());
  }
  table.rows = header.shape[0];
  table.cols = header.shape.size() == 2 ? header.shape[1] : 1;
  const std::size_t have = (bytes.size() - start) / type->size;
  if (table.cols != 0 &&
      static_cast<std::size_t>(table.rows) > have / static_cast<std::size_t>(table.cols)) {
    base::fail(Status::kCorrupt, "{}: its header says {} x {} values, {} are there", name,
               table.rows, table.cols, have);
  }
  table.row_stride = header.by_column ? 1 : table.cols;
  table.col_stride = header.by_column ? table.rows : 1;
  const bool real = header.type == "<f4" || header.type == "<f8";
  const std::byte* values = bytes.data() + start;
  if (real && reinterpret_cast<std::uintptr_t>(values) % type->size == 0) {
    table.data = values;
    table.is_f32 = header.type == "<f4";
    return table;
  }
  const auto count = static_cast<std::size_t>(table.rows * table.cols);
  table.values = base::Buffer(count * sizeof(double));
  type->widen(values, count, table.values.as<double>());
  table.data = table.values.data();
  table.file.reset();
  return table;
}

}  // namespace pronghorn::import
