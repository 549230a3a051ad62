// Sequences, steps, carried state, documents and rows: all ways to compute the same thing agree.
#include "core/ops/cross_entropy.h"
#include "core/ops/elementwise.h"
#include "core/ops/reduce.h"
#include "core/ops/view.h"
#include "tests/devices.h"
#include "tests/layers/small_models.h"

namespace xlstm::layers {
namespace {

using testing::perturbed_model;
using testing::random_tokens;
using testing::relative_error;
using testing::row;
using testing::same_bits;
using testing::state_error;
using testing::times;
using testing::widest_on;

std::vector<ModelConfig> both() {
  return {testing::small_a(), testing::small_b()};
}

double tolerance_of(DType dtype) {
  return dtype == DType::f64 ? 1e-11 : 2e-5;
}
// Where a test asks for more of float64 than that, float32 still has to hold what it can.
double tolerance_of(DType dtype, double of_f64) {
  return dtype == DType::f64 ? of_f64 : 2e-5;
}

Tensor tokens_on(Device device, const Shape& shape, uint64_t seed) {
  return random_tokens(shape, 19, seed).to(device);
}

TEST_CASE("a sequence equals its steps, outputs and states") {
  autograd::NoGrad no_grad;
  test::for_each_device([](Device device) {
    for (const ModelConfig& config : both())
      for (const DType dtype : {DType::f32, DType::f64}) {
        if (dtype == DType::f64 && device != kCpu) continue;
        const auto model = perturbed_model(config, dtype, device);
        const Tensor tokens = tokens_on(device, {3, 21}, 5);
        const ModelOutput whole = model->forward(tokens);
        ModelState state = model->init_state(3);
        double worst = 0;
        for (int64_t t = 0; t < 21; ++t) {
          const auto out = model->step(ops::reshape(times(tokens, t, t + 1), {3}), state);
          state = out.state;
          const Tensor expected = ops::reshape(times(whole.logits, t, t + 1), {3, 19});
          worst = std::max(worst, relative_error(out.logits, expected));
        }
        INFO(model->arch() << " " << name_of(dtype));
        CHECK(worst < tolerance_of(dtype));
        CHECK(state_error(state, whole.state) < tolerance_of(dtype));
      }
  });
}

TEST_CASE("steps that overwrite their state equal those that do not") {
  autograd::NoGrad no_grad;
  test::for_each_device([](Device device) {
    for (const ModelConfig& config : both()) {
      const auto model = perturbed_model(config, widest_on(device), device);
      const double limit = tolerance_of(model->dtype(), 1e-12);
      const Tensor tokens = tokens_on(device, {3, 9}, 5);
      ModelState fresh = model->forward(times(tokens, 0, 4)).state;
      ModelState kept = model->forward(times(tokens, 0, 4)).state;
      for (int64_t t = 4; t < 9; ++t) {
        const Tensor now = ops::reshape(times(tokens, t, t + 1), {3});
        const auto want = model->step(now, fresh);
        const auto got = model->step(now, kept, {.in_place_state = true});
        CHECK(relative_error(got.logits, want.logits) < limit);
        CHECK(state_error(got.state, want.state) < limit);
        for (size_t b = 0; b < kept.blocks.size(); ++b) {
          const auto* before = std::get_if<MlstmLayerState>(&kept.blocks[b]);
          const auto* after = std::get_if<MlstmLayerState>(&got.state.blocks[b]);
          if (before == nullptr) continue;
          CHECK(after->cell.C.raw() == before->cell.C.raw());
          CHECK(after->cell.n.raw() == before->cell.n.raw());
          CHECK(after->cell.m.raw() == before->cell.m.raw());
        }
        fresh = want.state;
        kept = got.state;
      }
      // Whole sequences and steps with a reset leave what they are given as it was.
      const ModelState before = kept.select_rows(Tensor::from<int64_t>({0, 1, 2}, {3}).to(device));
      model->forward(times(tokens, 0, 2), kept, {}, {.in_place_state = true});
      const Tensor reset = Tensor::zeros({3, 1}, DType::u8, device);
      model->forward(times(tokens, 0, 1), kept, reset, {.in_place_state = true});
      CHECK(state_error(kept, before) == 0);
    }
  });
}

TEST_CASE("a split sequence with carried state equals the whole, gradients included") {
  test::for_each_device([](Device device) {
    for (const ModelConfig& config : both()) {
      const auto model = perturbed_model(config, widest_on(device), device);
      const DType dtype = model->dtype();
      const Tensor tokens = tokens_on(device, {2, 20}, 5), targets = tokens_on(device, {2, 20}, 6);
      const auto loss_of = [&](const Tensor& logits) {
        return ops::cross_entropy(logits, targets).loss;
      };
      const auto whole = model->forward(tokens);
      autograd::backward(loss_of(whole.logits));
      Tensors expected;
      for (const Tensor& p : model->parameters()) expected.push_back(p.grad().clone());
      model->zero_grad();

      const auto first = model->forward(times(tokens, 0, 7));
      const auto second = model->forward(times(tokens, 7, 8), first.state);
      const auto third = model->forward(times(tokens, 8, 20), second.state);
      const Tensor logits = ops::concat({first.logits, second.logits, third.logits}, 1);
      CHECK(relative_error(logits, whole.logits) < tolerance_of(dtype));
      CHECK(state_error(third.state, whole.state) < tolerance_of(dtype));
      autograd::backward(loss_of(logits));
      const NamedTensors named = model->named_parameters();
      for (size_t i = 0; i < named.size(); ++i) {
        INFO(named[i].first);
        CHECK(relative_error(named[i].second.grad(), expected[i]) <
              (dtype == DType::f64 ? 1e-7 : 1e-4));
      }
    }
  });
}

TEST_CASE("documents separated by resets equal documents on their own") {
  test::for_each_device([](Device device) {
    for (const ModelConfig& config : both()) {
      const auto model = perturbed_model(config, widest_on(device), device);
      // Row 0: documents of 5 and 8; row 1: 1, 3 and 9. Position 0 resets in row 1 only.
      const Tensor tokens = tokens_on(device, {2, 13}, 5);
      std::vector<uint8_t> mask(26, 0);
      for (const size_t i : {5u, 13u, 14u, 17u}) mask[i] = 1;
      const Tensor reset = Tensor::from(mask, {2, 13}).to(device);
      const auto packed = model->forward(tokens, {}, reset);
      const auto check_document = [&](int64_t b, int64_t begin, int64_t end) {
        const auto alone = model->forward(times(row(tokens, b), begin, end));
        CHECK(relative_error(times(row(packed.logits, b), begin, end), alone.logits) <
              tolerance_of(model->dtype()));
        return alone.state;
      };
      check_document(0, 0, 5);
      const ModelState last_of_0 = check_document(0, 5, 13);
      check_document(1, 0, 1);
      check_document(1, 1, 4);
      const ModelState last_of_1 = check_document(1, 4, 13);
      CHECK(state_error(packed.state, ModelState::concat_rows({last_of_0, last_of_1})) <
            tolerance_of(model->dtype()));

      // No gradient crosses a boundary: the loss of the last documents alone gives their gradients.
      const Tensor weight = testing::random_normal({1, 8, 19}, widest_on(device), 9).to(device);
      autograd::backward(
          ops::sum(ops::mul(ops::slice(ops::slice(packed.logits, 0, 0, 1), 1, 5, 13), weight)));
      Tensors expected;
      for (const Tensor& p : model->parameters()) expected.push_back(p.grad().clone());
      model->zero_grad();
      const auto alone = model->forward(times(row(tokens, 0), 5, 13));
      autograd::backward(ops::sum(ops::mul(alone.logits, weight)));
      const NamedTensors named = model->named_parameters();
      for (size_t i = 0; i < named.size(); ++i) {
        INFO(named[i].first);
        CHECK(relative_error(expected[i], named[i].second.grad()) <
              (device == kCpu ? 1e-10 : 1e-4));
      }
    }
  });
}

TEST_CASE("a given state is used at position 0, and a reset there discards it") {
  autograd::NoGrad no_grad;
  test::for_each_device([](Device device) {
    for (const ModelConfig& config : both()) {
      const auto model = perturbed_model(config, widest_on(device), device);
      const double limit = tolerance_of(model->dtype(), 1e-12);
      const Tensor tokens = tokens_on(device, {2, 6}, 5);
      const ModelState warm = model->forward(tokens_on(device, {2, 9}, 6)).state;
      const Tensor cold = model->forward(tokens).logits;
      CHECK(relative_error(model->forward(tokens, warm).logits, cold) > 1e-3);
      std::vector<uint8_t> mask(12, 0);
      mask[0] = mask[6] = 1;
      const Tensor reset = Tensor::from(mask, {2, 6}).to(device);
      CHECK(relative_error(model->forward(tokens, warm, reset).logits, cold) < limit);
      CHECK(relative_error(model->forward(tokens, model->init_state(2)).logits, cold) < limit);
    }
  });
}

struct Precision {
  DType compute;
  double alone;  // what a row on its own may differ by
};
// A row on its own may go through other blocks of the matrix products, whose rounding 16-bit
// activations carry on: some units in the last place of the largest logit.
std::vector<Precision> precisions_of(Device device) {
  if (device == kCpu) return {{DType::f32, 2e-6}};
  return {{DType::f32, 2e-5}, {DType::bf16, 3e-2}, {DType::f16, 5e-3}};
}

TEST_CASE("rows of a batch do not see each other, and time does not run backwards") {
  autograd::NoGrad no_grad;
  test::for_each_device([](Device device) {
    for (const ModelConfig& config : both())
      for (const Precision& precision : precisions_of(device)) {
        const auto model = perturbed_model(config, DType::f32, device);
        model->set_compute_dtype(precision.compute);
        INFO(model->arch() << " " << name_of(precision.compute));
        const auto logits = [&](const Tensor& tokens) {
          return model->forward(tokens.to(device)).logits;
        };
        const Tensor tokens = random_tokens({3, 17}, 19, 5);
        const Tensor base = logits(tokens);
        Tensor other = tokens.clone();
        for (int64_t t = 0; t < 17; ++t) {
          other.data<int64_t>()[t] = (other.data<int64_t>()[t] + 3) % 19;
          other.data<int64_t>()[34 + t] = (other.data<int64_t>()[34 + t] + 5) % 19;
        }
        const Tensor changed = logits(other);
        CHECK(same_bits(row(changed, 1), row(base, 1)));
        CHECK_FALSE(same_bits(row(changed, 0), row(base, 0)));

        Tensor later = tokens.clone();
        later.data<int64_t>()[17 + 9] = (later.data<int64_t>()[17 + 9] + 1) % 19;
        const Tensor after = logits(later);
        CHECK(same_bits(times(row(after, 1), 0, 9), times(row(base, 1), 0, 9)));
        CHECK_FALSE(same_bits(times(row(after, 1), 9, 10), times(row(base, 1), 9, 10)));
        CHECK(relative_error(logits(row(tokens, 1)), row(base, 1)) < precision.alone);
      }
  });
}

TEST_CASE("states can be selected and joined by rows") {
  test::for_each_device([](Device device) {
    for (const ModelConfig& config : both()) {
      const auto model = perturbed_model(config, widest_on(device), device);
      const double limit = tolerance_of(model->dtype(), 1e-13);
      const Tensor tokens = tokens_on(device, {3, 6}, 5);
      const ModelState state = model->forward(tokens).state;
      CHECK(state.batch() == 3);
      const ModelState picked =
          state.select_rows(Tensor::from(std::vector<int64_t>{2, 0, 2, 1}, {4}).to(device));
      CHECK(picked.batch() == 4);
      const Tensor next = random_tokens({3}, 19, 6);  // read here
      const auto at = [](const Tensor& t, int64_t i) { return t.data<int64_t>()[i]; };
      const Tensor next_picked =
          Tensor::from(std::vector<int64_t>{at(next, 2), at(next, 0), at(next, 2), at(next, 1)},
                       {4})
              .to(device);
      const Tensor a = model->step(next.to(device), state).logits,
                   b = model->step(next_picked, picked).logits;
      CHECK(relative_error(row(b, 0), row(a, 2)) < limit);
      CHECK(relative_error(row(b, 1), row(a, 0)) < limit);
      CHECK(relative_error(row(b, 3), row(a, 1)) < limit);

      std::vector<ModelState> parts;
      for (int64_t b_row = 0; b_row < 3; ++b_row)
        parts.push_back(
            state.select_rows(Tensor::from(std::vector<int64_t>{b_row}, {1}).to(device)));
      CHECK(state_error(ModelState::concat_rows(parts), state) == 0);
      CHECK_THROWS_AS(state.select_rows(Tensor::from(std::vector<int64_t>{3}, {1}).to(device)),
                      ShapeError);
      CHECK(ModelState{}
                .select_rows(Tensor::from(std::vector<int64_t>{0}, {1}).to(device))
                .blocks.empty());

      // Selection carries gradient, detaching does not.
      for (const auto& [name, tensor] : picked.named_tensors()) {
        INFO(name);
        if (!name.ends_with(".m")) CHECK(tensor.requires_grad());
      }
      for (const auto& [name, tensor] : picked.detach().named_tensors())
        CHECK_FALSE(tensor.requires_grad());
    }
  });
}

TEST_CASE("prompts of different lengths can be joined into one batch") {
  autograd::NoGrad no_grad;
  test::for_each_device([](Device device) {
    for (const ModelConfig& config : both()) {
      const auto model = perturbed_model(config, widest_on(device), device);
      const Tensor a = tokens_on(device, {1, 4}, 1), b = tokens_on(device, {1, 9}, 2);
      const ModelState joined =
          ModelState::concat_rows({model->forward(a).state, model->forward(b).state});
      const Tensor next = tokens_on(device, {2}, 3);
      const auto out = model->step(next, joined);
      const auto grown =
          model->forward(ops::concat({b, ops::reshape(ops::slice(next, 0, 1, 2), {1, 1})}, 1));
      CHECK(relative_error(row(out.logits, 1), ops::reshape(times(grown.logits, 9, 10), {1, 19})) <
            tolerance_of(model->dtype()));
    }
  });
}

TEST_CASE("misuse is refused") {
  const auto model = make_language_model(testing::small_a(), 1);
  const auto other = make_language_model(testing::small_b(), 1);
  CHECK_THROWS_AS(model->forward(random_tokens({3}, 19, 1)), ShapeError);
  CHECK_THROWS_AS(model->step(random_tokens({3, 1}, 19, 1), {}), ShapeError);
  CHECK_THROWS_AS(model->forward(Tensor::full({1, 2}, 19, DType::i64)), ShapeError);
  CHECK_THROWS_AS(model->forward(random_tokens({3, 2}, 19, 1), model->init_state(2)), ShapeError);
  CHECK_THROWS_AS(model->forward(random_tokens({2, 2}, 19, 1), other->init_state(2)), ShapeError);
  CHECK_THROWS_AS(model->init_state(0), ConfigError);
  SlstmBlock slstm(8, 2);
  MlstmBlock mlstm(8, 2);
  CHECK_THROWS_AS(slstm.step(Tensor::zeros({1, 8}), mlstm.init_hidden(1)), ConfigError);
  CHECK_THROWS_AS(slstm.step(Tensor::zeros({1, 9}), slstm.init_hidden(1)), ShapeError);
}

}  // namespace
}  // namespace xlstm::layers
