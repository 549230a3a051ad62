// docs/ops.md is what the op table says. XLSTM_UPDATE_DOCS=1 makes this test write the page anew.
#include <cstdlib>
#include <sstream>
#include <string>

#include "core/file_system.h"
#include "core/op_info.h"
#include "tests/catch.h"
#include "tests/test_data.h"

namespace xlstm {
namespace {

const char* const kHead = R"(# Operations

*This page is made from the program: `XLSTM_UPDATE_DOCS=1 build/cpu/tests/test_docs_ops_doc` writes it anew.*

The op table, row by row: a function of `xlstm::ops` or one form of it, under the header in `core/ops/` that
documents its shapes, element types and errors. The same rows drive the tests: each op is compared with a
double-precision oracle, its gradient with central differences, and its results for 1, 2 and 3 threads with
each other, bit by bit.

- **gradient**: autograd can differentiate it.
- **composed twin**: the op is fused, and the same exists made of small ops. `XLSTM_FORCE_REFERENCE=1`
  runs the twin instead, which tells a wrong kernel from a wrong model.
- **float32**: the largest error that the tests allow a float32 result against the oracle, relative to the
  largest value of the result.
- **CPU**, **CUDA**: the kernels on that device, by the names that `xlstm bench` reports, and the element types that it
  is tested in. `view` runs nothing, `copy` is the strided copy of tensors. States and statistics beside 16-bit types
  are float32, and learned parameters may be.

Where a device has several kernels, the op takes the first below that computes the call;
`xlstm bench --variant NAME` and the environment variable in the list ask for one by name, and a call that it does not
compute is an error. A name of another device is not looked at: the variable leaves calls on the CPU alone if it names a
kernel for CUDA. An op without gradients to take may choose another kernel than with them.
)";

// The kernels of every device where there are several to choose from.
std::string choices() {
  std::ostringstream text;
  for (const OpInfo& op : op_table())
    for (const DeviceType type : {DeviceType::cpu, DeviceType::cuda}) {
      const std::vector<KernelVariant> variants = variants_of(op, type);
      int n_choices = 0;
      for (const KernelVariant& v : variants) n_choices += v.id != 0 ? 1 : 0;
      if (n_choices < 2) continue;
      text << "\n`" << op.name << "`, `" << kernel_variable(op.name) << "`:\n\n";
      for (const KernelVariant& v : variants)
        text << "- `" << v.name << "`: " << (*v.computes == '\0' ? "every call" : v.computes)
             << "\n";
    }
  return text.str();
}

// "`small`, `spread`: float32, bfloat16, float16"
std::string kernels_on(const OpInfo& op, DeviceType device) {
  std::string text;
  for (const KernelVariant& v : variants_of(op, device))
    text += (text.empty() ? "`" : ", `") + std::string(v.name) + "`";
  if (op.any_type) return text + ": any";
  if (device == DeviceType::cpu) return text + ": float32, float64";
  return text + (op.all_wide ? ": float32" : ": float32, bfloat16, float16");
}

std::string ops_page() {
  std::ostringstream page;
  page << kHead << choices();
  std::string group;
  for (const OpInfo& op : op_table()) {
    if (op.group != group) {
      group = op.group;
      page << "\n## " << group
           << "\n\n| op | what it computes | gradient | composed twin | float32 | CPU | CUDA |\n"
           << "|---|---|---|---|---|---|---|\n";
    }
    page << "| `" << op.name << "` | " << op.summary << " | " << (op.has_gradient ? "yes" : "no")
         << " | " << (op.composed != nullptr ? "yes" : "no") << " | " << op.float_tolerance << " | "
         << kernels_on(op, DeviceType::cpu) << " | " << kernels_on(op, DeviceType::cuda) << " |\n";
  }
  return page.str();
}

TEST_CASE("docs/ops.md is what the op table says") {
  const std::string path = testing::data_path("docs/ops.md");
  FileSystem& files = real_file_system();
  if (std::getenv("XLSTM_UPDATE_DOCS") != nullptr) files.write_file(path, ops_page());
  INFO("to write it anew: XLSTM_UPDATE_DOCS=1 build/cpu/tests/test_docs_ops_doc");
  CHECK(files.read_file(path) == ops_page());
}

TEST_CASE("op names are unique, and summaries fit a table cell") {
  for (const OpInfo& op : op_table()) {
    INFO(op.name);
    const std::string summary = op.summary;
    CHECK(!summary.empty());
    CHECK(summary.find_first_of("|\n") == std::string::npos);
    CHECK(find_op(op.name) == &op);
  }
}

}  // namespace
}  // namespace xlstm
