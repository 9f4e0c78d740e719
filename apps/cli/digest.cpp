// SPDX-License-Identifier: Apache-2.0
#include "apps/cli/digest.h"

#include <fmt/format.h>
#include <openssl/evp.h>

#include <fstream>
#include <memory>
#include <pronghorn/pronghorn.hpp>
#include <vector>

namespace pronghorn::cli {

std::string digest_of(const std::filesystem::path& path, const std::string& algorithm) {
  const std::unique_ptr<EVP_MD_CTX, void (*)(EVP_MD_CTX*)> context(EVP_MD_CTX_new(),
                                                                   EVP_MD_CTX_free);
  const EVP_MD* method = EVP_get_digestbyname(algorithm.c_str());
  if (method == nullptr || EVP_DigestInit_ex(context.get(), method, nullptr) != 1) {
    throw Error(PH_UNSUPPORTED, fmt::format("this OpenSSL has no {}", algorithm));
  }
  std::ifstream file(path, std::ios::binary);
  std::vector<char> block(1 << 20);
  while (file) {
    file.read(block.data(), static_cast<std::streamsize>(block.size()));
    EVP_DigestUpdate(context.get(), block.data(), static_cast<std::size_t>(file.gcount()));
  }
  if (!file.eof()) throw Error(PH_IO, fmt::format("{}: cannot be read", path.string()));
  unsigned char bytes[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  EVP_DigestFinal_ex(context.get(), bytes, &size);
  std::string hex;
  for (unsigned i = 0; i < size; ++i) hex += fmt::format("{:02x}", bytes[i]);
  return hex;
}

}  // namespace pronghorn::cli
