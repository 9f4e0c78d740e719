// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <memory>
#include <pronghorn/pronghorn.hpp>

#include "apps/cli/command.h"
#include "apps/cli/download.h"
#include "apps/cli/interrupt.h"
#include "apps/cli/output_file.h"
#include "apps/cli/progress.h"
#include "bench/report.h"

namespace pronghorn::cli {
namespace {

struct Flags {
  std::string name;
  std::string url;
  std::string cache;
  bool list = false;
  std::string json;
};

void print_list(const std::filesystem::path& folder) {
  for (const Entry& entry : catalog()) {
    fmt::print("{:<24} {}\n", entry.name, entry.about);
    for (const RemoteFile& file : entry.files) {
      fmt::print(
          "{:<24}   {} {}{}\n", "", file.name,
          file.size > 0 ? fmt::format("({:.1f} MB) ", static_cast<double>(file.size) * 1e-6) : "",
          std::filesystem::exists(folder / file.name) ? "in the cache" : "");
    }
  }
  fmt::print("cache: {}\n", folder.string());
}

void pull(const Flags& flags, const Context& context) {
  OutputFile json_file(flags.json);
  const std::filesystem::path folder =
      flags.cache.empty() ? cache_folder() : std::filesystem::path(flags.cache);
  if (flags.list) {
    print_list(folder);
    return;
  }
  const Entry* entry = find_entry(flags.name);
  if (entry == nullptr) {
    throw Error(PH_NOT_FOUND,
                fmt::format("pull {}: unknown; there are {}", flags.name, entry_names()));
  }
  nlohmann::ordered_json files = nlohmann::ordered_json::array();
  for (RemoteFile file : entry->files) {
    if (!flags.url.empty()) {
      file.url = flags.url + (flags.url.back() == '/' ? "" : "/") + file.name;
    }
    Progress progress(file.name, file.size, "bytes");
    bool first = true;
    const Fetched fetched = fetch(file, folder, [&](std::int64_t done, std::int64_t total) {
      if (first && done > 0) {
        progress.start_at(done);
        first = false;
      }
      progress.set_total(total);
      progress.set(done);
      return !interrupted();
    });
    const char* how = fetched == Fetched::kAlreadyThere ? "already there"
                      : fetched == Fetched::kResumed    ? "continued and downloaded"
                                                        : "downloaded";
    const std::filesystem::path place = folder / file.name;
    fmt::print("{}: {}, {} verified\n", place.string(), how, file.digest);
    files.push_back({{"path", place.string()},
                     {"bytes", std::filesystem::file_size(place)},
                     {"how", how},
                     {"digest", file.digest},
                     {"checksum", file.checksum}});
  }
  if (!entry->note.empty()) fmt::print("{}: {}\n", entry->name, entry->note);
  json_file.write(nlohmann::ordered_json{{"schema", bench::kSchema},
                                         {"command", context.command},
                                         {"name", entry->name},
                                         {"files", files},
                                         {"note", entry->note}}
                      .dump(2) +
                  "\n");
}

}  // namespace

void add_pull(CLI::App& app, Context& context) {
  auto flags = std::make_shared<Flags>();
  CLI::App* command = app.add_subcommand("pull", "Fetch ImageNet weights into the cache");
  CLI::Option* list = command->add_flag("--list", flags->list, "Show what there is to fetch");
  CLI::Option* name = command->add_option("name", flags->name, "resnet50-keras, ...");
  command->add_option("--url", flags->url,
                      "Fetch the files from this folder instead of their home (a mirror)");
  command->add_option("--cache", flags->cache,
                      "Folder to keep them in (default: $PRONGHORN_CACHE, else "
                      "$XDG_CACHE_HOME/pronghorn, else ~/.cache/pronghorn)");
  command->add_option("--json", flags->json, "Also write what was done to this file");
  command->footer("Example:\n  pronghorn pull resnet50-keras");
  command->callback([flags, list, name, &context] {
    if (list->count() + name->count() == 0) {
      throw CLI::ValidationError("pull", "a name or --list is needed");
    }
    pull(*flags, context);
  });
}

}  // namespace pronghorn::cli
