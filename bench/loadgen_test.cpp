// SPDX-License-Identifier: Apache-2.0
#include "bench/loadgen.h"

#include <gtest/gtest.h>

#include <cmath>
#include <thread>

#include "bench/statistics.h"
#include "bench/sut_null.h"
#include "bench/sut_session.h"
#include "bench/verdict.h"

namespace pronghorn::bench {
namespace {

// Serves one query at a time, each in a fixed time, as a device with a queue does.
class SlowSystem final : public SystemUnderTest {
 public:
  explicit SlowSystem(double seconds, int fails_every = 0)
      : seconds_(seconds), fails_every_(fails_every) {}
  std::string name() const override { return "slow"; }
  std::uint32_t sample_count() const override { return 16; }
  void issue(std::span<const std::uint32_t> samples, QueryEnd& end) override {
    for (const std::uint32_t sample : samples) ASSERT_LT(sample, 16u);
    seen_ += static_cast<std::int64_t>(samples.size());
    server_.add([this, &end] {
      std::this_thread::sleep_for(std::chrono::duration<double>(seconds_));
      if (fails_every_ > 0 && ++served_ % fails_every_ == 0) {
        end.fail("the device is on fire");
      } else {
        end.finish();
      }
    });
  }
  std::int64_t seen() const { return seen_; }

