// Ops recorded in a CUDA graph and replayed have the bits of the same calls one by one: every row
// of the op table, and the recurrences in every size that has a kernel of its own.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>

#include "core/autograd.h"
#include "core/cuda/graph.h"
#include "core/op_info.h"
#include "core/ops/causal_conv1d.h"
#include "core/ops/cross_entropy.h"
#include "core/ops/embedding.h"
#include "core/ops/mlstm.h"
#include "core/ops/norm.h"
#include "core/ops/slstm.h"
#include "core/variant_log.h"
#include "tests/cuda_device.h"

namespace xlstm {
namespace {

using test::has_cuda_device;

constexpr Device kCuda{DeviceType::cuda, 0};
constexpr int kReplays = 4;

// A call on inputs that stay where they are, and a weighted sum of its outputs to go back from.
struct Work {
  std::function<Tensors(const Tensors&)> forward;
  Tensors inputs;
  std::vector<int64_t> differentiable;
  Tensors weights;  // for each output; made by prepare()

  // The outputs, then the gradients.
  Tensors run() const {
    Tensors in;
    for (const Tensor& t : inputs) in.push_back(t.defined() ? t.detach() : Tensor{});
    for (const int64_t i : differentiable) in[static_cast<size_t>(i)].set_requires_grad(true);
    Tensors results = forward(in), roots, seeds;
    for (size_t i = 0; i < results.size() && !weights.empty(); ++i) {
      if (!weights[i].defined()) continue;
      roots.push_back(results[i]);
      seeds.push_back(weights[i]);
    }
    if (!roots.empty()) autograd::backward(roots, seeds);
    for (Tensor& y : results)
      if (y.defined()) y = y.detach();
    for (const int64_t i : differentiable) results.push_back(in[static_cast<size_t>(i)].grad());
    return results;
  }

