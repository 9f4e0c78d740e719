// SPDX-License-Identifier: Apache-2.0
#include "import/table.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <fstream>

#include "base/error.h"

namespace pronghorn::import {
namespace {

class TableFile : public testing::Test {
 protected:
  std::filesystem::path write(const std::string& name, const std::string& content) {
    const auto path =
        std::filesystem::temp_directory_path() / (std::to_string(::getpid()) + "-" + name);
    std::ofstream(path, std::ios::binary) << content;
    paths_.push_back(path);
    return path;
  }
  ~TableFile() override {
    for (const auto& path : paths_) std::filesystem::remove(path);
  }
  // What reading such a file complains about; "" when it does not.
  std::string complaint(const std::string& name, const std::string& content,
                        base::Status status = base::Status::kCorrupt) {
    try {
      open_table(write(name, content));
      return "";
    } catch (const base::Error& error) {
      EXPECT_EQ(error.status(), status) << error.what();
      return error.what();
    }
  }

 private:
  std::vector<std::filesystem::path> paths_;
};

template <class T>
std::string npy(const std::string& type, const std::string& shape, const std::vector<T>& values,
                bool by_column = false) {
  std::string header = "{'descr': '" + type +
                       "', 'fortran_order': " + (by_column ? "True" : "False") +
                       ", 'shape': " + shape + ", }";
  header.resize((10 + header.size() + 63) / 64 * 64 - 11, ' ');
  header += '\n';
  std::string file("\x93NUMPY\x01\x00", 8);
  file += static_cast<char>(header.size() & 255);
  file += static_cast<char>(header.size() >> 8);
  file += header;
  file.append(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T));
  return file;
}

TEST_F(TableFile, NpyInPlace) {
  const Table table = open_table(write("a.npy", npy<float>("<f4", "(2, 3)", {1, 2, 3, 4, 5, 6})));
  EXPECT_TRUE(table.is_f32);
  EXPECT_EQ(table.rows, 2);
  EXPECT_EQ(table.cols, 3);
  EXPECT_EQ(table.row_stride, 3);
  EXPECT_EQ(table.col_stride, 1);
  EXPECT_EQ(static_cast<const float*>(table.data)[5], 6);
  EXPECT_TRUE(table.values.empty());  // nothing was copied
  const Table columns =
      open_table(write("b.npy", npy<double>("<f8", "(2, 3)", {1, 2, 3, 4, 5, 6}, true)));
  EXPECT_FALSE(columns.is_f32);
  EXPECT_EQ(columns.row_stride, 1);
  EXPECT_EQ(columns.col_stride, 2);
}

TEST_F(TableFile, NpyOfWholeNumbers) {
  const Table table = open_table(write("c.npy", npy<std::int64_t>("<i8", "(4,)", {7, -2, 0, 9})));
  EXPECT_EQ(table.cols, 1);
  EXPECT_EQ(static_cast<const double*>(table.data)[1], -2);
}

TEST_F(TableFile, NpyRefusals) {
  const std::string good = npy<float>("<f4", "(2, 3)", {1, 2, 3, 4, 5, 6});
  EXPECT_NE(complaint("d.npy", good.substr(0, good.size() - 1)).find("2 x 3 values, 5"),
            std::string::npos);
  for (std::size_t size = 0; size < good.size(); size += 7) {
    EXPECT_NE(complaint("e.npy", good.substr(0, size)), "") << size;
  }
  EXPECT_NE(complaint("f.npy", npy<float>("<f4", "(99999999999999999999,)", {})), "");
  EXPECT_NE(
      complaint("g.npy", npy<float>(">f4", "(1,)", {1}), base::Status::kUnsupported).find(">f4"),
      std::string::npos);
  EXPECT_NE(complaint("h.npy", npy<float>("<f4", "(1, 1, 1)", {1}), base::Status::kUnsupported),
            "");
}

TEST_F(TableFile, Csv) {
  const Table table = open_table(write("a.csv", "height, \"width, cm\"\r\n1.5,2\r\n-3e2, +4\n\n"));
  EXPECT_EQ(table.names, (std::vector<std::string>{"height", "width, cm"}));
  EXPECT_EQ(table.rows, 2);
  const auto* values = static_cast<const double*>(table.data);
  EXPECT_EQ(std::vector<double>(values, values + 4), (std::vector<double>{1.5, 2, -300, 4}));
  EXPECT_TRUE(open_table(write("b.csv", "1,2\n3,4")).names.empty());
}

TEST_F(TableFile, CsvErrorsNameTheLine) {
  EXPECT_NE(
      complaint("c.csv", "a,b\n1,2\n3\n").find("c.csv:3: 1 fields where the first line has 2"),
      std::string::npos);
  EXPECT_NE(complaint("d.csv", "1,2\n3,x4\n").find("d.csv:2: field 2 is \"x4\""),
            std::string::npos);
  EXPECT_NE(complaint("e.csv", "1,2\n\n3,4\n").find(":2: an empty line"), std::string::npos);
  EXPECT_NE(complaint("f.csv", "1,2\n\"3,4\n").find(":2: a quote"), std::string::npos);
  EXPECT_NE(complaint("g.csv", "a,b\n"), "");
  EXPECT_NE(complaint("h.csv", ""), "");
}

TEST_F(TableFile, OtherFormatsByName) {
  EXPECT_NE(complaint("a.parquet", "PAR1", base::Status::kUnsupported).find("pyarrow"),
            std::string::npos);
  EXPECT_NE(complaint("a.txt", "1", base::Status::kUnsupported), "");
}

}  // namespace
}  // namespace pronghorn::import
