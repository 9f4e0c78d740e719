// SPDX-License-Identifier: Apache-2.0
#include "device/cpu/learn/predict_passes.h"

#include <atomic>
#include <cmath>
#include <numeric>

#include "device/cpu/learn/sparse.h"
#include "device/cpu/learn/tile.h"

namespace pronghorn::device::cpu {
namespace {

// Calls body(tile number's first row, rows, thread) for all tiles.
template <class Body>
void for_tiles(std::int64_t rows, std::int64_t tile, base::ThreadPool& pool, Body&& body) {
  pool.parallel_for((rows + tile - 1) / tile, [&](std::int64_t i, int thread) {
    body(i * tile, std::min(tile, rows - i * tile), thread);
  });
}

template <class T>
std::vector<TileReader<T>> readers(const Matrix& x, const LearnLoops<T>& loops, int threads) {
  std::vector<TileReader<T>> all;
  for (int i = 0; i < threads; ++i) all.emplace_back(x, loops, nullptr);
  return all;
}

template <class T>
std::int32_t largest(const T* scores, std::int64_t count) {
  std::int64_t best = 0;
  for (std::int64_t c = 1; c < count; ++c) {
    if (scores[c] > scores[best]) best = c;
  }
  return static_cast<std::int32_t>(best);
}

// Scores of one tile (ld apart, padding of -infinity) to what is asked for, in rows of `outputs`.
template <class T>
void finish(const LearnLoops<T>& loops, T* z, std::int64_t ld, std::int64_t rows,
            std::int64_t outputs, Output output, T* dst, std::int32_t* labels,
            std::vector<T>& scratch) {
  if (output == Output::kLabel) {
    for (std::int64_t r = 0; r < rows; ++r) labels[r] = largest(z + r * ld, outputs);
    return;
  }
  if (output == Output::kLogProba || output == Output::kProba) {
    scratch.resize(static_cast<std::size_t>(2 * rows));
    T* max = scratch.data();
    T* sums = max + rows;
    if (output == Output::kLogProba) {
      std::vector<T> p(z, z + rows * ld);
      loops.softmax(p.data(), ld, rows, outputs, max, sums);
      for (std::int64_t r = 0; r < rows; ++r) {
        const T off = max[r] + static_cast<T>(std::log(static_cast<double>(sums[r])));
        for (std::int64_t c = 0; c < outputs; ++c) z[r * ld + c] -= off;
      }
    } else {
      loops.softmax(z, ld, rows, outputs, max, sums);
    }
  }
  for (std::int64_t r = 0; r < rows; ++r) std::copy_n(z + r * ld, outputs, dst + r * outputs);
}

// The same for one output: columns 1 - p and p.
template <class T>
void finish_binary(const LearnLoops<T>& loops, const T* z, std::int64_t rows, Output output, T* dst,
                   std::int32_t* labels, std::vector<T>& scratch) {
  if (output == Output::kScores) {
    std::copy_n(z, rows, dst);
    return;
  }
  if (output == Output::kLabel) {
    for (std::int64_t r = 0; r < rows; ++r) labels[r] = z[r] > 0 ? 1 : 0;
    return;
  }
  scratch.resize(static_cast<std::size_t>(2 * rows));
  T* p = scratch.data();
  T* tail = p + rows;
  loops.logistic(z, rows, p, tail);
  for (std::int64_t r = 0; r < rows; ++r) {
    if (output == Output::kProba) {
      dst[2 * r] = 1 - p[r];
      dst[2 * r + 1] = p[r];
    } else {
      const T lost = static_cast<T>(std::log1p(static_cast<double>(tail[r])));
      dst[2 * r] = -std::max(z[r], T{}) - lost;
      dst[2 * r + 1] = std::min(z[r], T{}) - lost;
    }
  }
}

// Tiles as doubles, for what is asked for as numbers and not only compared.
template <class T>
class WideReader {
 public:
  WideReader(const Matrix& x, const LearnKernels& kernels)
      : x_(x), kernels_(kernels), loops_(loops_of<T>(kernels)), reader_(x, loops_, nullptr) {}