  // What must be there before anything is recorded: copies from the host are no part of a graph.
  void prepare() {
    Tensors in;
    for (const Tensor& t : inputs) in.push_back(t.defined() ? t.detach() : Tensor{});
    for (const int64_t i : differentiable) in[static_cast<size_t>(i)].set_requires_grad(true);
    Generator generator{77, 0};
    for (const Tensor& y : forward(in)) {
      const bool counts = y.defined() && y.requires_grad();
      Tensor w;
      if (counts) {
        w = Tensor::empty(y.shape(), y.dtype(), y.device());
        w.copy_from(random_tensor(y.shape(), DType::f64, generator));
      }
      weights.push_back(w);
    }
  }
};

std::vector<unsigned char> bits_of(const Tensors& tensors) {
  std::vector<unsigned char> all;
  for (const Tensor& t : tensors) {
    if (!t.defined() || t.numel() == 0) continue;
    const Tensor x = t.clone().to(kCpu);
    const auto* bytes = static_cast<const unsigned char*>(x.raw());
    all.insert(all.end(), bytes, bytes + x.numel() * size_of(x.dtype()));
  }
  return all;
}

// Overwrites results, but for views of what the work reads.
void poison(const Tensors& results, const Work& work) {
  const auto is_read = [&](const Tensor& t) {
    for (const Tensors* tensors : {&work.inputs, &work.weights})
      for (const Tensor& x : *tensors)
        if (x.defined() && x.impl()->storage == t.impl()->storage) return true;
    return false;
  };
  for (Tensor t : results)
    if (t.defined() && t.numel() > 0 && !is_read(t)) t.fill(is_floating(t.dtype()) ? NAN : 1.0);
}

// Runs the work once, then records and replays it.
void check_in_graph(Work work) {
  work.prepare();
  const Tensors eager = work.run();
  const std::vector<unsigned char> want = bits_of(eager);
  Tensors recorded;
  cuda::Graph graph(kCuda, [&] { recorded = work.run(); });
  REQUIRE(recorded.size() == eager.size());
  for (int replay = 0; replay < kReplays; ++replay) {
    INFO("replay " << replay);
    poison(recorded, work);
    graph.launch();
    CHECK(bits_of(recorded) == want);
  }
}

Tensor on_gpu(const Tensor& t, DType dtype) {
  if (!t.defined()) return {};
  Tensor copy = Tensor::empty(t.shape(), is_floating(t.dtype()) ? dtype : t.dtype(), kCuda);
  copy.copy_from(t);
  return copy;
}

Tensor drawn(const Shape& shape, DType dtype, double mean = 0, double std = 1) {
  static Generator generator{5, 0};
  return on_gpu(random_tensor(shape, DType::f32, generator, mean, std), dtype);
}

// A mark at about one step in `apart`.
Tensor resets(int64_t B, int64_t T, int64_t apart) {
  std::vector<uint8_t> marks(static_cast<size_t>(B * T));
  for (size_t i = 0; i < marks.size(); ++i) marks[i] = (i * 7 + i / 5) % apart == 3;
  return Tensor::from(marks, {B, T}).to(kCuda);
}

Tensor tokens(int64_t n, int64_t n_vocab) {
  std::vector<int64_t> ids;
  for (int64_t i = 0; i < n; ++i) ids.push_back(i % 3 == 0 ? i % 2 : i * 7919 % n_vocab);
  return Tensor::from(ids, {n}).to(kCuda);
}

TEST_CASE("every op of the table gives the same bits recorded as it does one by one") {
  if (!has_cuda_device()) return;
  for (const OpInfo& op : op_table()) {
    if (std::string(op.name) == "sum_of_squares") continue;  // returns a number to the host
    for (const DType dtype : {DType::f32, DType::bf16}) {
      Generator generator{20260101, 0};
      for (const OpSample& sample : op.samples(SampleSize::check, DType::f32, generator)) {
        INFO(op.name << ": " << sample.label << ", " << name_of(dtype));
        try {
          const OpSample here = placed(op, sample, dtype, kCuda);
          check_in_graph(
              {[&](const Tensors& in) { return op.forward(in, here.attributes); },
               here.inputs,
               op.has_gradient ? differentiable_inputs(op, here) : std::vector<int64_t>{},
               {}});
        } catch (const Error& error) {
          FAIL_CHECK(error.what());
        }
      }
    }
  }
}

struct SlstmCase {
  int64_t B, T, H, D;
  DType dtype;
  const char* variant;
};

TEST_CASE("the sLSTM gives the same bits recorded, whichever of its kernels runs") {
  if (!has_cuda_device()) return;
  for (const SlstmCase& c : {SlstmCase{9, 20, 3, 64, DType::bf16, "cluster"},
                             {9, 20, 2, 192, DType::f16, "cluster"},
                             {3, 9, 1, 768, DType::bf16, "cluster"},
                             {9, 20, 3, 64, DType::bf16, "small"},
                             {9, 20, 3, 64, DType::f16, "small"},
                             {9, 20, 2, 192, DType::bf16, "spread"},
                             {3, 9, 1, 768, DType::bf16, "spread"},
                             {9, 12, 2, 64, DType::f32, "spread"},
                             {3, 5, 1, 1100, DType::bf16, "step"},
                             {3, 5, 1, 1500, DType::f32, "step"}}) {
    INFO("B " << c.B << ", T " << c.T << ", H " << c.H << ", D " << c.D << ", " << name_of(c.dtype)
              << ", " << c.variant);
    if (c.variant == std::string("cluster") && test::compute_capability() != 90) continue;
    const VariantChoice choice("slstm", c.variant);
    const Shape state{c.B, c.H, c.D};
    Work work;
    work.inputs = {drawn({c.B, c.T, 4, c.H, c.D}, c.dtype),
                   drawn({c.H, c.D, 4, c.D}, c.dtype, 0, 0.5 / std::sqrt(static_cast<double>(c.D))),
                   drawn({c.H, 4, c.D}, c.dtype),
                   drawn(state, DType::f32, 0, 0.4),
                   drawn(state, DType::f32),
                   drawn(state, DType::f32, 2, 0.2),
                   drawn(state, DType::f32),
                   resets(c.B, c.T, 7)};
    work.differentiable = {0, 1, 2, 3, 4, 5, 6};
    work.forward = [](const Tensors& in) -> Tensors {
      const ops::SlstmResult out =
          ops::slstm(in[0], in[1], in[2], {in[3], in[4], in[5], in[6]}, in[7]);
      return {out.h, out.final_state.h, out.final_state.c, out.final_state.n, out.final_state.m};
    };
    {
      const VariantLog log;
      work.run();
      CHECK(log.names() == std::vector<std::string>{c.variant});
    }
    check_in_graph(work);
  }
}

TEST_CASE("the mLSTM over several chunks gives the same bits recorded") {
  if (!has_cuda_device()) return;
  const int64_t B = 2, T = 300, H = 3;
  for (const auto& [K, V] : {std::pair<int64_t, int64_t>{64, 96}, {130, 200}})
    for (const DType dtype : {DType::f32, DType::bf16, DType::f16})
      for (const bool stabilizer_gradient : {false, true}) {
        INFO("K " << K << ", V " << V << ", " << name_of(dtype) << ", gradient of the stabiliser "
                  << stabilizer_gradient);
        Work work;
        work.inputs = {drawn({B, T, H, K}, dtype),
                       drawn({B, T, H, K}, dtype),
                       drawn({B, T, H, V}, dtype),
                       drawn({B, T, H}, DType::f32),
                       drawn({B, T, H}, DType::f32, 3),
                       drawn({B, H, K, V}, DType::f32),
                       drawn({B, H, K}, DType::f32),
                       drawn({B, H}, DType::f32),
                       resets(B, T, 61)};
        work.differentiable = {0, 1, 2, 3, 4, 5, 6, 7};
        work.forward = [=](const Tensors& in) -> Tensors {
          const ops::MlstmResult out =
              ops::mlstm(in[0], in[1], in[2], in[3], in[4], {in[5], in[6], in[7]}, in[8],
                         {.stabilizer_gradient = stabilizer_gradient});
          return {out.h, out.final_state.C, out.final_state.n, out.final_state.m};
        };
        check_in_graph(work);
      }
}

// A step writes its state in place, so replays go on from one another as calls do.
TEST_CASE("recorded steps of the mLSTM go on from one another as steps one by one") {
  if (!has_cuda_device()) return;
  const int64_t B = 3, H = 2, K = 72, V = 132;
  const Tensors in = {drawn({B, H, K}, DType::bf16), drawn({B, H, K}, DType::bf16),
                      drawn({B, H, V}, DType::bf16), drawn({B, H}, DType::f32),
                      drawn({B, H}, DType::f32, 3)};
  const autograd::NoGrad no_grad;
  const auto fresh = [&] {
    return ops::MlstmState{Tensor::zeros({B, H, K, V}, DType::f32, kCuda),
                           Tensor::zeros({B, H, K}, DType::f32, kCuda),
                           Tensor::zeros({B, H}, DType::f32, kCuda)};
  };
  ops::MlstmState one_by_one = fresh(), recorded = fresh();
  ops::MlstmState first = fresh();
  Tensor h = ops::mlstm_step(in[0], in[1], in[2], in[3], in[4], first);  // loads the kernel
  cuda::Graph graph(kCuda,
                    [&] { h = ops::mlstm_step(in[0], in[1], in[2], in[3], in[4], recorded); });
  for (int step = 0; step < 6; ++step) {
    INFO("step " << step);
    const Tensor want = ops::mlstm_step(in[0], in[1], in[2], in[3], in[4], one_by_one);
    graph.launch();
    CHECK(bits_of({h, recorded.C, recorded.n, recorded.m}) ==
          bits_of({want, one_by_one.C, one_by_one.n, one_by_one.m}));
  }
}

TEST_CASE("what surrounds the recurrences gives the same bits recorded") {
  if (!has_cuda_device()) return;
  for (const DType dtype : {DType::f32, DType::bf16, DType::f16}) {
    INFO(name_of(dtype));
    const int64_t B = 3, T = 300, D = 768, n_vocab = 50304;
    Work conv;
    conv.inputs = {drawn({B, T, D}, dtype), drawn({D, 1, 4}, DType::f32), drawn({D}, DType::f32),
                   drawn({B, 3, D}, dtype), resets(B, T, 61)};
    conv.differentiable = {0, 1, 2, 3};
    conv.forward = [](const Tensors& in) -> Tensors {
      const auto out = ops::causal_conv1d(in[0], in[1], in[2], in[3], in[4], true);
      return {out.y, out.final_state};
    };
    check_in_graph(conv);
    for (const int64_t width : {int64_t{64}, D, int64_t{5000}}) {
      INFO("norms of " << width);
      Work norms;
      norms.inputs = {drawn({70, width}, dtype), drawn({width}, DType::f32, 1),
                      drawn({width}, DType::f32)};
      norms.differentiable = {0, 1, 2};
      norms.forward = [](const Tensors& in) -> Tensors {
        using ops::NormScale;
        return {ops::layer_norm(in[0], in[1], in[2], 1e-5, NormScale::plain),
                ops::rms_norm(in[0], in[1], 1e-6, NormScale::one_plus),
                ops::multi_head_norm(in[0], in[1], 4, 1e-6, NormScale::plain)};
      };
      check_in_graph(norms);
    }
    Work loss;
    loss.inputs = {drawn({40, n_vocab}, dtype), tokens(40, n_vocab)};
    loss.differentiable = {0};
    loss.forward = [](const Tensors& in) -> Tensors {
      const auto out = ops::cross_entropy(in[0], in[1], 30, 1);
      return {out.loss, out.n_targets};
    };
    check_in_graph(loss);
    Work table;
    table.inputs = {tokens(5000, 700), drawn({700, D}, DType::f32)};
    table.differentiable = {1};
    table.forward = [=](const Tensors& in) -> Tensors {
      return {ops::embedding(in[0], in[1], dtype)};
    };
    check_in_graph(table);
  }
}

}  // namespace
}  // namespace xlstm
