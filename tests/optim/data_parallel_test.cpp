// Sums of gradients over ranks, and an optimizer in parts.
#include "optim/data_parallel.h"

#include <cmath>

#include "core/comm/world.h"
#include "core/random.h"
#include "optim/update.h"
#include "tests/ranks.h"

namespace xlstm::optim {
namespace {

using comm::Communicator;

constexpr int64_t kElements = 36 * kFlatAlignment;  // for 1, 2, 3 and 4 ranks
constexpr int64_t kEarly = 17 * kFlatAlignment;
constexpr int64_t kCopied = 24 * kFlatAlignment;  // where parameters may have copies

double gradient_at(int rank, int64_t step, int64_t i) {
  return std::sin(0.1 * static_cast<double>(i) + rank + 2.0 * static_cast<double>(step));
}

// Parameters of odd sizes in flat memory, as an arena lays them.
struct Course {
  FlatParameters flat;
  Tensor masters;  // of those with copies
  Parameters parameters;
  explicit Course(bool with_copies = false) {
    flat.n_copied = with_copies ? kCopied : 0;
    flat.weights = Tensor::zeros({kElements - flat.n_copied});
    flat.gradients = Tensor::zeros({kElements});
    flat.n_early = kEarly;
    if (with_copies) {
      flat.copies = Tensor::zeros({kCopied}, DType::bf16);
      masters = Tensor::zeros({kCopied});
    }
    int64_t at = 0;
    for (const int64_t n : {100, 64, 31, 33, 200, 1, 150, 100, 201}) {
      if (n == 100 && at > 0) at = kCopied;
      const auto part = [n](const Tensor& all, int64_t place) {
        return all.strided_view({n}, {1}, place);
      };
      const bool copied = at < flat.n_copied;
      Tensor value = copied ? part(masters, at) : part(flat.weights, at - flat.n_copied);
      for (int64_t i = 0; i < n; ++i)
        value.data<float>()[i] = static_cast<float>(std::cos(static_cast<double>(at + i)));
      value.set_requires_grad(true);
      value.set_grad(part(flat.gradients, at));
      if (copied) {
        part(flat.copies, at).copy_from(value);
        value.set_low_precision(part(flat.copies, at));
      }
      parameters.push_back({"p" + std::to_string(at) + ".weight", value, at < kEarly});
      at += (n + kFlatAlignment - 1) / kFlatAlignment * kFlatAlignment;
    }
    REQUIRE(at <= kElements);
  }
  // The gradients that one rank computes; gaps stay zero.
  void compute(int rank, int64_t step) {
    flat.gradients.fill(0);
    for (const Parameter& p : parameters) {
      Tensor grad = p.value.grad();
      for (int64_t i = 0; i < grad.numel(); ++i)
        grad.data<float>()[i] =
            static_cast<float>(gradient_at(rank, step, grad.impl()->offset + i));
    }
  }
};

std::unique_ptr<Communicator> communicator() {
  return comm::make_communicator(comm::world_from_environment(), kCpu);
}

// Weights and whole optimizer state after some steps of data parallelism.
struct Ending {
  std::vector<float> weights, copies, state;
  std::vector<double> norms;
};

std::vector<float> values_of(const Tensor& tensor) {
  return tensor.defined() ? tensor.to_vector<float>() : std::vector<float>{};
}

Ending train(Communicator& c, bool zero1, bool adamw, int64_t bucket_bytes, bool adds_parts,
             bool with_copies) {
  Course course(with_copies);
  DataParallel parallel(
      c, course.flat,
      {.shards_optimizer = zero1, .bucket_bytes = bucket_bytes, .adds_parts = adds_parts});
  const auto shard = zero1 ? std::optional(parallel.own_parts()) : std::nullopt;
  std::unique_ptr<Optimizer> optimizer;
  if (adamw) optimizer = std::make_unique<AdamW>(course.parameters, AdamWConfig{}, shard);
  if (!adamw)
    optimizer = std::make_unique<Sgd>(course.parameters, SgdConfig{.momentum = 0.9}, shard);
  if (zero1 && with_copies) {
    optimizer->shard_masters(kCopied);
    REQUIRE(optimizer->masters().numel() == kCopied / c.size());
    course.masters.impl()->storage->release();
  }
  StepGuard guard;
  Ending ending;
  for (int64_t step = 0; step < 4; ++step) {
    course.compute(c.rank(), step);
    for (const int64_t element : {500, 300, 290, 100}) parallel.passed(element);
    parallel.finish();
    const auto total = parallel.total(1.0 + c.rank(), c.rank() == 0 ? 5 : 0);
    REQUIRE(total.loss == c.size() * (c.size() + 1) / 2.0);
    REQUIRE(total.votes == 5);
    const UpdateResult result =
        update(*optimizer, guard, total.loss, 0.01,
               {.max_norm = 1, .n_accumulated = c.size(), .norm_of_sum = total.gradient_norm});
    parallel.gather_weights();
    ending.norms.push_back(result.gradient_norm);
  }
  if (zero1 && with_copies) course.masters = parallel.gathered_masters(*optimizer, true);
  ending.weights = values_of(course.masters);
  for (const float weight : values_of(course.flat.weights)) ending.weights.push_back(weight);
  ending.copies = values_of(course.flat.copies);
  for (const auto& [name, tensor] : parallel.gathered_state(*optimizer)) {
    const auto values = tensor.to_vector<float>();
    ending.state.insert(ending.state.end(), values.begin(), values.end());
  }
  return ending;
}

// The same with all gradients computed by one process, added up in the order of ranks.
Ending train_alone(int n_ranks, bool adamw) {
  Course course, other;
  std::unique_ptr<Optimizer> optimizer;
  if (adamw) optimizer = std::make_unique<AdamW>(course.parameters, AdamWConfig{});
  if (!adamw) optimizer = std::make_unique<Sgd>(course.parameters, SgdConfig{.momentum = 0.9});
  StepGuard guard;
  Ending ending;
  for (int64_t step = 0; step < 4; ++step) {
    course.compute(0, step);
    for (int rank = 1; rank < n_ranks; ++rank) {
      other.compute(rank, step);
      for (int64_t i = 0; i < kElements; ++i)
        course.flat.gradients.data<float>()[i] += other.flat.gradients.data<float>()[i];
    }
    ending.norms.push_back(
        update(*optimizer, guard, 1, 0.01, {.max_norm = 1, .n_accumulated = n_ranks})
            .gradient_norm);
  }
  ending.weights = course.flat.weights.to_vector<float>();
  for (const auto& [name, tensor] : optimizer->state()) {
    const auto values = tensor.to_vector<float>();
    ending.state.insert(ending.state.end(), values.begin(), values.end());
  }
  return ending;
}

void check_strategies(Communicator& c, bool adds_parts) {
  // Parts that are added here are added in double and rounded once.
  const double close = adds_parts ? 1e-6 : 1e-12;
  for (const bool adamw : {true, false}) {
    for (const int64_t bucket_bytes : {1 << 20, 1024, 1}) {
      CAPTURE(c.size(), adamw, bucket_bytes, adds_parts);
      const Ending ddp = train(c, false, adamw, bucket_bytes, adds_parts, false);
      const Ending zero1 = train(c, true, adamw, bucket_bytes, adds_parts, false);
      const Ending alone = train_alone(c.size(), adamw);
      // Copies change which memory is gathered, and nothing of the masters.
      for (const bool is_zero1 : {false, true}) {
        const Ending copied = train(c, is_zero1, adamw, bucket_bytes, adds_parts, true);
        CHECK(copied.weights == ddp.weights);
        // Buckets end elsewhere, so the norm is added up in another order.
        for (size_t i = 0; i < ddp.norms.size(); ++i)
          CHECK(copied.norms[i] == Approx(ddp.norms[i]).epsilon(1e-14));
        CHECK(copied.state == ddp.state);
        REQUIRE(copied.copies.size() == kCopied);
        Tensor rounded = Tensor::zeros({kCopied}, DType::bf16);
        rounded.copy_from(Tensor::from(
            std::vector<float>(ddp.weights.begin(), ddp.weights.begin() + kCopied), {kCopied}));
        CHECK(copied.copies == values_of(rounded));
      }
      CHECK(ddp.weights == zero1.weights);
      CHECK(ddp.norms == zero1.norms);
      CHECK(ddp.state == zero1.state);
      for (size_t i = 0; i < alone.norms.size(); ++i)
        CHECK(ddp.norms[i] == Approx(alone.norms[i]).epsilon(close));
      REQUIRE(ddp.weights.size() == alone.weights.size());
      for (size_t i = 0; i < alone.weights.size(); ++i)
        REQUIRE(std::abs(ddp.weights[i] - alone.weights[i]) <= 1e-6f);
      if (c.rank() != 0) CHECK(ddp.state.empty());
      if (c.rank() != 0) continue;
      REQUIRE(zero1.state.size() == alone.state.size());
      for (size_t i = 0; i < alone.state.size(); ++i)
        REQUIRE(std::abs(zero1.state[i] - alone.state[i]) <= 1e-6f);
    }
  }
}

TEST_CASE("ranks: both strategies are one optimizer", "[.ranks][.strategies]") {
  const auto c = communicator();
  REQUIRE(c->size() > 1);
  check_strategies(*c, false);
  check_strategies(*c, true);
  c->close();
}

TEST_CASE("ranks: NaN anywhere stops everyone", "[.ranks][.nan]") {
  const auto c = communicator();
  Course course;
  for (const bool zero1 : {false, true}) {
    for (int bad = 0; bad < c->size(); ++bad) {
      for (const int64_t place : {int64_t{0}, int64_t{300}, kElements - 1}) {
        DataParallel parallel(*c, course.flat, {.shards_optimizer = zero1, .bucket_bytes = 1024});
        course.compute(c->rank(), 0);
        if (c->rank() == bad) course.flat.gradients.data<float>()[place] = NAN;
        parallel.finish();
        CHECK(std::isnan(parallel.total(1, 0).gradient_norm));
        course.compute(c->rank(), 0);
        parallel.finish();
        CHECK(std::isnan(parallel.total(c->rank() == bad ? NAN : 1, 0).loss));
      }
    }
  }
  c->close();
}

TEST_CASE("one rank, either strategy: as without") {
  const auto c = comm::make_single_communicator(kCpu);
  for (const bool adds_parts : {false, true}) check_strategies(*c, adds_parts);
}

TEST_CASE("weights that arrive during a forward pass are noted as written before it") {
  const auto c = comm::make_single_communicator(kCpu);
  Course course(true);
  DataParallel parallel(*c, course.flat, {.shards_optimizer = true, .bucket_bytes = 1});
  REQUIRE(parallel.layout().buckets.size() > 20);
  const uint64_t weights = course.flat.weights.version(), copies = course.flat.copies.version();
  parallel.start_gathering();
  CHECK(course.flat.weights.version() == weights + 1);
  CHECK(course.flat.copies.version() == copies + 1);
  for (const int64_t element : {int64_t{100}, int64_t{290}, kEarly, kCopied, kElements})
    parallel.needs(element);
  CHECK(course.flat.weights.version() == weights + 1);
  CHECK(course.flat.copies.version() == copies + 1);
}

TEST_CASE("a shard takes its part of a whole state") {
  const auto c = comm::make_single_communicator(kCpu);
  Course course;
  const ShardLayout layout = make_shard_layout(kElements, kEarly, 3, 200);
  AdamW whole(course.parameters, {});
  course.compute(0, 0);
  whole.step(0.1);
  const std::vector<float> before = course.flat.weights.to_vector<float>();
  course.compute(0, 1);
  whole.step(0.1);
  const std::vector<float> want = course.flat.weights.to_vector<float>();
  // The same second step by three shards, one after the other, from the state after the first.
  Course again;
  AdamW first(again.parameters, {});
  again.compute(0, 0);
  first.step(0.1);
  CHECK(again.flat.weights.to_vector<float>() == before);
  NamedTensors saved;
  for (const auto& [name, tensor] : first.state()) saved.emplace_back(name, tensor.clone());
  again.compute(0, 1);
  for (int rank = 0; rank < 3; ++rank) {
    AdamW shard(again.parameters, {}, layout.parts(rank));
    shard.load_state(saved, 1);
    CHECK_THROWS_AS(shard.state(), ConfigError);
    shard.step(0.1);
  }
  CHECK(again.flat.weights.to_vector<float>() == want);
}

TEST_CASE("masters in parts are taken from the parameters again and again, and only by a shard") {
  Course course(true);
  AdamW whole(course.parameters, {});
  CHECK_THROWS_AS(whole.shard_masters(kCopied), ConfigError);
  const ShardLayout layout = make_shard_layout(kElements, kEarly, 2, 200, kCopied);
  AdamW shard(course.parameters, {}, layout.parts(1));
  for (const float factor : {1.0f, 2.0f}) {
    for (int64_t i = 0; i < kCopied; ++i)
      course.masters.data<float>()[i] = factor * static_cast<float>(i);
    shard.shard_masters(kCopied);
    const std::vector<float> got = values_of(shard.masters());
    REQUIRE(got.size() == kCopied / 2);
    size_t place = 0;
    for (const Range& part : layout.parts(1))
      for (int64_t i = part.begin; i < std::min(part.end, kCopied); ++i, ++place)
        // What lies between parameters is nobody's.
        REQUIRE((got[place] == factor * static_cast<float>(i) || got[place] == 0));
    CHECK(got[1] == factor * static_cast<float>(layout.part(0, 1).begin + 1));
  }
}

TEST_CASE("a shard is of flat memory") {
  Parameters parameters;
  for (const char* name : {"a.weight", "b.weight"})
    parameters.push_back({name, Tensor::zeros({8}).set_requires_grad(true), true});
  CHECK_THROWS_AS(AdamW(parameters, {}, std::vector<Range>{{0, 32}}), ConfigError);
}

TEST_CASE("strategies on 2, 3 and 4 processes") {
  if (!test::has_mpirun()) return;
  for (const int n : {2, 3, 4}) {
    const auto outcome = test::run_ranks(n, "[.strategies]");
    INFO(outcome.output);
    CHECK(outcome.code == 0);
  }
}

TEST_CASE("NaN on one of 3 processes") {
  if (!test::has_mpirun()) return;
  const auto outcome = test::run_ranks(3, "[.nan]");
  INFO(outcome.output);
  CHECK(outcome.code == 0);
}

}  // namespace
}  // namespace xlstm::optim
