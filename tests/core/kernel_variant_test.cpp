// Which kernel variant runs: the table of names, the environment, choices in the program.
#include "core/kernel_variant.h"

#include <cstdlib>
#include <set>

#include "core/autograd.h"
#include "core/op_info.h"
#include "core/ops/slstm.h"
#include "core/variant_log.h"
#include "kernels/slstm/slstm.h"
#include "tests/catch.h"

namespace xlstm {
namespace {

constexpr Device kCuda{DeviceType::cuda, 0};

class Environment {
 public:
  Environment(const char* name, const char* value) : name_(name) { setenv(name, value, 1); }
  ~Environment() { unsetenv(name_); }

 private:
  const char* name_;
};

TEST_CASE("variants of every op have names of their own on both devices") {
  for (const OpInfo& op : op_table()) {
    INFO(op.name);
    for (const DeviceType device : {DeviceType::cpu, DeviceType::cuda}) {
      std::set<std::string> names;
      std::set<int32_t> ids;
      for (const KernelVariant& variant : variants_of(op, device)) {
        CHECK(variant.device == device);
        CHECK(names.insert(variant.name).second);
        if (variant.id != 0) CHECK(ids.insert(variant.id).second);
      }
      CHECK_FALSE(names.empty());
      // Where one can be asked for, so can all.
      CHECK((ids.empty() || ids.size() == names.size()));
    }
  }
}

TEST_CASE("what runs on the CPU stands in the table") {
  for (const OpInfo& op : op_table()) {
    Generator generator{1, 0};
    for (const OpSample& sample : op.samples(SampleSize::check, DType::f32, generator)) {
      INFO(op.name << ": " << sample.label);
      const autograd::NoGrad no_grad;
      const VariantLog log;
      op.forward(sample.inputs, sample.attributes);
      bool listed = log.names().empty();
      for (const std::string& name : log.names())
        for (const KernelVariant& variant : variants_of(op, DeviceType::cpu))
          listed = listed || name == variant.name;
      CHECK(listed);
    }
  }
}

TEST_CASE("the environment asks for a variant by name") {
  const KernelSwitch slstm("slstm");
  CHECK(slstm.asked(kCuda) == nullptr);
  const char* variable = "XLSTM_KERNEL_SLSTM";
  CHECK(kernel_variable("slstm") == variable);
  {
    const Environment set(variable, "spread");
    REQUIRE(slstm.asked(kCuda) != nullptr);
    CHECK(slstm.asked(kCuda)->id == XLSTM_SLSTM_SPREAD);
    CHECK(slstm.asked(kCpu) == nullptr);  // no such kernel here: not meant
    CHECK_NOTHROW(check_kernel_variables());
    CHECK_THROWS_AS(slstm.refuse(*slstm.asked(kCuda), "D 2000"), VariantError);
  }
  {
    const Environment set(variable, "fast");
    const auto complaint = test::contains(
        "XLSTM_KERNEL_SLSTM: slstm has no such kernel variant, got \"fast\", expected cluster, "
        "small, spread or step on cuda, portable on cpu");
    CHECK_THROWS_WITH(slstm.asked(kCuda), complaint);
    CHECK_THROWS_WITH(slstm.asked(kCpu), complaint);
    CHECK_THROWS_WITH(check_kernel_variables(), complaint);
    // Calls say so too.
    const Tensor wx = Tensor::zeros({1, 2, 4, 1, 2}), R = Tensor::zeros({1, 2, 4, 2});
    CHECK_THROWS_AS(ops::slstm(wx, R, {}, {}, {}), ConfigError);
  }
  for (const char* op : {"XLSTM_KERNEL_MLSTM", "XLSTM_KERNEL_ADD"}) {
    const Environment set(op, "portable");
    CHECK_NOTHROW(check_kernel_variables());
  }
  {
    const Environment set("XLSTM_KERNEL_LINEAR", "few_rows");
    CHECK(KernelSwitch("linear").asked(kCuda)->has_backward == false);
  }
  {
    const Environment set(variable, "");
    CHECK(slstm.asked(kCuda) == nullptr);
    CHECK_NOTHROW(check_kernel_variables());
  }
  {
    const Environment set("XLSTM_KERNEL_SLTSM", "step");
    CHECK_THROWS_WITH(check_kernel_variables(),
                      test::contains("XLSTM_KERNEL_SLTSM: there is no such op, expected one of") &&
                          test::contains("XLSTM_KERNEL_SLSTM"));
  }
}

TEST_CASE("a choice in the program goes before the environment") {
  const Environment set("XLSTM_KERNEL_SLSTM", "spread");
  const KernelSwitch slstm("slstm"), linear("linear");
  {
    const VariantChoice outer("slstm", "step");
    CHECK(slstm.asked(kCuda)->id == XLSTM_SLSTM_STEP);
    CHECK(linear.asked(kCuda) == nullptr);
    {
      const VariantChoice other("linear", "cublaslt");
      CHECK(slstm.asked(kCuda)->id == XLSTM_SLSTM_STEP);
      const VariantChoice inner("slstm", "");
      CHECK(slstm.asked(kCuda) == nullptr);
    }
    const VariantChoice unknown("slstm", "fast");
    CHECK_THROWS_AS(slstm.asked(kCuda), ConfigError);
  }
  CHECK(slstm.asked(kCuda)->id == XLSTM_SLSTM_SPREAD);
}

TEST_CASE("kernels refuse variants that they do not have") {
  const std::vector<float> wx(8), R(16);
  std::vector<float> h(2);
  xlstm_slstm_fwd_args a{};
  a.dtype = a.weight_dtype = XLSTM_F32;
  a.B = a.T = a.H = 1, a.D = 2;
  a.wx = wx.data();
  a.wx_stride_b = a.wx_stride_t = 8, a.wx_stride_g = a.wx_stride_h = 2;
  a.R = R.data();
  a.h = h.data();
  a.h_stride_b = a.h_stride_t = a.h_stride_h = 2;
  std::vector<char> memory(static_cast<size_t>(xlstm_slstm_fwd_workspace_cpu(&a)) + 64);
  xlstm_exec exec{};
  exec.workspace = memory.data() + (64 - reinterpret_cast<uintptr_t>(memory.data()) % 64);
  exec.workspace_bytes = static_cast<int64_t>(memory.size()) - 64;
  CHECK(xlstm_slstm_fwd_cpu(&a, exec) == XLSTM_OK);
  a.variant = XLSTM_SLSTM_STEP;
  CHECK(xlstm_slstm_fwd_cpu(&a, exec) == XLSTM_BAD_VARIANT);
  for (const int32_t no_variant : {-1, 5}) {
    a.variant = no_variant;
    CHECK(xlstm_slstm_fwd_check(&a) == XLSTM_BAD_VALUE);
  }
}

}  // namespace
}  // namespace xlstm
