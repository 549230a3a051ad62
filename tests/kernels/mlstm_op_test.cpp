// The mLSTM op: what the generic tests over the op table do not see.
#include <array>
#include <cstdlib>

#include "core/autograd.h"
#include "core/op_info.h"
#include "core/ops/mlstm_gated.h"
#include "core/ops/view.h"
#include "tests/catch.h"

namespace xlstm {
namespace {

struct Problem {
  Tensor q, k, v, i, f, reset;
  ops::MlstmState initial;
  ops::MlstmOptions options;

  Tensors leaves() { return {q, k, v, i, f, initial.C, initial.n, initial.m}; }
  ops::MlstmResult run() { return ops::mlstm(q, k, v, i, f, initial, reset, options); }
  ops::MlstmResult run_composed() {
    return ops::mlstm_composed(q, k, v, i, f, initial, reset, options);
  }
};

Problem make_problem(bool leaves, DType dtype = DType::f64) {
  Generator g{42, 0};
  Problem p;
  p.q = random_tensor({2, 11, 3, 4}, dtype, g);
  p.k = random_tensor({2, 11, 3, 4}, dtype, g);
  p.v = random_tensor({2, 11, 3, 5}, dtype, g);
  p.i = random_tensor({2, 11, 3}, dtype, g);
  p.f = random_tensor({2, 11, 3}, dtype, g, 2);
  p.initial = {random_tensor({2, 3, 4, 5}, dtype, g), random_tensor({2, 3, 4}, dtype, g),
               random_tensor({2, 3}, dtype, g)};
  std::vector<uint8_t> reset(22, 0);
  reset[7] = reset[15] = reset[16] = 1;
  p.reset = Tensor::from(reset, {2, 11});
  p.options.chunk_size = 4;
  if (leaves)
    for (Tensor leaf : p.leaves()) leaf.set_requires_grad(true);
  return p;
}

Tensors gradients(Problem& p, const ops::MlstmResult& result) {
  Generator g{43, 0};
  Tensors roots{result.h, result.final_state.C}, grads;
  if (result.final_state.n.requires_grad()) roots.push_back(result.final_state.n);
  for (const Tensor& root : roots) grads.push_back(random_tensor(root.shape(), root.dtype(), g));
  autograd::backward(roots, grads);
  Tensors out;
  for (Tensor leaf : p.leaves()) {
    out.push_back(leaf.grad());
    leaf.set_grad({});
  }
  return out;
}

double largest_difference(const Tensor& a, const Tensor& b) {
  const auto x = a.to_vector<double>(), y = b.to_vector<double>();
  REQUIRE(x.size() == y.size());
  double worst = 0;
  for (size_t j = 0; j < x.size(); ++j) worst = std::max(worst, std::abs(x[j] - y[j]));
  return worst;
}

TEST_CASE("mlstm has the gradient of its composed twin, stabiliser held constant") {
  for (int variant = 0; variant < 5; ++variant) {
    INFO("variant " << variant);
    Problem p = make_problem(true);
    p.options.detach_normalizer = variant == 1;
    p.options.soft_cap = variant == 2 ? 2.0 : 0.0;
    if (variant >= 3) p.options.input_gate = ops::MlstmInputGate::sigmoid;
    p.options.normalize = variant != 4;
    const Tensors composed = gradients(p, p.run_composed());
    for (const auto form :
         {ops::MlstmForm::chunkwise, ops::MlstmForm::parallel, ops::MlstmForm::recurrent}) {
      p.options.form = form;
      const Tensors fused = gradients(p, p.run());
      for (size_t j = 0; j < 8; ++j) {
        INFO("input " << j);
        REQUIRE(fused[j].defined());
        // The twin has no path to a state that plays no part.
        if (composed[j].defined()) {
          CHECK(largest_difference(fused[j], composed[j]) <= 1e-9);
        } else {
          CHECK(largest_difference(fused[j], Tensor::zeros(fused[j].shape(), DType::f64)) == 0);
        }
      }
    }
  }
}

TEST_CASE("mlstm_gated is the mLSTM and the gated norm, in values and gradients") {
  Generator g{44, 0};
  const Shape joined{2, 11, 15};
  const Tensor gate = random_tensor(joined, DType::f64, g),
               skip = random_tensor(joined, DType::f64, g),
               weight = random_tensor({15}, DType::f64, g),
               skip_weight = random_tensor({15}, DType::f64, g);
  const Tensors others{gate, skip, weight, skip_weight};
  for (Tensor x : others) x.set_requires_grad(true);
  const ops::NormGate of_gate{gate, ops::Activation::silu, skip, skip_weight};
  const ops::HeadNorm norm{weight, {}, 0.1, ops::NormScale::one_plus};
  std::array<Tensors, 2> results, grads;
  for (const size_t together : {size_t{0}, size_t{1}}) {
    Problem p = make_problem(true);
    ops::MlstmResult result;  // h is y here
    if (together == 1) {
      const auto both =
          ops::mlstm_gated(p.q, p.k, p.v, p.i, p.f, p.initial, p.reset, p.options, of_gate, norm);
      result = {both.y, both.final_state};
    } else {
      result = p.run();
      result.h = ops::multi_head_norm_gated(ops::reshape(result.h, joined), of_gate, weight, {}, 3,
                                            norm.eps, norm.scale);
    }
    results[together] = {result.h, result.final_state.C, result.final_state.n,
                         result.final_state.m};
    grads[together] = gradients(p, result);
    for (Tensor x : others) {
      grads[together].push_back(x.grad());
      x.set_grad({});
    }
  }
  for (size_t i = 0; i < results[0].size(); ++i)
    CHECK(largest_difference(results[0][i], results[1][i]) == 0);
  for (size_t i = 0; i < grads[0].size(); ++i) {
    INFO("gradient " << i);
    REQUIRE(grads[1][i].defined());
    CHECK(largest_difference(grads[0][i], grads[1][i]) == 0);
  }
}

TEST_CASE("mlstm records only what needs a gradient") {
  Problem p = make_problem(false);
  CHECK_FALSE(p.run().h.requires_grad());
  p.v.set_requires_grad(true);
  const auto result = p.run();
  CHECK(result.h.requires_grad());
  CHECK(result.final_state.C.requires_grad());
  CHECK_FALSE(result.final_state.m.requires_grad());
  // Only the state is used: h comes in without a gradient.
  autograd::backward({result.final_state.C}, {Tensor::full({2, 3, 4, 5}, 1, DType::f64)});
  CHECK(p.v.grad().defined());
  CHECK_FALSE(p.q.grad().defined());
}

TEST_CASE("mlstm notices that an input was changed after the forward") {
  Problem p = make_problem(true);
  const auto result = p.run();
  Tensor k = p.k.detach();
  k.fill(1);
  CHECK_THROWS_AS(autograd::backward({result.h}, {result.h.detach()}), AutogradError);
}

TEST_CASE("decoding step by step equals the whole sequence") {
  for (const DType dtype : {DType::f32, DType::f64}) {
    Problem p = make_problem(false, dtype);
    p.reset = {};
    const auto whole = p.run();
    ops::MlstmState state{p.initial.C.clone(), p.initial.n.clone(), p.initial.m.clone()};
    const auto at = [](const Tensor& x, int64_t t) {
      Shape shape = x.shape(), strides = x.strides();
      shape.erase(shape.begin() + 1);
      strides.erase(strides.begin() + 1);
      return x.strided_view(shape, strides, t * x.stride(1));
    };
    const double tolerance = dtype == DType::f32 ? 1e-4 : 1e-12;
    for (int64_t t = 0; t < 11; ++t) {
      const Tensor h = ops::mlstm_step(at(p.q, t), at(p.k, t), at(p.v, t), at(p.i, t), at(p.f, t),
                                       state, p.options);
      CHECK(largest_difference(h, at(whole.h, t)) <= tolerance);
    }
    CHECK(largest_difference(state.C, whole.final_state.C) <= tolerance);
    CHECK(largest_difference(state.m, whole.final_state.m) <= tolerance);
    ops::MlstmState fresh;
    ops::mlstm_step(at(p.q, 0), at(p.k, 0), at(p.v, 0), at(p.i, 0), at(p.f, 0), fresh);
    CHECK(fresh.C.shape() == Shape{2, 3, 4, 5});
  }
}

TEST_CASE("a decoding step of sequences in slots") {
  Problem p = make_problem(false);
  const auto at = [](const Tensor& x) { return ops::select(x, 1, 0); };
  const auto step = [&](ops::MlstmState& state, const Tensor& slots) {
    return ops::mlstm_step(at(p.q), at(p.k), at(p.v), at(p.i), at(p.f), state, p.options, slots);
  };
  const auto list = [](std::vector<int64_t> slots) {
    Tensor out = Tensor::empty({static_cast<int64_t>(slots.size())}, DType::i64);
    std::copy(slots.begin(), slots.end(), out.data<int64_t>());
    return out;
  };
  const auto doubled = [](const Tensor& x) { return ops::concat({x, x}, 0); };
  ops::MlstmState rows{p.initial.C.clone(), p.initial.n.clone(), p.initial.m.clone()};
  ops::MlstmState slots{doubled(rows.C), doubled(rows.n), doubled(rows.m)};
  const Tensor before = slots.C.clone();
  const Tensor h = step(slots, list({2, 1}));  // row b has the state of row b in both
  CHECK(largest_difference(h, step(rows, {})) == 0);
  const auto slot = [](const Tensor& x, int64_t b) { return ops::select(x, 0, b); };
  CHECK(largest_difference(slot(slots.C, 2), slot(rows.C, 0)) == 0);
  CHECK(largest_difference(slot(slots.C, 1), slot(rows.C, 1)) == 0);
  CHECK(largest_difference(slot(slots.C, 0), slot(before, 0)) == 0);
  CHECK(largest_difference(slot(slots.C, 3), slot(before, 3)) == 0);
  CHECK(largest_difference(step(slots, list({-1, -1})), Tensor::zeros(h.shape(), h.dtype())) == 0);

  const auto fails_with = [&](ops::MlstmState state, const Tensor& bad, const std::string& part) {
    try {
      step(state, bad);
      FAIL("no error, expected " << part);
    } catch (const ShapeError& error) {
      CHECK_THAT(error.what(), test::contains(part));
    }
  };
  fails_with(slots, list({0, 4}), "slot of row 1 is out of range, got 4, expected less than 4");
  fails_with(slots, list({3, 3}), "two rows share a slot, got 3 for rows 0 and 1");
  fails_with(slots, list({0}), "shape of slots");
  fails_with(slots, Tensor::zeros({2}, DType::i32), "type of slots");
  fails_with({}, list({0, 1}), "the state must stand ready");
  fails_with({slots.C, slots.n, rows.m}, list({0, 1}), "shape of state m");
}

TEST_CASE("mlstm explains what is wrong with its arguments") {
  const auto fails_with = [](auto change, const std::string& part) {
    Problem p = make_problem(false);
    change(p);
    try {
      p.run();
      FAIL("no error, expected " << part);
    } catch (const Error& error) {
      CHECK_THAT(error.what(), test::contains(part));
    }
  };
  const auto tensor = [](const Shape& shape) { return Tensor::zeros(shape, DType::f64); };
  fails_with([&](Problem& p) { p.q = tensor({2, 11, 4}); }, "expected [B, T, H, K]");
  fails_with([&](Problem& p) { p.k = tensor({2, 11, 3, 5}); }, "shape of k");
  fails_with([&](Problem& p) { p.v = tensor({2, 10, 3, 5}); }, "shape of v");
  fails_with([&](Problem& p) { p.f = tensor({2, 11}); }, "shape of f");
  fails_with([](Problem& p) { p.i = Tensor::zeros({2, 11, 3}, DType::f32); }, "type of i");
  fails_with([&](Problem& p) { p.initial.C = tensor({2, 3, 5, 4}); }, "state C");
  fails_with(
      [&](Problem& p) {
        p.reset = tensor({2, 11});
      },
      "type of reset, got float64, expected uint8");
  fails_with([](Problem& p) { p.reset = Tensor::zeros({2, 10}, DType::u8); }, "expected [2, 11]");
  fails_with([](Problem& p) { p.k = Tensor{}; }, "an input is missing");
  fails_with([](Problem& p) { p.options.chunk_size = 0; }, "chunk size");
  fails_with([](Problem& p) { p.options.normalize = false; }, "normalize = false");
  fails_with([](Problem& p) { p.options.eps = -1; }, "eps");
  Problem p = make_problem(true);
  ops::MlstmState state;
  const Tensor row = tensor({2, 3, 4}), gate = tensor({2, 3});
  Tensor needs_grad = tensor({2, 3, 4});
  needs_grad.set_requires_grad(true);
  CHECK_THROWS_AS(ops::mlstm_step(needs_grad, row, row, gate, gate, state), AutogradError);
  CHECK_THROWS_AS(ops::mlstm_step(row, row, gate, gate, gate, state), ShapeError);
}

TEST_CASE("the reference switch runs the composed twin") {
  Problem p = make_problem(true);
  setenv("XLSTM_FORCE_REFERENCE", "1", 1);
  const auto reference = p.run();
  unsetenv("XLSTM_FORCE_REFERENCE");
  const auto fused = p.run();
  CHECK(largest_difference(reference.h, fused.h) <= 1e-11);
  CHECK(largest_difference(reference.final_state.C, fused.final_state.C) <= 1e-11);
  // The twin's result hangs on many nodes, the op's on one that knows all eight inputs.
  CHECK(fused.h.impl()->grad_node->inputs.size() == 8);
  CHECK(reference.h.impl()->grad_node->inputs.size() != 8);
}

}  // namespace
}  // namespace xlstm
