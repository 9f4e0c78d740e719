// SPDX-License-Identifier: Apache-2.0
#include "tests/cli/server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <stdexcept>

namespace pronghorn::test {

Server::Server(std::map<std::string, std::string> files) : files_(std::move(files)) {
  socket_ = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  if (bind(socket_, generic, size) != 0 || listen(socket_, 8) != 0 ||
      getsockname(socket_, generic, &size) != 0) {
    throw std::runtime_error("no loopback server");
  }
  port_ = ntohs(address.sin_port);
  thread_ = std::thread([this] { serve(); });
}

Server::~Server() {
  stop_ = true;
  thread_.join();
  close(socket_);
}

std::string Server::url() const { return "http://127.0.0.1:" + std::to_string(port_); }

std::vector<std::string> Server::ranges() const {
  const std::lock_guard lock(mutex_);
  return ranges_;
}

void Server::serve() {
  while (!stop_) {
    pollfd waiting{socket_, POLLIN, 0};
    if (poll(&waiting, 1, 20) <= 0) continue;
    const int connection = accept(socket_, nullptr, nullptr);
    if (connection < 0) continue;
    answer(connection);
    close(connection);
  }
}

void Server::answer(int connection) {
  std::string request;
  char block[4096];
  while (request.find("\r\n\r\n") == std::string::npos) {
    const ssize_t n = recv(connection, block, sizeof block, 0);
    if (n <= 0) return;
    request.append(block, static_cast<std::size_t>(n));
  }
  std::string range;
  if (const std::size_t at = request.find("Range: bytes="); at != std::string::npos) {
    range = request.substr(at + 13, request.find("\r\n", at) - at - 13);
  }
  {
    const std::lock_guard lock(mutex_);
    ranges_.push_back(range);
  }
  const std::size_t slash = request.find('/');
  const std::string name = request.substr(slash + 1, request.find(' ', slash) - slash - 1);
  const auto file = files_.find(name);
  std::string head, body;
  if (file == files_.end()) {
    head = "HTTP/1.1 404 Not Found\r\n";
  } else {
    body = file->second;
    head = "HTTP/1.1 200 OK\r\n";
    if (!range.empty() && !ignore_ranges_) {
      const std::size_t first = std::strtoull(range.c_str(), nullptr, 10);
      if (first >= body.size()) {
        head = "HTTP/1.1 416 Range Not Satisfiable\r\n";
        body.clear();
      } else {
        head = "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes " + std::to_string(first) +
               "-" + std::to_string(body.size() - 1) + "/" + std::to_string(body.size()) + "\r\n";
        body = body.substr(first);
      }
    }
  }
  head += "Content-Length: " + std::to_string(body.size()) + "\r\nConnection: close\r\n\r\n";
  body.resize(std::min<std::size_t>(body.size(), cut_));
  const std::string all = head + body;
  for (std::size_t sent = 0; sent < all.size();) {
    const ssize_t n = send(connection, all.data() + sent, all.size() - sent, MSG_NOSIGNAL);
    if (n <= 0) return;
    sent += static_cast<std::size_t>(n);
  }
  shutdown(connection, SHUT_WR);
  while (recv(connection, block, sizeof block, 0) > 0) {
  }
}

}  // namespace pronghorn::test
