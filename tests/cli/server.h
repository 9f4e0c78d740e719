// SPDX-License-Identifier: Apache-2.0
// A small HTTP/1.1 server on the loopback address that misbehaves on demand.
#pragma once

#include <atomic>
#include <cstddef>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace pronghorn::test {

class Server {
 public:
  explicit Server(std::map<std::string, std::string> files);  // by name
  ~Server();
  std::string url() const;  // "http://127.0.0.1:PORT"
  // Sends only so many bytes of a body, then closes the connection.
  void cut_after(std::size_t bytes) { cut_ = bytes; }
  void ignore_ranges(bool ignore) { ignore_ranges_ = ignore; }
  // The Range header of each request so far, "" where there was none.
  std::vector<std::string> ranges() const;

 private:
  void serve();
  void answer(int connection);
  const std::map<std::string, std::string> files_;
  int socket_ = -1;
  int port_ = 0;
  std::atomic<std::size_t> cut_ = static_cast<std::size_t>(-1);
  std::atomic<bool> ignore_ranges_ = false;
  std::atomic<bool> stop_ = false;
  mutable std::mutex mutex_;
  std::vector<std::string> ranges_;
  std::thread thread_;
};

}  // namespace pronghorn::test
