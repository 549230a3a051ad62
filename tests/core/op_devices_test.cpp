// Tensors on different devices are refused, by a message that names the op and both devices, before
// anything is read, written or allocated. Without a GPU a tensor stands for one elsewhere whose
// memory only claims to be on a device: whoever used it would find no CUDA, or a host pointer.
#include <memory>
#include <string>
#include <vector>

#include "core/autograd.h"
#include "core/op_info.h"
#include "core/ops/adamw.h"
#include "core/ops/elementwise.h"
#include "core/ops/headwise_linear.h"
#include "core/ops/matmul.h"
#include "core/ops/mlstm.h"
#include "core/ops/view.h"
#include "tests/catch.h"

namespace xlstm {
namespace {

constexpr Device kCuda{DeviceType::cuda, 0};

// A copy of a tensor on the other device.
class Elsewhere {
 public:
  explicit Elsewhere(const Tensor& t)
      : is_real_(cuda_device_count() > 0), tensor_(is_real_ ? t.to(kCuda) : t.clone()) {
    if (!is_real_) tensor_.impl()->storage->device = kCuda;
  }
  ~Elsewhere() {
    if (!is_real_) tensor_.impl()->storage->device = kCpu;
  }
  Elsewhere(const Elsewhere&) = delete;
  Elsewhere& operator=(const Elsewhere&) = delete;
  const Tensor& tensor() const { return tensor_; }

 private:
  bool is_real_;
  Tensor tensor_;
};

template <class Call>
void check_refused(const std::string& op, Call call, const std::string& or_op = "-") {
  std::string text = "no error";
  try {
    call();
  } catch (const DeviceError& error) {
    text = error.what();
  } catch (const std::exception& error) {
    text = std::string("an error of another kind: ") + error.what();
  }
  INFO(text);
  const std::string what = ": tensors are on different devices";
  CHECK((text.find(op + what) == 0 || text.find(or_op + what) == 0));
  CHECK(text.find("cpu") != std::string::npos);
  CHECK(text.find("cuda:0") != std::string::npos);
}

// Calls of the op with one input on the other device, and with all others there.
void check_op(const OpInfo& op, const OpSample& sample, size_t& n) {
  const auto forward = op.in_place != nullptr ? op.in_place : op.forward;
  for (size_t i = 0; i < sample.inputs.size(); ++i) {
    if (!sample.inputs[i].defined()) continue;
    for (const bool others : {false, true}) {
      INFO("input " << i << (others ? " alone on the CPU" : " alone elsewhere"));
      Tensors inputs = sample.inputs;
      std::vector<std::unique_ptr<Elsewhere>> moved;
      for (size_t k = 0; k < inputs.size(); ++k) {
        if ((k == i) == others || !inputs[k].defined()) continue;
        moved.push_back(std::make_unique<Elsewhere>(inputs[k]));
        inputs[k] = moved.back()->tensor();
      }
      // The forms of the mLSTM are rows of one function.
      check_refused(
          op.name, [&] { forward(inputs, sample.attributes); }, op.group);
      ++n;
    }
  }
}

TEST_CASE("every op of the table refuses an input that is on another device") {
  size_t n = 0;
  for (const OpInfo& op : op_table()) {
    Generator generator{20260101, 0};
    for (const OpSample& sample : op.samples(SampleSize::check, DType::f32, generator)) {
      size_t defined = 0;
      for (const Tensor& input : sample.inputs) defined += input.defined() ? 1 : 0;
      if (defined < 2) continue;
      INFO(op.name << ": " << sample.label);
      check_op(op, sample, n);
    }
  }
  CHECK(n > 500);
}

TEST_CASE("what is no row of the op table refuses other devices too") {
  const Tensor x = Tensor::zeros({2, 4}), weight = Tensor::zeros({4, 4});
  const Elsewhere there(weight), row(Tensor::zeros({4}));
  check_refused("linear", [&] { ops::linears(x, {{weight, {}}, {there.tensor(), {}}}); });
  const Tensor blocks = Tensor::zeros({1, 4, 4});
  const Elsewhere far_blocks(blocks);
  check_refused("headwise_linear", [&] {
    ops::headwise_linears({{x, blocks, {}}, {x, far_blocks.tensor(), {}}});
  });
  check_refused("concat", [&] { ops::concat({weight, x, there.tensor()}, 0); });

  const Tensor q = Tensor::zeros({1, 2, 4}), gate = Tensor::zeros({1, 2});
  const Elsewhere slots(Tensor::zeros({1}, DType::i64));
  ops::MlstmState state{Tensor::zeros({1, 2, 4, 4}), Tensor::zeros({1, 2, 4}), gate};
  check_refused("mlstm_step",
                [&] { ops::mlstm_step(q, q, q, gate, gate, state, {}, slots.tensor()); });
}

TEST_CASE("updates refuse a copy, and scalars, that are on another device") {
  const Tensor p = Tensor::zeros({4});
  const Elsewhere copy(Tensor::zeros({4}, DType::bf16)), scalar(Tensor::zeros({1}));
  ops::AdamwOptions adamw;
  adamw.copy = copy.tensor();
  check_refused("adamw_update", [&] { ops::adamw_update(p, p, p, p, adamw); });
  ops::SgdOptions sgd;
  sgd.copy = copy.tensor();
  check_refused("sgd_update", [&] { ops::sgd_update(p, p, {}, sgd); });
  sgd.copy = {};
  sgd.on_device.lr = scalar.tensor();
  check_refused("sgd_update", [&] { ops::sgd_update(p, p, {}, sgd); });
  const Elsewhere sum(Tensor::zeros({1}, DType::f64));
  check_refused("sum_of_squares", [&] { ops::sum_of_squares_into(p, sum.tensor()); });
}

TEST_CASE("gradients are where their tensors are") {
  Tensor x = Tensor::zeros({2, 3});
  x.set_requires_grad(true);
  const Elsewhere gradient(Tensor::zeros({2, 3}));
  CHECK_THROWS_AS(x.set_grad(gradient.tensor()), ShapeError);
  CHECK_THROWS_AS(x.set_low_precision(gradient.tensor()), ShapeError);
  CHECK_THROWS_AS(autograd::backward(ops::square(x), gradient.tensor()), DeviceError);
  CHECK_FALSE(x.grad().defined());
  x.set_grad(Tensor::zeros({2, 3}));
  CHECK_THROWS_AS(x.rebind(gradient.tensor()), ShapeError);
}

TEST_CASE("the gradient of a root that is one number begins on its device") {
  if (cuda_device_count() == 0) {
    WARN("skipped: no CUDA device here");
    return;
  }
  Tensor x = Tensor::full({}, 3, DType::f32, kCuda);
  x.set_requires_grad(true);
  autograd::backward(ops::square(x));
  CHECK(x.grad().device() == kCuda);
  CHECK(x.grad().item() == 6);
}

}  // namespace
}  // namespace xlstm
