// What a row of a batch gives does not depend on the rows beside it: the same bits whatever these
// are, and on its own the same within the op's tolerance, for another batch may be cut otherwise.
#include <algorithm>
#include <cmath>
#include <functional>

#include "core/autograd.h"
#include "core/op_info.h"
#include "core/ops/causal_conv1d.h"
#include "core/ops/cross_entropy.h"
#include "core/ops/mlstm.h"
#include "core/ops/norm.h"
#include "core/ops/slstm.h"
#include "core/variant_log.h"
#include "tests/devices.h"

namespace xlstm {
namespace {

// An op, its arguments and the gradients of its results. Arguments of which `batched` is true, all
// results and their gradients have a row of the batch after the other.
struct Call {
  std::function<Tensors(const Tensors&)> forward;
  Tensors inputs;
  std::vector<bool> batched;
  Tensors seeds;  // one a result; undefined: no gradient comes from there

  int64_t n_rows() const { return inputs[0].size(0); }

  // The results, then the gradients of the batched floating arguments.
  Tensors run() const {
    Tensors in, roots, grads;
    for (const Tensor& t : inputs) {
      in.push_back(t.defined() ? t.detach() : Tensor{});
      if (t.defined() && is_floating(t.dtype())) in.back().set_requires_grad(true);
    }
    Tensors results = forward(in);
    for (size_t i = 0; i < results.size(); ++i)
      if (seeds[i].defined()) {
        roots.push_back(results[i]);
        grads.push_back(seeds[i]);
      }
    autograd::backward(roots, grads);
    for (Tensor& y : results) y = y.detach();
    for (size_t i = 0; i < in.size(); ++i)
      if (batched[i] && in[i].defined() && is_floating(in[i].dtype()))
        results.push_back(in[i].grad());
    return results;
  }
};

Tensor row_of(const Tensor& t, int64_t row) {
  if (!t.defined()) return {};
  Shape shape = t.shape();
  shape[0] = 1;
  return t.strided_view(shape, t.strides(), row * t.stride(0)).clone();
}

// The tensor with every row but one replaced by the row behind it.
Tensor with_other_rows(const Tensor& t, int64_t row) {
  if (!t.defined()) return {};
  const Tensor other = t.clone();
  Shape shape = t.shape();
  shape[0] = 1;
  for (int64_t i = 0; i < t.size(0); ++i)
    if (i != row)
      other.strided_view(shape, other.strides(), i * other.stride(0))
          .copy_from(row_of(t, (i + 1) % t.size(0)));
  return other;
}

Call changed(const Call& call, const std::function<Tensor(const Tensor&)>& change) {
  Call other = call;
  for (size_t i = 0; i < other.inputs.size(); ++i)
    if (call.batched[i]) other.inputs[i] = change(call.inputs[i]);
  for (Tensor& seed : other.seeds) seed = change(seed);
  return other;
}

bool same_bits(const Tensor& a, const Tensor& b) {
  return a.shape() == b.shape() && a.to_vector<double>() == b.to_vector<double>();
}

// Frobenius norm of the difference over that of `want`.
double error_of(const Tensor& got, const Tensor& want) {
  const std::vector<double> a = got.to_vector<double>(), b = want.to_vector<double>();
  if (a.size() != b.size()) return INFINITY;
  double difference = 0, size = 1e-30;
  for (size_t i = 0; i < a.size(); ++i) {
    if (!std::isfinite(a[i])) return INFINITY;
    difference += (a[i] - b[i]) * (a[i] - b[i]);
    size += b[i] * b[i];
  }
  return std::sqrt(difference / size);
}

void check_rows(const Call& call, double tolerance) {
  const Tensors base = call.run();
  for (const int64_t row : {int64_t{0}, call.n_rows() / 2, call.n_rows() - 1}) {
    INFO("row " << row);
    const Tensors beside =
        changed(call, [&](const Tensor& t) { return with_other_rows(t, row); }).run();
    const Tensors alone = changed(call, [&](const Tensor& t) { return row_of(t, row); }).run();
    for (size_t i = 0; i < base.size(); ++i) {
      INFO("result " << i);
      const Tensor want = row_of(base[i], row);
      CHECK(same_bits(row_of(beside[i], row), want));
      CHECK(error_of(alone[i], want) <= tolerance);
    }
    CHECK_FALSE(same_bits(beside[0], base[0]));
  }
}

// The types that a device computes in, besides float64.
std::vector<DType> types_of(Device device) {
  if (device == kCpu) return {DType::f32};
  return {DType::f32, DType::bf16, DType::f16};
}
// Of gradients in the kernels' own tests.
double tolerance_of(DType dtype) {
  return dtype == DType::f32 ? 1e-5 : dtype == DType::bf16 ? 8e-3 : 2e-3;
}

struct Draw {
  Device device;
  Tensor operator()(const Shape& shape, DType dtype, double mean = 0, double std = 1) const {
    Tensor t = Tensor::empty(shape, dtype, device);
    static Generator generator{5, 0};
    t.copy_from(random_tensor(shape, DType::f64, generator, mean, std));
    return t;
  }
  Tensor resets(int64_t B, int64_t T) const {
    std::vector<uint8_t> marks(static_cast<size_t>(B * T));
    for (size_t i = 0; i < marks.size(); ++i) marks[i] = (i * 7 + i / 5) % 23 == 3;
    return Tensor::from(marks, {B, T}).to(device);
  }
};

TEST_CASE("rows of a batch do not see each other in the sLSTM, whichever kernel runs") {
  struct Size {
    int64_t B, T, H, D;
    const char* in_short;  // the kernel on CUDA
    const char* in_float;
  };
  test::for_each_device([](Device device) {
    const Draw draw{device};
    for (const DType dtype : types_of(device))
      for (const Size& s : {Size{11, 20, 2, 40, "small", "spread"},
                            {11, 9, 1, 192, "spread", "spread"},
                            {3, 4, 1, 1500, "step", "step"}}) {
        if (device == kCpu && s.D > 192) continue;
        const char* variant = dtype == DType::f32 ? s.in_float : s.in_short;
        INFO(name_of(dtype) << ", D " << s.D << ", " << variant);
        const VariantChoice choice("slstm", device == kCpu ? "" : variant);
        const Shape state{s.B, s.H, s.D};
        const DType wide = wide_type(dtype);
        Call call;
        call.inputs = {
            draw({s.B, s.T, 4, s.H, s.D}, dtype),
            draw(state, wide, 0, 0.4),
            draw(state, wide),
            draw(state, wide, 3, 0.3),
            draw(state, wide),
            draw.resets(s.B, s.T),
            draw({s.H, s.D, 4, s.D}, dtype, 0, 0.5 / std::sqrt(static_cast<double>(s.D))),
            draw({s.H, 4, s.D}, dtype, 0.3, 0.5)};
        call.batched = {true, true, true, true, true, true, false, false};
        call.forward = [](const Tensors& in) -> Tensors {
          const auto out = ops::slstm(in[0], in[6], in[7], {in[1], in[2], in[3], in[4]}, in[5]);
          return {out.h, out.final_state.h, out.final_state.c, out.final_state.n,
                  out.final_state.m};
        };
        call.seeds = {draw({s.B, s.T, s.H, s.D}, dtype),
                      draw(state, wide),
                      draw(state, wide),
                      draw(state, wide),
                      {}};
        check_rows(call, tolerance_of(dtype));
        if (device == kCpu) continue;
        const VariantLog log;
        call.run();
        CHECK(log.names() == std::vector<std::string>{variant});
      }
  });
}

TEST_CASE("rows of a batch do not see each other in the mLSTM") {
  test::for_each_device([](Device device) {
    const Draw draw{device};
    const int64_t B = 3, T = 150, H = 2;
    for (const DType dtype : types_of(device))
      for (const auto& [K, V] : {std::pair<int64_t, int64_t>{24, 40}, {72, 136}}) {
        INFO(name_of(dtype) << ", K " << K << ", V " << V);
        const DType wide = wide_type(dtype);
        Call call;
        call.inputs = {
            draw({B, T, H, K}, dtype), draw({B, T, H, K}, dtype), draw({B, T, H, V}, dtype),
            draw({B, T, H}, wide),     draw({B, T, H}, wide, 3),  draw({B, H, K, V}, wide),
            draw({B, H, K}, wide),     draw({B, H}, wide),        draw.resets(B, T)};
        call.batched.assign(9, true);
        call.forward = [](const Tensors& in) -> Tensors {
          const auto out =
              ops::mlstm(in[0], in[1], in[2], in[3], in[4], {in[5], in[6], in[7]}, in[8]);
          return {out.h, out.final_state.C, out.final_state.n, out.final_state.m};
        };
        call.seeds = {
            draw({B, T, H, V}, dtype), draw({B, H, K, V}, wide), draw({B, H, K}, wide), {}};
        // Heads are computed one by one, whatever the batch.
        check_rows(call, tolerance_of(dtype));
      }
  });
}

TEST_CASE("rows of a batch do not see each other in convolutions and norms") {
  test::for_each_device([](Device device) {
    const Draw draw{device};
    for (const DType dtype : types_of(device)) {
      INFO(name_of(dtype));
      const DType wide = wide_type(dtype);
      const int64_t B = 5, T = 70, D = 136;
      Call conv;
      conv.inputs = {draw({B, T, D}, dtype), draw({B, 3, D}, dtype), draw.resets(B, T),
                     draw({D, 1, 4}, wide, 0, 0.5), draw({D}, wide)};
      conv.batched = {true, true, true, false, false};
      conv.forward = [](const Tensors& in) -> Tensors {
        const auto out = ops::causal_conv1d(in[0], in[3], in[4], in[1], in[2], true);
        return {out.y, out.final_state};
      };
      conv.seeds = {draw({B, T, D}, dtype), draw({B, 3, D}, dtype)};
      check_rows(conv, tolerance_of(dtype));
      // Widths of which several rows share a warp, one has a warp, and one a block.
      for (const int64_t width : {8, 136, 1024, 5000}) {
        INFO("norms of " << width);
        Call norms;
        norms.inputs = {draw({37, width}, dtype, 0.5), draw({width}, wide, 1, 0.3),
                        draw({width}, wide)};
        norms.batched = {true, false, false};
        norms.forward = [](const Tensors& in) -> Tensors {
          using ops::NormScale;
          return {ops::layer_norm(in[0], in[1], in[2], 1e-5, NormScale::plain),
                  ops::rms_norm(in[0], in[1], 1e-6, NormScale::one_plus),
                  ops::multi_head_norm(in[0], in[1], 2, 1e-6, NormScale::plain)};
        };
        const Tensor seed = draw({37, width}, dtype);
        norms.seeds = {seed, draw({37, width}, dtype), draw({37, width}, dtype)};
        check_rows(norms, tolerance_of(dtype));
      }
    }
  });
}

// The loss is a mean over rows: a row's share is in the gradient of its logits, times the count.
TEST_CASE("rows of a batch do not see each other in the cross-entropy") {
  test::for_each_device([](Device device) {
    const Draw draw{device};
    for (const DType dtype : types_of(device))
      for (const auto& [n_vocab, soft_cap] : {std::pair<int64_t, double>{300, 0}, {50304, 30}}) {
        INFO(name_of(dtype) << ", vocabulary " << n_vocab);
        const int64_t B = 6;
        const Tensor logits = draw({B, n_vocab}, dtype, 0, 3);
        const Tensor targets = Tensor::from<int64_t>({5, 7, 299, 0, 17, 5}, {B}).to(device);
        const double cap = soft_cap;
        const auto gradient = [&](const Tensor& x, const Tensor& ids, double factor) {
          Tensor leaf = x.detach();
          leaf.set_requires_grad(true);
          const Tensor loss = ops::cross_entropy(leaf, ids, cap).loss;
          autograd::backward(loss, Tensor::full({}, factor, loss.dtype(), device));
          return leaf.grad();
        };
        const Tensor base = gradient(logits, targets, 1024);
        for (const int64_t row : {int64_t{0}, int64_t{3}, B - 1}) {
          INFO("row " << row);
          const Tensor beside = gradient(with_other_rows(logits, row), targets, 1024);
          CHECK(same_bits(row_of(beside, row), row_of(base, row)));
          CHECK_FALSE(same_bits(beside, base));
          const Tensor alone = gradient(row_of(logits, row), row_of(targets, row), 1024.0 / B);
          CHECK(error_of(alone, row_of(base, row)) <= tolerance_of(dtype));
        }
      }
  });
}

}  // namespace
}  // namespace xlstm