 private:
  double seconds_;
  int fails_every_;
  std::atomic<std::int64_t> seen_{0};
  std::int64_t served_ = 0;
  Workers server_{1};
};

TEST(EarlyStopping, HasMlperfsLeastQueryCounts) {
  EXPECT_EQ(early_stopping_least(0.9), 64);
  EXPECT_EQ(early_stopping_least(0.99), 662);
  EXPECT_EQ(early_stopping_discards(63, 0.9), 0);
  EXPECT_EQ(early_stopping_discards(64, 0.9), 1);
  // With many queries the estimate nears the plain percentile: 1 % of a million less three sigma.
  EXPECT_NEAR(static_cast<double>(early_stopping_discards(1000000, 0.99)), 10000 - 2.33 * 99.5, 5);
}

TEST(Poisson, HasTheRateAndTheSeedsTimes) {
  const std::vector<double> times = poisson_schedule(1000, 0, 100000, 7);
  EXPECT_NEAR(times.back(), 100, 1);
  std::vector<double> gaps;
  for (std::size_t i = 1; i < times.size(); ++i) gaps.push_back(times[i] - times[i - 1]);
  EXPECT_NEAR(coefficient_of_variation(gaps), 1, 0.02);  // an exponential's
  EXPECT_EQ(times, poisson_schedule(1000, 0, 100000, 7));
  EXPECT_NE(times, poisson_schedule(1000, 0, 100000, 8));
  EXPECT_GE(poisson_schedule(10, 2, 1, 7).back(), 2);
}

TEST(Load, SingleStreamMeasuresTheLatencyThatIsThere) {
  SlowSystem system(2e-3);
  LoadSettings settings = short_settings(Scenario::kSingleStream, 0.1);
  const LoadResult result = generate_load(system, settings);
  EXPECT_GE(result.queries, 64);
  EXPECT_GE(result.seconds, 0.1);
  EXPECT_GE(quantile(result.latencies, 0), 2e-3);
  EXPECT_EQ(result.samples, result.queries);
  EXPECT_TRUE(result.valid) << result.reasons.front();
  EXPECT_EQ(result.unit, "ms");
  EXPECT_GE(result.metric, 2);
}

TEST(Load, MultiStreamAsksForEightSamples) {
  NullSystem system;
  const LoadResult result = generate_load(system, short_settings(Scenario::kMultiStream, 0.01));
  EXPECT_EQ(result.samples, 8 * result.queries);
  EXPECT_EQ(result.metric_name, "p99 latency");
  EXPECT_TRUE(result.valid);
}

TEST(Load, TooFewQueriesAreInvalidWithTheNumberNeeded) {
  NullSystem system;
  LoadSettings settings = short_settings(Scenario::kSingleStream, 0);
  settings.min_queries = 63;
  const LoadResult result = generate_load(system, settings);
  EXPECT_FALSE(result.valid);
  ASSERT_EQ(result.reasons.size(), 1u);
  EXPECT_EQ(result.reasons[0],
            "63 queries are too few for p90 with 99 % confidence: 64 are needed");
}

TEST(Load, OfflineIsOneQuery) {
  SlowSystem system(1e-3);
  LoadSettings settings = short_settings(Scenario::kOffline, 1e-4);
  settings.min_samples = 640;
  const LoadResult result = generate_load(system, settings);
  EXPECT_EQ(result.queries, 1);
  EXPECT_EQ(system.seen(), 640);
  EXPECT_EQ(result.samples, 640);
  EXPECT_TRUE(result.valid);
  settings.min_seconds = 10;
  const LoadResult brief = generate_load(system, settings);
  EXPECT_FALSE(brief.valid);
  EXPECT_NE(brief.reasons[0].find("at least 10 s"), std::string::npos);
}

TEST(Load, ServerCountsTheWaitFromTheSchedule) {
  // One query lasts 10 ms and arrives every 5 ms: the queue grows, and so must latencies.
  SlowSystem system(10e-3);
  LoadSettings settings = short_settings(Scenario::kServer, 0.3);
  settings.rate = 200;
  settings.min_queries = 40;
  const LoadResult result = generate_load(system, settings);
  EXPECT_FALSE(result.valid);
  EXPECT_GT(quantile(result.latencies, 1), 0.1);
  EXPECT_NE(result.reasons[0].find("over the bound"), std::string::npos) << result.reasons[0];
}

TEST(Load, SearchFindsTheRateOfAnIdealQueue) {
  // 1 ms a query and 15 ms of patience: an M/D/1 queue keeps that p99 up to about 88 % of 1,000/s.
  SlowSystem system(1e-3);
  LoadSettings settings = short_settings(Scenario::kServer, 0.5);
  settings.max_seconds = 5;
  int tries = 0;
  const ServerSearch search =
      search_server_rate(system, settings, 100, 0.3, [&](const LoadResult&) { ++tries; });
  EXPECT_EQ(static_cast<int>(search.tried.size()), tries);
  EXPECT_GT(search.best.settings.rate, 100);  // sleeping is not exact on a busy machine
  EXPECT_LT(search.best.settings.rate, 1000);
}

TEST(Load, SearchOfWhatIsTooSlowFindsNothing) {
  SlowSystem system(20e-3);
  const ServerSearch search =
      search_server_rate(system, short_settings(Scenario::kServer, 0.2), 50, 0.2, nullptr);
  EXPECT_FALSE(search.best.valid);
  EXPECT_FALSE(search.best.reasons.empty());
}

TEST(Load, TraceKeepsTheGivenTimes) {
  NullSystem system;
  LoadSettings settings = short_settings(Scenario::kTrace, 1);
  settings.trace = {0, 0.01, 0.02, 0.05};
  const LoadResult result = generate_load(system, settings);
  EXPECT_EQ(result.queries, 4);
  EXPECT_GE(result.seconds, 0.05);
}

TEST(Load, FailuresAreCountedAndMakeItInvalid) {
  SlowSystem system(1e-4, 10);
  LoadSettings settings = short_settings(Scenario::kSingleStream, 0.01);
  settings.min_queries = 100;
  settings.max_seconds = 60;
  const LoadResult result = generate_load(system, settings);
  EXPECT_GE(result.failures, 1);
  EXPECT_EQ(result.failures, result.queries / 10);  // however many a busy machine gets done
  EXPECT_EQ(static_cast<std::int64_t>(result.latencies.size()), result.queries - result.failures);
  EXPECT_NE(result.reasons[0].find("the device is on fire"), std::string::npos);
}

TEST(Load, ConcurrencyServesStreamsAtOnce) {
  NullSystem system;
  LoadSettings settings = short_settings(Scenario::kConcurrency, 0.05);
  settings.concurrency = 4;
  const LoadResult result = generate_load(system, settings);
  EXPECT_TRUE(result.valid);
  EXPECT_GT(result.samples_per_second(), 1000);
}

TEST(Load, CancelledRunsKeepWhatTheyMeasured) {
  SlowSystem system(1e-3);
  LoadSettings settings = short_settings(Scenario::kSingleStream, 60);
  int polls = 0;
  settings.cancelled = [&] { return ++polls > 20; };
  const LoadResult result = generate_load(system, settings);
  EXPECT_TRUE(result.interrupted);
  EXPECT_FALSE(result.valid);
  EXPECT_EQ(result.latencies.size(), 20u);
}

TEST(Load, TheNullDeviceTakes200000QueriesASecond) {
  NullSystem system;
  LoadSettings settings = short_settings(Scenario::kSingleStream, 0.2);
  double best = 0;  // of three: other work on the machine is not the generator's cost
  for (int i = 0; i < 3; ++i) {
    best = std::max(best, generate_load(system, settings).samples_per_second());
  }
  RecordProperty("queries_per_second", std::to_string(best));
#if defined(__OPTIMIZE__) && !defined(__SANITIZE_ADDRESS__)
  EXPECT_GE(best, 200e3);
#else
  EXPECT_GT(best, 0);
#endif
}

}  // namespace
}  // namespace pronghorn::bench
