// SPDX-License-Identifier: Apache-2.0
// fit and predict: tables in, models out and in again, and what is said of bad ones.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>

#include "tests/cli/program.h"

namespace pronghorn::test {
namespace {

using ::testing::HasSubstr;

// Two groups of rows on a line, and their classes, 3 and 7.
void write_groups(const Folder& folder) {
  std::string data = "length,width\n", labels;
  for (int r = 0; r < 40; ++r) {
    const bool second = r % 2 == 1;
    data +=
        std::to_string((second ? 10 : 0) + 0.01 * r) + "," + std::to_string(0.1 * (r % 7)) + "\n";
    labels += second ? "7\n" : "3\n";
  }
  folder.write("data.csv", data);
  folder.write("labels.csv", labels);
}

std::string expected_labels() {
  std::string lines;
  for (int r = 0; r < 40; ++r) lines += r % 2 == 1 ? "7\n" : "3\n";
  return lines;
}

TEST(Ml, KMeansFindsTheGroups) {
  const Folder folder;
  write_groups(folder);
  const Outcome fit = folder.run("fit kmeans data.csv -k 2 --seed 1 --out model.json");
  ASSERT_EQ(fit.status, 0) << fit.err;
  EXPECT_THAT(fit.out, HasSubstr("kmeans: 40 x 2"));
  const auto model = folder.json("model.json");
  EXPECT_EQ(model["estimator"], "kmeans");
  EXPECT_EQ(model["feature_names"], (std::vector<std::string>{"length", "width"}));
  const double apart =
      model["cluster_centers"][0][0].get<double>() - model["cluster_centers"][1][0].get<double>();
  EXPECT_NEAR(std::abs(apart), 10.01, 1e-9);
  const Outcome predict = folder.run("predict model.json data.csv");
  ASSERT_EQ(predict.status, 0) << predict.err;
  EXPECT_EQ(predict.out.size(), 80u);
  EXPECT_NE(predict.out[0], predict.out[2]);
  EXPECT_EQ(predict.out[0], predict.out[4]);
}

TEST(Ml, ClassifiersLearnTheClasses) {
  const Folder folder;
  write_groups(folder);
  for (const std::string estimator : {"logistic_regression", "gaussian_nb", "multinomial_nb"}) {
    const Outcome fit =
        folder.run("fit " + estimator + " data.csv --labels labels.csv --out model.json");
    ASSERT_EQ(fit.status, 0) << fit.err;
    EXPECT_EQ(folder.json("model.json")["classes"], (std::vector<double>{3, 7}));
    if (estimator != "multinomial_nb") {  // counts of one length say little
      EXPECT_EQ(folder.run("predict model.json data.csv").out, expected_labels()) << estimator;
    }
    const Outcome proba = folder.run("predict model.json data.csv --proba --out proba.npy");
    ASSERT_EQ(proba.status, 0) << proba.err;
    EXPECT_THAT(folder.read("proba.npy"), HasSubstr("(40, 2)"));
    // What predict writes, fit reads.
    EXPECT_EQ(folder.run("fit kmeans proba.npy -k 2 --out again.json").status, 0);
  }
}

// The interpreter is a script here: what is asked of it, and what is done with its answer.
TEST(Ml, ParquetIsConvertedFirst) {
  const Folder folder;
  folder.write("data.parquet", "1,2\n3,4\n5,6\n70,80\n");
  folder.write(
      "good",
      "#!/bin/sh\nset -e\n[ \"$1 $2 $3\" = \"-m pronghorn.sklearn to-npy\" ]\n"
      "[ \"$6 $7 $8\" = \"--dtype auto --names\" ] && [ -s \"$4\" ]\n"
      "echo \"$5\" > asked\n"
      "printf '\\223NUMPY\\001\\000\\106\\000' > \"$5\"\n"
      "printf '%-69s\\n' \"{'descr':'<f4','fortran_order':False,'shape':(4,1)}\" >> \"$5\"\n"
      "printf '\\000\\000\\200\\077\\000\\000\\200\\077\\000\\000\\240\\100\\000\\000\\240\\100' "
      ">> "
      "\"$5\"\necho '[\"height\"]' > \"$9\"\n");
  folder.write("bad",
               "#!/bin/sh\necho 'pronghorn: data.parquet: column 3 holds text' >&2\nexit 1\n");
  for (const char* name : {"good", "bad"}) {
    std::filesystem::permissions(folder.path(name), std::filesystem::perms::owner_all);
  }
  const Outcome fit = folder.run("fit kmeans data.parquet -k 2 --seed 1 --out model.json",
                                 "PRONGHORN_PYTHON=./good");
  ASSERT_EQ(fit.status, 0) << fit.err;
  EXPECT_THAT(fit.out, HasSubstr("kmeans: 4 x 1"));
  EXPECT_EQ(folder.json("model.json")["feature_names"], (std::vector<std::string>{"height"}));
  const std::string asked = folder.read("asked");
  EXPECT_FALSE(std::filesystem::exists(asked.substr(0, asked.size() - 1)));
  const Outcome refused =
      folder.run("fit kmeans data.parquet -k 2 --out bad.json", "PRONGHORN_PYTHON=./bad");
  EXPECT_NE(refused.status, 0);
  EXPECT_THAT(refused.err, HasSubstr("column 3 holds text"));
  EXPECT_THAT(refused.err, HasSubstr("data.parquet: ./bad -m pronghorn.sklearn to-npy ended with"));
  EXPECT_FALSE(std::filesystem::exists(folder.path("bad.json")));
  const Outcome missing = folder.run("fit kmeans none.parquet -k 2 --out bad.json");
  EXPECT_THAT(missing.err, HasSubstr("none.parquet: no such file"));
}

TEST(Ml, BadInputIsNamed) {
  const Folder folder;
  write_groups(folder);
  folder.write("broken.csv", "1,2\n3,oops\n");
  folder.write("nan.csv", "1,2\n3,nan\n");
  folder.write("few.csv", "1\n2\n");
  folder.write("other.json", "{\"format\": \"x\"}");
  folder.write("cut.json", "{\"format\": \"pronghorn-ml\", \"ver");
  folder.write("table.parquet", "PAR1");
  const std::pair<const char*, const char*> cases[] = {
      {"fit kmeans broken.csv --out m.json", "broken.csv:2: field 2 is \"oops\""},
      {"fit kmeans nan.csv -k 1 --out m.json", "nan.csv: x: the value at row 1, column 1"},
      {"fit kmeans few.csv -k 3 --out m.json", "n_samples=2 should be >= n_clusters=3"},
      {"fit kmeans none.csv --out m.json", "none.csv"},
      {"fit kmeans table.parquet --out m.json", "pyarrow"},
      {"fit gaussian_nb data.csv --out m.json", "--labels"},
      {"fit gaussian_nb data.csv --labels few.csv --out m.json", "2 x 1 values; 40 x 1"},
      {"fit logistic_regression data.csv --labels labels.csv -C -1 --out m.json", "c is -1"},
      {"predict other.json data.csv", "other.json: is no model"},
      {"predict cut.json data.csv", "cut.json"},
      {"bench --task kmeans --device fpga --json m.json", "--task on device \"fpga\"; cpu"},
  };
  for (const auto& [arguments, message] : cases) {
    const Outcome outcome = folder.run(arguments);
    EXPECT_EQ(outcome.status, 1) << arguments;
    EXPECT_THAT(outcome.err, HasSubstr(message)) << arguments;
    EXPECT_FALSE(std::filesystem::exists(folder.path("m.json"))) << arguments;
  }
  ASSERT_EQ(folder.run("fit kmeans data.csv -k 2 --out m.json").status, 0);
  EXPECT_THAT(folder.run("predict m.json few.csv").err, HasSubstr("has 1 features"));
}

}  // namespace
}  // namespace pronghorn::test