  Tile<double> load(std::int64_t row, std::int64_t rows) {
    const Tile<T> in = reader_.load(row, rows);
    Tile<double> tile{nullptr, x_.cols};
    if constexpr (sizeof(T) == 8) {
      tile = {in.x, in.ld};
    } else {
      wide_.resize(static_cast<std::size_t>(rows * x_.cols));
      loops_.widen_rows(in.x, in.ld, rows, x_.cols, wide_.data(), x_.cols);
      tile.x = wide_.data();
    }
    return tile;
  }
  // With their squared norms.
  Tile<double> load(std::int64_t row, std::int64_t rows, std::vector<double>& norms) {
    const Tile<double> tile = load(row, rows);
    norms.resize(static_cast<std::size_t>(rows));
    kernels_.f64.norms(tile.x, tile.ld, rows, x_.cols, norms.data());
    return tile;
  }

 private:
  const Matrix& x_;
  const LearnKernels& kernels_;
  const LearnLoops<T>& loops_;
  TileReader<T> reader_;
  std::vector<double> wide_;
};

template <class T>
void linear_of(const Matrix& x, const double* coef, const double* bias, int outputs, Output output,
               void* out, const LearnLoops<T>& loops, base::ThreadPool& pool) {
  const std::int64_t tile = x.sparse() ? 256 : tile_rows<T>(x.cols);
  PackedPanels<T> panels(loops.lanes, x.sparse() ? 0 : loops.max_nv, outputs, x.cols);
  panels.pack(coef, 1.0, bias, -std::numeric_limits<double>::infinity());
  const Panels<T> b = panels.view();
  const std::vector<T> row_coef(coef, coef + (outputs == 1 ? x.cols : 0));
  const T row_bias = bias == nullptr ? T{} : static_cast<T>(bias[0]);
  auto reader = readers<T>(x, loops, pool.size());
  std::vector<std::vector<T>> z(static_cast<std::size_t>(pool.size()));
  std::vector<std::vector<T>> scratch(z.size());
  const std::int64_t ld = outputs == 1 ? 1 : panels.padded();
  const std::int64_t width = outputs == 1 && output != Output::kScores ? 2 : outputs;
  for_tiles(x.rows, tile, pool, [&](std::int64_t row, std::int64_t rows, int thread) {
    const auto t = static_cast<std::size_t>(thread);
    z[t].resize(static_cast<std::size_t>(tile * ld));
    T* scores = z[t].data();
    if (x.sparse()) {
      if (outputs == 1) {
        sparse_dots(x, row, rows, row_coef.data(), row_bias, scores);
      } else {
        sparse_scores<T>(x, row, rows, b.data, b.bias, ld, scores);
      }
    } else {
      const Tile<T> in = reader[t].load(row, rows);
      if (outputs == 1) {
        loops.dots(in.x, in.ld, rows, x.cols, row_coef.data(), row_bias, scores);
      } else {
        loops.scores(in.x, in.ld, rows, x.cols, &b, scores, ld);
      }
    }
    T* dst = output == Output::kLabel ? nullptr : static_cast<T*>(out) + row * width;
    std::int32_t* labels =
        output == Output::kLabel ? static_cast<std::int32_t*>(out) + row : nullptr;
    if (outputs == 1) {
      finish_binary(loops, scores, rows, output, dst, labels, scratch[t]);
    } else {
      finish(loops, scores, ld, rows, outputs, output, dst, labels, scratch[t]);
    }
  });
}

}  // namespace

void linear_pass(const Matrix& x, const double* coef, const double* bias, int outputs,
                 Output output, void* out, const LearnKernels& kernels, base::ThreadPool& pool) {
  with_type(x.dtype, [&](auto zero) {
    using T = decltype(zero);
    linear_of<T>(x, coef, bias, outputs, output, out, loops_of<T>(kernels), pool);
  });
}

// Scores in x's type, all that follows in double: log likelihoods of long rows are large numbers
// with small differences.
void joint_pass(const Matrix& x, const double* coef, const double* bias, int outputs, Output output,
                void* out, const LearnKernels& kernels, base::ThreadPool& pool) {
  const LearnLoops<double>& wide = kernels.f64;
  PackedPanels<double> panels(wide.lanes, x.sparse() ? 0 : wide.max_nv, outputs, x.cols);
  panels.pack(coef, 1.0, bias, -std::numeric_limits<double>::infinity());
  const Panels<double> b = panels.view();
  const std::int64_t ld = panels.padded();
  const std::int64_t tile = x.sparse() ? 256 : tile_rows<double>(x.cols);
  std::vector<std::vector<double>> z(static_cast<std::size_t>(pool.size()));
  std::vector<std::vector<double>> scratch(z.size());
  with_type(x.dtype, [&](auto zero) {
    using T = decltype(zero);
    std::vector<WideReader<T>> all;
    for (int i = 0; i < pool.size(); ++i) all.emplace_back(x, kernels);
    for_tiles(x.rows, tile, pool, [&](std::int64_t row, std::int64_t rows, int thread) {
      const auto t = static_cast<std::size_t>(thread);
      z[t].resize(static_cast<std::size_t>(tile * ld));
      if (x.sparse()) {
        sparse_scores<T>(x, row, rows, b.data, b.bias, ld, z[t].data());
      } else {
        const Tile<double> in = all[t].load(row, rows);
        wide.scores(in.x, in.ld, rows, x.cols, &b, z[t].data(), ld);
      }
      double* dst = output == Output::kLabel ? nullptr : static_cast<double*>(out) + row * outputs;
      std::int32_t* labels =
          output == Output::kLabel ? static_cast<std::int32_t*>(out) + row : nullptr;
      finish(wide, z[t].data(), ld, rows, outputs, output, dst, labels, scratch[t]);
    });
  });
}

void gauss_pass(const Matrix& x, const double* bias, const double* mean, const double* scale,
                int classes, Output output, void* out, const LearnKernels& kernels,
                base::ThreadPool& pool) {
  const LearnLoops<double>& wide = kernels.f64;
  PackedPanels<double> means(wide.lanes, std::min(wide.max_nv, 2), classes, x.cols);
  means.pack(mean, 1.0, bias, -std::numeric_limits<double>::infinity());
  base::Buffer scales(static_cast<std::size_t>(means.size()) * sizeof(double));
  means.pack_values(scale, 1.0, scales.as<double>());
  const Panels<double> panels = means.view();
  const std::int64_t ld = means.padded();
  with_type(x.dtype, [&](auto zero) {
    using T = decltype(zero);
    std::vector<WideReader<T>> all;
    for (int i = 0; i < pool.size(); ++i) all.emplace_back(x, kernels);
    const std::int64_t tile = std::min<std::int64_t>(tile_rows<double>(x.cols), 256);
    std::vector<std::vector<double>> z(static_cast<std::size_t>(pool.size()));
    std::vector<std::vector<double>> scratch(z.size());
    for_tiles(x.rows, tile, pool, [&](std::int64_t row, std::int64_t rows, int thread) {
      const auto t = static_cast<std::size_t>(thread);
      z[t].resize(static_cast<std::size_t>(tile * ld));
      const Tile<double> in = all[t].load(row, rows);
      kernels.gauss(in.x, in.ld, rows, x.cols, &panels, scales.as<double>(), z[t].data(), ld);
      double* dst = output == Output::kLabel ? nullptr : static_cast<double*>(out) + row * classes;
      std::int32_t* labels =
          output == Output::kLabel ? static_cast<std::int32_t*>(out) + row : nullptr;
      finish(wide, z[t].data(), ld, rows, classes, output, dst, labels, scratch[t]);
    });
  });
}

namespace {

// Panels of -2 c with |c|^2 as bias: scores are then squared distances less the row's own norm.
template <class T>
PackedPanels<T> pack_points(const double* points, std::int64_t count, std::int64_t cols,
                            const LearnLoops<T>& loops) {
  PackedPanels<T> panels(loops.lanes, loops.max_nv, count, cols);
  std::vector<double> norms(static_cast<std::size_t>(count));
  for (std::int64_t c = 0; c < count; ++c) {
    for (std::int64_t j = 0; j < cols; ++j) {
      norms[static_cast<std::size_t>(c)] += points[c * cols + j] * points[c * cols + j];
    }
  }
  panels.pack(points, -2.0, norms.data(), std::numeric_limits<double>::infinity());
  return panels;
}

// Nearest centres of the tiles that read(reader, first, rows) gives; then done(tile, first, rows,
// labels) is called for each, one call at a time for each thread. False where the least value of a
// row is not finite: every value that is not makes all its row's so, and large ones may.
template <class T, class Read, class Done>
bool nearest_tiles(const Matrix& x, std::int64_t count, const double* centers, int clusters,
                   std::int32_t* labels, const LearnLoops<T>& loops, base::ThreadPool& pool,
                   Read&& read, Done&& done) {
  const PackedPanels<T> panels = pack_points(centers, clusters, x.cols, loops);
  const Panels<T> b = panels.view();
  const std::int64_t tile = tile_rows<T>(x.cols);
  auto reader = readers<T>(x, loops, pool.size());
  std::atomic<bool> finite{true};
  for_tiles(count, tile, pool, [&](std::int64_t first, std::int64_t rows, int thread) {
    const Tile<T> in = read(reader[static_cast<std::size_t>(thread)], first, rows);
    std::vector<T> best(static_cast<std::size_t>(rows));
    std::vector<std::int32_t> found(labels == nullptr ? best.size() : 0);
    std::int32_t* to = labels == nullptr ? found.data() : labels + first;
    loops.nearest(in.x, in.ld, rows, x.cols, &b, best.data(), nullptr, to);
    if (!loops.finite(best.data(), rows)) finite = false;
    done(in, first, rows, to);
  });
  return finite;
}

// Squared distances of a tile's rows to the centres of their labels, by differences.
template <class T, class Weight>
double tile_inertia(const Tile<T>& tile, std::int64_t rows, std::int64_t cols,
                    const std::vector<T>& points, const std::int32_t* labels,
                    const LearnLoops<T>& loops, Weight&& weight) {
  std::vector<T> difference(static_cast<std::size_t>(cols));
  double sum = 0;
  for (std::int64_t r = 0; r < rows; ++r) {
    T square{};
    loops.shift_rows(tile.x + r * tile.ld, 0, 1, cols, points.data() + labels[r] * cols,
                     difference.data(), 0);
    loops.norms(difference.data(), 0, 1, cols, &square);
    sum += weight(r) * static_cast<double>(square);
  }
  return sum;
}

}  // namespace

bool nearest_pass(const Matrix& x, const double* weight, const double* centers, int clusters,
                  std::int32_t* labels, double* inertia, const LearnKernels& kernels,
                  base::ThreadPool& pool) {
  return with_type(x.dtype, [&](auto zero) {
    using T = decltype(zero);
    const LearnLoops<T>& loops = loops_of<T>(kernels);
    const std::vector<T> points(centers, centers + std::int64_t{clusters} * x.cols);
    const std::int64_t tile = tile_rows<T>(x.cols);
    std::vector<double> parts(static_cast<std::size_t>((x.rows + tile - 1) / tile));
    const bool finite = nearest_tiles<T>(
        x, x.rows, centers, clusters, labels, loops, pool,
        [](TileReader<T>& reader, std::int64_t first, std::int64_t rows) {
          return reader.load(first, rows);
        },
        [&](const Tile<T>& in, std::int64_t first, std::int64_t rows, const std::int32_t* found) {
          if (inertia == nullptr) return;
          parts[static_cast<std::size_t>(first / tile)] = tile_inertia(
              in, rows, x.cols, points, found, loops,
              [&](std::int64_t r) { return weight == nullptr ? 1.0 : weight[first + r]; });
        });
    if (inertia != nullptr) *inertia = std::accumulate(parts.begin(), parts.end(), 0.0);
    return finite;
  });
}

void nearest_list_pass(const Matrix& x, const double* weight, const std::int64_t* list,
                       std::int64_t count, const double* centers, int clusters,
                       std::int32_t* labels, double* inertia, double* weights, double* sums,
                       const LearnKernels& kernels, base::ThreadPool& pool) {
  with_type(x.dtype, [&](auto zero) {
    using T = decltype(zero);
    const LearnLoops<T>& loops = loops_of<T>(kernels);
    const std::vector<T> points(centers, centers + std::int64_t{clusters} * x.cols);
    const std::int64_t tile = tile_rows<T>(x.cols);
    const std::int64_t tiles = (count + tile - 1) / tile;
    std::vector<double> parts(static_cast<std::size_t>(tiles));
    std::vector<std::int32_t> found(static_cast<std::size_t>(count));
    const auto weight_of = [&](std::int64_t i) {
      return weight == nullptr ? 1.0 : weight[list == nullptr ? i : list[i]];
    };
    const auto read = [&](TileReader<T>& reader, std::int64_t first, std::int64_t rows) {
      return list == nullptr ? reader.load(first, rows) : reader.gather(list + first, rows);
    };
    nearest_tiles<T>(
        x, count, centers, clusters, found.data(), loops, pool, read,
        [&](const Tile<T>& in, std::int64_t first, std::int64_t rows, const std::int32_t* own) {
          parts[static_cast<std::size_t>(first / tile)] =
              tile_inertia(in, rows, x.cols, points, own, loops,
                           [&](std::int64_t r) { return weight_of(first + r); });
        });
    TileReader<T> reader(x, loops, nullptr);
    std::vector<double> own_weight(static_cast<std::size_t>(tile));
    for (std::int64_t first = 0; first < count; first += tile) {
      const std::int64_t rows = std::min(tile, count - first);
      const Tile<T> in = read(reader, first, rows);
      for (std::int64_t r = 0; r < rows; ++r) {
        own_weight[static_cast<std::size_t>(r)] = weight_of(first + r);
        weights[found[static_cast<std::size_t>(first + r)]] += weight_of(first + r);
      }
      loops.move_rows(in.x, in.ld, rows, x.cols, found.data() + first, nullptr, own_weight.data(),
                      sums);
    }
    if (labels != nullptr) std::copy(found.begin(), found.end(), labels);
    *inertia = 0;
    for (const double part : parts) *inertia += part;
  });
}

void distances_pass(const Matrix& x, const double* centers, int clusters, void* out,
                    const LearnKernels& kernels, base::ThreadPool& pool) {
  const PackedPanels<double> panels = pack_points(centers, clusters, x.cols, kernels.f64);
  const Panels<double> b = panels.view();
  const std::int64_t ld = panels.padded();
  const std::int64_t tile = tile_rows<double>(x.cols);
  // Of a square that is small beside the norms it is the difference of, few digits are left.
  constexpr double kSmall = 1e-6;
  with_type(x.dtype, [&](auto zero) {
    using T = decltype(zero);
    for_tiles(x.rows, tile, pool, [&](std::int64_t row, std::int64_t rows, int) {
      WideReader<T> reader(x, kernels);
      std::vector<double> norms;
      const Tile<double> in = reader.load(row, rows, norms);
      std::vector<double> z(static_cast<std::size_t>(rows * ld));
      kernels.f64.scores(in.x, in.ld, rows, x.cols, &b, z.data(), ld);
      T* dst = static_cast<T*>(out) + row * clusters;
      for (std::int64_t r = 0; r < rows; ++r) {
        const double norm = norms[static_cast<std::size_t>(r)];
        for (std::int64_t c = 0; c < clusters; ++c) {
          double square = norm + z[static_cast<std::size_t>(r * ld + c)];
          if (square < kSmall * norm) {
            square = 0;
            for (std::int64_t j = 0; j < x.cols; ++j) {
              const double t = in.x[r * in.ld + j] - centers[c * x.cols + j];
              square += t * t;
            }
          }
          dst[r * clusters + c] = static_cast<T>(std::sqrt(square));
        }
      }
    });
  });
}

void potentials_pass(const Matrix& x, const double* weight, const double* point,
                     const double* candidates, int count, double* closest, double* sums,
                     const LearnKernels& kernels, base::ThreadPool& pool) {
  const std::int64_t tile = tile_rows<double>(x.cols);
  const std::int64_t tiles = (x.rows + tile - 1) / tile;
  std::vector<double> parts(static_cast<std::size_t>(tiles * count));
  // What is kept is computed in double; candidates are only compared, in x's type.
  std::vector<double> double_point(static_cast<std::size_t>(x.cols));
  double point_norm = 0;
  for (std::int64_t j = 0; point != nullptr && j < x.cols; ++j) {
    double_point[static_cast<std::size_t>(j)] = -2 * point[j];
    point_norm += point[j] * point[j];
  }
  with_type(x.dtype, [&](auto zero) {
    using T = decltype(zero);
    const LearnLoops<T>& loops = loops_of<T>(kernels);
    const PackedPanels<T> panels = pack_points(candidates, count, x.cols, loops);
    const Panels<T> b = panels.view();
    const std::int64_t ld = panels.padded();
    std::vector<WideReader<T>> wide;
    for (int i = 0; i < pool.size(); ++i) wide.emplace_back(x, kernels);
    auto reader = readers<T>(x, loops, pool.size());
    for_tiles(x.rows, tile, pool, [&](std::int64_t row, std::int64_t rows, int thread) {
      const auto t = static_cast<std::size_t>(thread);
      if (point != nullptr) {
        std::vector<double> norms;
        std::vector<double> square(static_cast<std::size_t>(rows));
        const Tile<double> in = wide[t].load(row, rows, norms);
        kernels.f64.dots(in.x, in.ld, rows, x.cols, double_point.data(), point_norm, square.data());
        for (std::int64_t r = 0; r < rows; ++r) {
          const auto i = static_cast<std::size_t>(r);
          closest[row + r] = std::min(closest[row + r], std::max(norms[i] + square[i], 0.0));
        }
      }
      if (count == 0) return;
      std::vector<T> norms(static_cast<std::size_t>(rows));
      std::vector<T> z(static_cast<std::size_t>(rows * ld));
      const Tile<T> in = reader[t].load(row, rows);
      loops.norms(in.x, in.ld, rows, x.cols, norms.data());
      loops.scores(in.x, in.ld, rows, x.cols, &b, z.data(), ld);
      double* part = parts.data() + row / tile * count;
      for (std::int64_t r = 0; r < rows; ++r) {
        const double norm = static_cast<double>(norms[static_cast<std::size_t>(r)]);
        const T* square = z.data() + r * ld;
        const double w = weight == nullptr ? 1.0 : weight[row + r];
        for (int c = 0; c < count; ++c) {
          const double distance = std::max(norm + static_cast<double>(square[c]), 0.0);
          part[c] += w * std::min(closest[row + r], distance);
        }
      }
    });
  });
  if (count == 0) return;
  std::fill_n(sums, count, 0.0);
  for (std::int64_t i = 0; i < tiles; ++i) {
    for (int c = 0; c < count; ++c) sums[c] += parts[static_cast<std::size_t>(i * count + c)];
  }
}

}  // namespace pronghorn::device::cpu
