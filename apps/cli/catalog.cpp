// SPDX-License-Identifier: Apache-2.0
#include "apps/cli/catalog.h"

#include <fmt/format.h>

#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <pronghorn/pronghorn.hpp>

namespace pronghorn::cli {
namespace {

// Keras' own names of the 1,000 ImageNet classes, in the order of every ImageNet model here.
RemoteFile class_index() {
  return {"imagenet_class_index.json",
          "https://storage.googleapis.com/download.tensorflow.org/data/imagenet_class_index.json",
          0, "md5", "c2c37ea517e94d9795004a39431a14cb"};
}

// The weights of keras.applications' ResNets, with the checksums that Keras itself compares.
Entry resnet_of_keras(const std::string& depth, std::int64_t size, const std::string& md5) {
  const std::string file = "resnet" + depth + "_weights_tf_dim_ordering_tf_kernels.h5";
  return {"resnet" + depth + "-keras",
          "ResNet" + depth + " v1, ImageNet, the weights of keras.applications",
          {{file, "https://storage.googleapis.com/tensorflow/keras-applications/resnet/" + file,
            size, "md5", md5},
           class_index()},
          file,
          "caffe",
          "",
          "imagenet_class_index.json"};
}

std::vector<Entry> built_in() {
  return {
      resnet_of_keras("50", 102'967'424, "2cb95161c43110f7111970584f804107"),
      resnet_of_keras("101", 0, "f1aeb4b969a6efcfb50fad2f0c20cfc5"),
      resnet_of_keras("152", 0, "100835be76be38e30d865e96f2aaae62"),
      // torchvision publishes a PyTorch pickle, whose name carries the first eight digits of its
      // SHA-256. Pronghorn runs no pickles: one command of PyTorch makes an ONNX file of it.
      {"resnet50-torchvision",
       "ResNet50 v1.5, ImageNet, torchvision's IMAGENET1K_V1 weights (needs PyTorch once)",
       {{"resnet50-0676ba61.pth", "https://download.pytorch.org/models/resnet50-0676ba61.pth", 0,
         "sha256", "0676ba61"},
        class_index()},
       "resnet50-torchvision.onnx",
       "torch",
       "convert it once as docs/cli.md shows under `pull` (torch.onnx.export)",
       "imagenet_class_index.json"},
  };
}

std::string text_at(const nlohmann::json& json, const char* key, const std::string& fallback = "") {
  const auto found = json.find(key);
  return found != json.end() && found->is_string() ? found->get<std::string>() : fallback;
}

bool safe_file_name(const std::string& name) {
  return !name.empty() && name[0] != '.' && name.find('/') == std::string::npos;
}

void read_more(const std::string& path, std::vector<Entry>& entries) {
  const auto refuse = [&](const std::string& what) {
    throw Error(PH_CORRUPT, fmt::format("catalog {}: {}", path, what));
  };
  std::ifstream file(path);
  if (!file) throw Error(PH_NOT_FOUND, fmt::format("catalog {}: no such file", path));
  const auto json = nlohmann::json::parse(file, nullptr, false);
  if (!json.is_array()) refuse("not a JSON list of entries");
  for (const auto& item : json) {
    Entry entry;
    entry.name = text_at(item, "name");
    entry.about = text_at(item, "about");
    entry.preprocess = text_at(item, "preprocess");
    entry.labels_file = text_at(item, "labels");
    const auto files = item.find("files");
    if (entry.name.empty() || files == item.end() || !files->is_array() || files->empty()) {
      refuse("an entry without \"name\" or \"files\"");
    }
    for (const auto& from : *files) {
      RemoteFile to;
      to.name = text_at(from, "name");
      to.url = text_at(from, "url");
      to.digest = from.contains("sha256") ? "sha256" : "md5";
      to.checksum = text_at(from, to.digest.c_str());
      to.size = from.value("size", std::int64_t{0});
      if (!safe_file_name(to.name) || to.url.empty() || to.checksum.size() < 8) {
        refuse(
            fmt::format("{}: each file needs a plain \"name\", a \"url\" and an \"md5\" or "
                        "\"sha256\"",
                        entry.name));
      }
      entry.files.push_back(to);
    }
    entry.model_file = entry.files[0].name;
    entries.push_back(entry);
  }
}

}  // namespace

const std::vector<Entry>& catalog() {
  static const std::vector<Entry> entries = [] {
    std::vector<Entry> all = built_in();
    if (const char* more = std::getenv("PRONGHORN_CATALOG"); more != nullptr && *more != '\0') {
      read_more(more, all);
    }
    return all;
  }();
  return entries;
}

const Entry* find_entry(const std::string& name) {
  for (const Entry& entry : catalog()) {
    if (entry.name == name) return &entry;
  }
  return nullptr;
}

std::string entry_names() {
  std::string names;
  for (const Entry& entry : catalog()) names += (names.empty() ? "" : ", ") + entry.name;
  return names;
}

std::filesystem::path cache_folder() {
  const auto variable = [](const char* name) {
    const char* value = std::getenv(name);
    return value == nullptr ? std::string() : std::string(value);
  };
  if (const std::string own = variable("PRONGHORN_CACHE"); !own.empty()) return own;
  if (const std::string xdg = variable("XDG_CACHE_HOME"); !xdg.empty()) {
    return std::filesystem::path(xdg) / "pronghorn";
  }
  if (const std::string home = variable("HOME"); !home.empty()) {
    return std::filesystem::path(home) / ".cache" / "pronghorn";
  }
  throw Error(PH_NOT_FOUND, "no cache folder: set PRONGHORN_CACHE or HOME");
}

}  // namespace pronghorn::cli
