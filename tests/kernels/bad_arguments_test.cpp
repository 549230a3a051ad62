// What every entry point of the kernels answers to arguments that it cannot take, from one table.
// CUDA refuses before it launches anything, so its cases need a build with CUDA and no device.
#include <algorithm>
#include <cstddef>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <regex>
#include <string>
#include <vector>

#include "kernels/activation/activation.h"
#include "kernels/adamw/adamw.h"
#include "kernels/carry/carry.h"
#include "kernels/causal_conv1d/causal_conv1d.h"
#include "kernels/copy/copy.h"
#include "kernels/cross_entropy/cross_entropy.h"
#include "kernels/dropout/dropout.h"
#include "kernels/elementwise/elementwise.h"
#include "kernels/embedding/embedding.h"
#include "kernels/headwise_linear/headwise_linear.h"
#include "kernels/linear/linear.h"
#include "kernels/mlstm/mlstm.h"
#include "kernels/norm/norm.h"
#include "kernels/norm/norm_gated.h"
#include "kernels/reduce/reduce.h"
#include "kernels/sampling/sampling.h"
#include "kernels/slstm/slstm.h"
#include "kernels/slstm/slstm_decode.h"
#include "kernels/sum_parts/sum_parts.h"
#include "tests/catch.h"
#include "tests/test_data.h"

namespace xlstm {
namespace {

// ---- the memory of the arrays ----

constexpr size_t kArrayBytes = 1024, kMostArrays = 32;
alignas(64) unsigned char memory[kArrayBytes * kMostArrays];
alignas(64) unsigned char scratch[1 << 20];
constexpr unsigned char kPoison = 0x5a;

void fill_memory(unsigned char value) {
  std::fill(std::begin(memory), std::end(memory), value);
}
bool memory_is_untouched() {
  return std::all_of(std::begin(memory), std::end(memory),
                     [](unsigned char byte) { return byte == kPoison; });
}

// ---- the table ----

// A member of an argument struct.
struct Place {
  size_t at;
  const char* name;
};
using Places = std::vector<Place>;

template <class T>
void put(std::vector<unsigned char>& args, const Place& place, T value) {
  std::memcpy(args.data() + place.at, &value, sizeof(value));
}
template <class T>
T get(const std::vector<unsigned char>& args, const Place& place) {
  T value;
  std::memcpy(&value, args.data() + place.at, sizeof(value));
  return value;
}

enum Backend { kCpu, kCuda };

struct Entry {
  std::string name;
  std::vector<unsigned char> args;  // that it takes
  std::function<xlstm_status(const void*, xlstm_exec)> run[2];
  std::function<int64_t(const void*)> workspace[2];

  Places required = {};              // pointers that must not be null
  Places given = {};                 // that may be, and are not here
  Places absent = {};                // that may be, and are here
  Places sizes = {}, counts = {};    // of 64 and 32 bits
  Places dtypes = {};                // any of float32, float64, bfloat16 and float16
  Places elements = {};              // other element types
  std::vector<Places> empties = {};  // sizes that may be zero together

  Entry& with_arrays(const Places& required_, const Places& given_, const Places& absent_) {
    required = required_, given = given_, absent = absent_;
    size_t n = 0;
    for (const Places* places : {&required, &given})
      for (const Place& place : *places) put(args, place, memory + kArrayBytes * n++);
    REQUIRE(n < kMostArrays);
    return *this;
  }
};

template <class Args>
using Run = xlstm_status (*)(const Args*, xlstm_exec);
template <class Args>
using Query = int64_t (*)(const Args*);

template <class Args>
Entry entry(const char* name, const Args& args, Run<Args> cpu, Run<Args> cuda,
            Query<Args> cpu_query = nullptr, Query<Args> cuda_query = nullptr) {
  Entry e{name, std::vector<unsigned char>(sizeof(Args)), {}, {}};
  std::memcpy(e.args.data(), &args, sizeof(Args));
  const Run<Args> runs[2] = {cpu, cuda};
  const Query<Args> queries[2] = {cpu_query, cuda_query};
  for (const Backend backend : {kCpu, kCuda}) {
    if (runs[backend] != nullptr)
      e.run[backend] = [run = runs[backend]](const void* a, xlstm_exec exec) {
        return run(static_cast<const Args*>(a), exec);
      };
    if (queries[backend] != nullptr)
      e.workspace[backend] = [query = queries[backend]](const void* a) {
        return query(static_cast<const Args*>(a));
      };
  }
  return e;
}

#define ENTRY(op) entry(#op, a, xlstm_##op##_cpu, xlstm_##op##_cuda)
#define ENTRY_ON_CUDA(op) entry<Args>(#op, a, nullptr, xlstm_##op##_cuda)
#define ENTRY_WITH_WORKSPACE(op)                                                 \
  entry(#op, a, xlstm_##op##_cpu, xlstm_##op##_cuda, xlstm_##op##_workspace_cpu, \
        xlstm_##op##_workspace_cuda)
#define AT(member)                  \
  Place {                           \
    offsetof(Args, member), #member \
  }

Entry activation_fwd() {
  using Args = xlstm_activation_fwd_args;
  Args a{};
  a.rows = 2, a.cols = 4;
  a.x_row_stride = a.up_row_stride = a.y_row_stride = 4;
  Entry e = ENTRY(activation_fwd);
  e.with_arrays({AT(x), AT(y)}, {AT(up)}, {});
  e.sizes = {AT(rows), AT(cols)}, e.dtypes = {AT(dtype)};
  e.empties = {{AT(rows)}, {AT(cols)}};
  return e;
}

Entry activation_bwd() {
  using Args = xlstm_activation_bwd_args;
  Args a{};
  a.rows = 2, a.cols = 4;
  a.x_row_stride = a.up_row_stride = a.dy_row_stride = a.dx_row_stride = a.dup_row_stride = 4;
  Entry e = ENTRY(activation_bwd);
  e.with_arrays({AT(x), AT(up), AT(dy), AT(dx), AT(dup)}, {}, {});
  e.sizes = {AT(rows), AT(cols)}, e.dtypes = {AT(dtype)};
  e.empties = {{AT(rows)}, {AT(cols)}};
  return e;
}

Entry adamw() {
  using Args = xlstm_adamw_args;
  Args a{};
  a.n = 4, a.step = 1;
  Entry e = ENTRY(adamw);
  e.with_arrays({AT(parameter), AT(grad), AT(moment1), AT(moment2)}, {},
                {AT(weights_copy), AT(on_device.lr), AT(on_device.grad_scale), AT(on_device.step),
                 AT(on_device.skip)});
  e.sizes = {AT(n)}, e.dtypes = {AT(dtype), AT(grad_dtype)}, e.empties = {{AT(n)}};
  return e;
}

Entry sgd() {
  using Args = xlstm_sgd_args;
  Args a{};
  a.n = 4, a.momentum = 0.5;
  Entry e = ENTRY(sgd);
  e.with_arrays({AT(parameter), AT(grad), AT(velocity)}, {},
                {AT(weights_copy), AT(on_device.lr), AT(on_device.grad_scale), AT(on_device.step),
                 AT(on_device.skip)});
  e.sizes = {AT(n)}, e.dtypes = {AT(dtype), AT(grad_dtype)}, e.empties = {{AT(n)}};
  return e;
}

Entry sum_of_squares() {
  using Args = xlstm_sum_of_squares_args;
  Args a{};
  a.n = 4;
  Entry e = ENTRY_WITH_WORKSPACE(sum_of_squares);
  e.with_arrays({AT(x), AT(sum)}, {}, {});
  e.sizes = {AT(n)}, e.dtypes = {AT(dtype)}, e.empties = {{AT(n)}};
  return e;
}

Entry clip() {
  using Args = xlstm_clip_args;
  Args a{};
  a.n = 4, a.limit = 1;
  Entry e = ENTRY(clip);
  e.with_arrays({AT(x)}, {}, {});
  e.sizes = {AT(n)}, e.dtypes = {AT(dtype)}, e.empties = {{AT(n)}};
  return e;
}

Entry sum_parts() {
  using Args = xlstm_sum_parts_args;
  Args a{};
  a.n_parts = 2, a.n = 4;
  Entry e = ENTRY_WITH_WORKSPACE(sum_parts);
  e.with_arrays({AT(parts), AT(sum)}, {}, {});
  e.sizes = {AT(n_parts), AT(n)}, e.dtypes = {AT(dtype)}, e.empties = {{AT(n)}};
  return e;
}

Entry update_control() {
  using Args = xlstm_update_control_args;
  Args a{};
  a.n_sums = 1, a.n_accumulated = 1;
  Entry e = ENTRY(update_control);
  e.with_arrays({AT(sums), AT(loss), AT(rates), AT(state)}, {AT(votes)}, {});
  e.sizes = {AT(n_sums), AT(n_accumulated), AT(growth_interval)};
  e.empties = {{AT(n_sums)}};
  return e;
}

Entry causal_conv1d_fwd() {
  using Args = xlstm_causal_conv1d_fwd_args;
  Args a{};
  a.B = 1, a.T = 2, a.C = 8, a.KS = 4;
  a.x_stride_b = a.y_stride_b = 16, a.x_stride_t = a.y_stride_t = 8;
  Entry e = ENTRY_WITH_WORKSPACE(causal_conv1d_fwd);
  e.with_arrays({AT(x), AT(weight), AT(y)}, {AT(bias), AT(state_init), AT(state_final)}, {});
  e.sizes = {AT(B), AT(T), AT(C), AT(KS)}, e.dtypes = {AT(dtype), AT(weight_dtype)};
  e.empties = {{AT(B)}, {AT(T)}, {AT(C)}};
  return e;
}

Entry causal_conv1d_bwd() {
  using Args = xlstm_causal_conv1d_bwd_args;
  Args a{};
  a.B = 1, a.T = 2, a.C = 8, a.KS = 4;
  a.x_stride_b = a.dy_stride_b = a.dx_stride_b = 16;
  a.x_stride_t = a.dy_stride_t = a.dx_stride_t = 8;
  Entry e = ENTRY_WITH_WORKSPACE(causal_conv1d_bwd);
  e.with_arrays({AT(x), AT(weight)},
                {AT(bias), AT(state_init), AT(dy), AT(dstate_final), AT(dx), AT(dweight), AT(dbias),
                 AT(dstate_init)},
                {});
  e.sizes = {AT(B), AT(T), AT(C), AT(KS)}, e.dtypes = {AT(dtype), AT(weight_dtype)};
  e.empties = {{AT(B)}, {AT(T)}, {AT(C)}};
  return e;
}

Entry cross_entropy_fwd() {
  using Args = xlstm_cross_entropy_fwd_args;
  Args a{};
  a.rows = 2, a.n_vocab = a.logits_stride_row = 4;
  Entry e = ENTRY_WITH_WORKSPACE(cross_entropy_fwd);
  e.with_arrays({AT(logits), AT(targets), AT(loss), AT(n_targets), AT(row_max), AT(row_sum)}, {},
                {});
  e.sizes = {AT(rows), AT(n_vocab)}, e.dtypes = {AT(dtype)}, e.empties = {{AT(rows)}};
  return e;
}

Entry cross_entropy_bwd() {
  using Args = xlstm_cross_entropy_bwd_args;
  Args a{};
  a.rows = 2, a.n_vocab = a.logits_stride_row = a.dlogits_stride_row = 4;
  a.n_targets = 2;
  Entry e = ENTRY(cross_entropy_bwd);
  e.with_arrays({AT(logits), AT(targets), AT(row_max), AT(row_sum), AT(dloss), AT(dlogits)}, {},
                {AT(n_targets_device)});
  e.sizes = {AT(rows), AT(n_vocab), AT(n_targets)}, e.dtypes = {AT(dtype), AT(dlogits_dtype)};
  e.empties = {{AT(rows), AT(n_targets)}};
  return e;
}

// Bytes are aligned anywhere; tests/kernels/carry_test.cpp has them null.
uint8_t* const bytes = memory + kArrayBytes * (kMostArrays - 1);

Entry carry_store() {
  using Args = xlstm_carry_store_args;
  Args a{};
  a.rows = 2, a.columns = 3, a.usable = bytes;
  Entry e = ENTRY(carry_store);
  e.with_arrays({AT(from), AT(to)}, {}, {});
  e.sizes = {AT(rows), AT(columns)}, e.dtypes = {AT(dtype)};
  e.empties = {{AT(rows)}, {AT(columns)}};
  return e;
}

Entry carry_restart() {
  using Args = xlstm_carry_restart_args;
  Args a{};
  a.rows = 2, a.columns = 3, a.fresh = bytes, a.usable = bytes + 8;
  Entry e = ENTRY(carry_restart);
  e.with_arrays({AT(x)}, {}, {});
  e.sizes = {AT(rows), AT(columns)}, e.dtypes = {AT(dtype)};
  e.empties = {{AT(rows)}, {AT(columns)}};
  return e;
}

Entry dropout() {
  using Args = xlstm_dropout_args;
  Args a{};
  a.n = 4, a.p = 0.5;
  Entry e = ENTRY(dropout);
  e.with_arrays({AT(x), AT(y)}, {AT(offset_base)}, {});
  e.sizes = {AT(n)}, e.dtypes = {AT(dtype)}, e.empties = {{AT(n)}};
  return e;
}

Entry unary_fwd() {
  using Args = xlstm_unary_fwd_args;
  Args a{};
  a.op = XLSTM_UNARY_EXP, a.n_dims = 1, a.sizes[0] = 4, a.x_strides[0] = 1;
  Entry e = ENTRY(unary_fwd);
  e.with_arrays({AT(x), AT(y)}, {}, {});
  e.sizes = {AT(sizes[0])}, e.counts = {AT(n_dims)}, e.dtypes = {AT(dtype)};
  e.empties = {{AT(sizes[0])}};
  return e;
}

Entry unary_bwd() {
  using Args = xlstm_unary_bwd_args;
  Args a{};
  a.op = XLSTM_UNARY_EXP, a.n_dims = 1, a.sizes[0] = 4;
  a.saved_strides[0] = a.dy_strides[0] = 1;
  Entry e = ENTRY(unary_bwd);
  e.with_arrays({AT(saved), AT(dy), AT(dx)}, {}, {});
  e.sizes = {AT(sizes[0])}, e.counts = {AT(n_dims)}, e.dtypes = {AT(dtype)};
  e.empties = {{AT(sizes[0])}};
  return e;
}

Entry binary_fwd() {
  using Args = xlstm_binary_fwd_args;
  Args a{};
  a.n_dims = 1, a.sizes[0] = 4, a.a_strides[0] = a.b_strides[0] = 1;
  Entry e = ENTRY(binary_fwd);
  e.with_arrays({AT(a), AT(b), AT(y)}, {}, {});
  e.sizes = {AT(sizes[0])}, e.counts = {AT(n_dims)}, e.dtypes = {AT(dtype)};
  e.empties = {{AT(sizes[0])}};
  return e;
}

Entry binary_bwd() {
  using Args = xlstm_binary_bwd_args;
  Args a{};
  a.op = XLSTM_BINARY_MAXIMUM, a.n_dims = 1, a.sizes[0] = 4;
  a.a_strides[0] = a.b_strides[0] = a.dy_strides[0] = 1;
  Entry e = ENTRY(binary_bwd);
  e.with_arrays({AT(a), AT(b), AT(dy)}, {AT(da), AT(db)}, {});
  e.sizes = {AT(sizes[0])}, e.counts = {AT(n_dims)}, e.dtypes = {AT(dtype)};
  e.empties = {{AT(sizes[0])}};
  return e;
}

Entry embedding_fwd() {
  using Args = xlstm_embedding_fwd_args;
  Args a{};
  a.n_tokens = 2, a.n_vocab = 3, a.D = a.weight_stride_row = a.y_stride_row = 4;
  Entry e = ENTRY(embedding_fwd);
  e.with_arrays({AT(tokens), AT(weight), AT(y)}, {}, {});
  e.sizes = {AT(n_tokens), AT(n_vocab), AT(D)}, e.dtypes = {AT(dtype), AT(weight_dtype)};
  e.empties = {{AT(n_tokens)}, {AT(D)}};
  return e;
}

Entry embedding_bwd() {
  using Args = xlstm_embedding_bwd_args;
  Args a{};
  a.n_tokens = 2, a.n_vocab = 3, a.D = a.dy_stride_row = 4;
  Entry e = ENTRY_WITH_WORKSPACE(embedding_bwd);
  e.with_arrays({AT(tokens), AT(dy), AT(dweight)}, {}, {});
  e.sizes = {AT(n_tokens), AT(n_vocab), AT(D)}, e.dtypes = {AT(dtype), AT(weight_dtype)};
  e.empties = {{AT(n_tokens)}, {AT(D)}, {AT(n_tokens), AT(n_vocab)}};
  return e;
}

Entry headwise_linear_fwd() {
  using Args = xlstm_headwise_linear_fwd_args;
  Args a{};
  a.N = a.H = 2, a.I = a.O = 4, a.x_stride_n = a.y_stride_n = 8;
  Entry e = ENTRY_WITH_WORKSPACE(headwise_linear_fwd);
  e.with_arrays({AT(x), AT(W), AT(y)}, {AT(bias)}, {});
  e.sizes = {AT(N), AT(H), AT(I), AT(O)}, e.dtypes = {AT(dtype), AT(weight_dtype)};
  e.empties = {{AT(N)}, {AT(H)}, {AT(I)}, {AT(O)}};
  return e;
}

Entry headwise_linear_bwd() {
  using Args = xlstm_headwise_linear_bwd_args;
  Args a{};
  a.N = a.H = 2, a.I = a.O = 4, a.x_stride_n = a.dy_stride_n = a.dx_stride_n = 8;
  Entry e = ENTRY_WITH_WORKSPACE(headwise_linear_bwd);
  e.with_arrays({AT(x), AT(W), AT(dy)}, {AT(dx), AT(dW), AT(dbias)}, {});
  e.sizes = {AT(N), AT(H), AT(I), AT(O)}, e.dtypes = {AT(dtype), AT(weight_dtype)};
  e.empties = {{AT(N)}, {AT(H)}, {AT(I)}, {AT(O)}};
  return e;
}

Entry linear_few() {
  using Args = xlstm_linear_few_args;
  Args a{};
  a.dtype = XLSTM_BF16, a.M = 1, a.K = a.x_stride_row = 8, a.n_parts = 1;
  xlstm_linear_part& part = a.parts[0];
  part.N = part.y_stride_row = 4, part.weight_stride_row = 8;
  part.y_dtype = part.bias_dtype = XLSTM_BF16;
  Entry e = ENTRY_ON_CUDA(linear_few);
  e.with_arrays({AT(x), AT(parts[0].weight), AT(parts[0].y)}, {AT(parts[0].bias)}, {});
  e.sizes = {AT(M), AT(K), AT(parts[0].N)}, e.counts = {AT(n_parts)};
  e.dtypes = {AT(dtype), AT(parts[0].y_dtype), AT(parts[0].bias_dtype)};
  return e;
}

xlstm_mlstm_config mlstm_config() {
  xlstm_mlstm_config c{};
  c.B = 1, c.T = 2, c.H = 1, c.K = c.V = 4, c.chunk_size = 2;
  c.normalize = 1;
  return c;
}
constexpr xlstm_mlstm_stride kRows{8, 4, 4}, kGates{2, 1, 2};

Entry mlstm_fwd() {
  using Args = xlstm_mlstm_fwd_args;
  Args a{};
  a.config = mlstm_config();
  a.q_stride = a.k_stride = a.v_stride = a.h_stride = kRows;
  a.i_stride = a.f_stride = kGates;
  Entry e = ENTRY_WITH_WORKSPACE(mlstm_fwd);
  e.with_arrays({AT(q), AT(k), AT(v), AT(i), AT(f), AT(h)},
                {AT(C0), AT(n0), AT(m0), AT(C), AT(n), AT(m), AT(saved_m), AT(saved_l), AT(states)},
                {});
  e.sizes = {AT(config.B), AT(config.T), AT(config.H),
             AT(config.K), AT(config.V), AT(config.chunk_size)};
  e.dtypes = {AT(config.dtype), AT(config.gate_dtype)};
  e.empties = {{AT(config.B)}, {AT(config.T)}, {AT(config.H)}};
  return e;
}

Entry mlstm_bwd() {
  using Args = xlstm_mlstm_bwd_args;
  Args a{};
  a.config = mlstm_config();
  a.q_stride = a.k_stride = a.v_stride = a.h_stride = a.dh_stride = kRows;
  a.dq_stride = a.dk_stride = a.dv_stride = kRows;
  a.i_stride = a.f_stride = a.di_stride = a.df_stride = kGates;
  Entry e = ENTRY_WITH_WORKSPACE(mlstm_bwd);
  e.with_arrays({AT(q), AT(k), AT(v), AT(i), AT(f), AT(h), AT(saved_m), AT(saved_l), AT(dq), AT(dk),
                 AT(dv), AT(di), AT(df)},
                {AT(C0), AT(n0), AT(m0), AT(dh), AT(dC), AT(dn), AT(dC0), AT(dn0), AT(dm0),
                 AT(h_dh), AT(states)},
                {});
  e.sizes = {AT(config.B), AT(config.T), AT(config.H),
             AT(config.K), AT(config.V), AT(config.chunk_size)};
  e.dtypes = {AT(config.dtype), AT(config.gate_dtype)};
  e.empties = {{AT(config.B)}, {AT(config.T)}, {AT(config.H)}};
  return e;
}

Entry mlstm_step() {
  using Args = xlstm_mlstm_step_args;
  Args a{};
  a.config = mlstm_config();
  a.q_stride = a.k_stride = a.v_stride = a.h_stride = kRows;
  a.i_stride = a.f_stride = kGates;
  a.n_slots = 1;
  Entry e = ENTRY(mlstm_step);
  e.with_arrays({AT(q), AT(k), AT(v), AT(i), AT(f), AT(h), AT(C), AT(n), AT(m)}, {}, {AT(slots)});
  e.sizes = {AT(config.B), AT(config.H), AT(config.K), AT(config.V)};
  e.dtypes = {AT(config.dtype), AT(config.gate_dtype)};
  e.empties = {{AT(config.B)}, {AT(config.H)}};
  return e;
}

Entry norm_fwd() {
  using Args = xlstm_norm_fwd_args;
  Args a{};
  a.rows = 2, a.groups = 1, a.width = a.x_stride_row = a.y_stride_row = 4;
  a.subtract_mean = 1, a.eps = 1;
  Entry e = ENTRY(norm_fwd);
  e.with_arrays({AT(x), AT(weight), AT(y)}, {AT(bias), AT(mean), AT(rstd)}, {});
  e.sizes = {AT(rows), AT(groups), AT(width)}, e.dtypes = {AT(dtype), AT(weight_dtype)};
  e.empties = {{AT(rows)}, {AT(groups)}, {AT(width)}};
  return e;
}

Entry norm_bwd() {
  using Args = xlstm_norm_bwd_args;
  Args a{};
  a.rows = 2, a.groups = 1;
  a.width = a.x_stride_row = a.dy_stride_row = a.dx_stride_row = 4;
  a.subtract_mean = 1, a.eps = 1;
  Entry e = ENTRY_WITH_WORKSPACE(norm_bwd);
  e.with_arrays({AT(x), AT(weight), AT(mean), AT(rstd), AT(dy)}, {AT(dx), AT(dweight), AT(dbias)},
                {});
  e.sizes = {AT(rows), AT(groups), AT(width)}, e.dtypes = {AT(dtype), AT(weight_dtype)};
  e.empties = {{AT(rows)}, {AT(groups)}, {AT(width)}};
  return e;
}

Entry norm_gated_fwd() {
  using Args = xlstm_norm_gated_fwd_args;
  Args a{};
  a.rows = 2, a.groups = 1;
  a.width = a.x_stride_row = a.gate_stride_row = a.y_stride_row = 4;
  a.subtract_mean = 1, a.eps = 1, a.activation = XLSTM_SIGMOID;
  Entry e = ENTRY(norm_gated_fwd);
  e.with_arrays({AT(x), AT(gate), AT(weight), AT(y)}, {AT(bias), AT(mean), AT(rstd)}, {});
  e.sizes = {AT(rows), AT(groups), AT(width)}, e.dtypes = {AT(dtype), AT(weight_dtype)};
  e.empties = {{AT(rows)}, {AT(groups)}, {AT(width)}};
  return e;
}

Entry norm_gated_bwd() {
  using Args = xlstm_norm_gated_bwd_args;
  Args a{};
  a.rows = 2, a.groups = 1;
  a.width = a.x_stride_row = a.gate_stride_row = a.dy_stride_row = 4;
  a.dx_stride_row = a.dgate_stride_row = 4;
  a.subtract_mean = 1, a.eps = 1, a.activation = XLSTM_SIGMOID;
  Entry e = ENTRY_WITH_WORKSPACE(norm_gated_bwd);
  e.with_arrays({AT(x), AT(gate), AT(weight), AT(mean), AT(rstd), AT(dy)},
                {AT(bias), AT(dx), AT(dgate), AT(dweight), AT(dbias), AT(x_dx)}, {});
  e.sizes = {AT(rows), AT(groups), AT(width)}, e.dtypes = {AT(dtype), AT(weight_dtype)};
  e.empties = {{AT(rows)}, {AT(groups)}, {AT(width)}};
  return e;
}

Entry sum_fwd() {
  using Args = xlstm_sum_fwd_args;
  Args a{};
  a.outer = 2, a.n = 3, a.inner = 2;
  Entry e = ENTRY_WITH_WORKSPACE(sum_fwd);
  e.with_arrays({AT(x), AT(y)}, {}, {});
  e.sizes = {AT(outer), AT(n), AT(inner)}, e.dtypes = {AT(dtype)};
  e.empties = {{AT(outer)}, {AT(n)}, {AT(inner)}};
  return e;
}

Entry max_fwd() {
  using Args = xlstm_max_fwd_args;
  Args a{};
  a.outer = 2, a.n = 3, a.inner = 2;
  Entry e = ENTRY(max_fwd);
  e.with_arrays({AT(x), AT(y), AT(index)}, {}, {});
  e.sizes = {AT(outer), AT(n), AT(inner)}, e.dtypes = {AT(dtype)};
  e.empties = {{AT(outer)}, {AT(n), AT(inner)}, {AT(inner)}};
  return e;
}

Entry max_bwd() {
  using Args = xlstm_max_bwd_args;
  Args a{};
  a.outer = 2, a.n = 3, a.inner = 2;
  Entry e = ENTRY(max_bwd);
  e.with_arrays({AT(index), AT(dy), AT(dx)}, {}, {});
  e.sizes = {AT(outer), AT(n), AT(inner)}, e.dtypes = {AT(dtype)};
  e.empties = {{AT(outer)}, {AT(n), AT(inner)}, {AT(inner)}};
  return e;
}

Entry cumsum_fwd() {
  using Args = xlstm_cumsum_fwd_args;
  Args a{};
  a.outer = 2, a.n = 3, a.inner = 2;
  Entry e = ENTRY(cumsum_fwd);
  e.with_arrays({AT(x), AT(y)}, {}, {});
  e.sizes = {AT(outer), AT(n), AT(inner)}, e.dtypes = {AT(dtype)};
  e.empties = {{AT(outer)}, {AT(n)}, {AT(inner)}};
  return e;
}

Entry sampling() {
  using Args = xlstm_sampling_args;
  Args a{};
  a.rows = 2, a.n_vocab = a.logits_stride_row = 4, a.temperature = 1, a.top_k = 2;
  a.top_p = 0.5, a.repetition_penalty = 2;
  Entry e = ENTRY_WITH_WORKSPACE(sampling);
  e.with_arrays({AT(logits), AT(tokens)}, {AT(streams), AT(position_base)}, {});
  e.sizes = {AT(rows), AT(n_vocab), AT(n_valid)}, e.dtypes = {AT(dtype)};
  e.empties = {{AT(rows)}, {AT(rows), AT(n_vocab)}};
  return e;
}

Entry slstm_fwd() {
  using Args = xlstm_slstm_fwd_args;
  Args a{};
  a.B = a.T = a.H = 1, a.D = 4;
  a.wx_stride_b = a.wx_stride_t = 16, a.wx_stride_g = a.wx_stride_h = 4;
  a.h_stride_b = a.h_stride_t = a.h_stride_h = 4;
  Entry e = ENTRY_WITH_WORKSPACE(slstm_fwd);
  e.with_arrays({AT(wx), AT(R), AT(h)},
                {AT(bias), AT(h_init), AT(c_init), AT(n_init), AT(m_init), AT(h_final), AT(c_final),
                 AT(n_final), AT(m_final), AT(saved)},
                {});
  e.sizes = {AT(B), AT(T), AT(H), AT(D)}, e.dtypes = {AT(dtype), AT(weight_dtype)};
  e.empties = {{AT(B)}, {AT(T)}, {AT(H)}, {AT(D)}};
  return e;
}

Entry slstm_bwd() {
  using Args = xlstm_slstm_bwd_args;
  Args a{};
  a.B = a.T = a.H = 1, a.D = 4;
  a.h_stride_b = a.h_stride_t = a.h_stride_h = 4;
  a.dh_stride_b = a.dh_stride_t = a.dh_stride_h = 4;
  a.dwx_stride_b = a.dwx_stride_t = 16, a.dwx_stride_g = a.dwx_stride_h = 4;
  Entry e = ENTRY_WITH_WORKSPACE(slstm_bwd);
  e.with_arrays(
      {AT(R), AT(h), AT(saved)},
      {AT(h_init), AT(c_init), AT(n_init), AT(dh), AT(dh_final), AT(dc_final), AT(dn_final),
       AT(dwx), AT(dR), AT(dbias), AT(dh_init), AT(dc_init), AT(dn_init), AT(dm_init)},
      {});
  e.sizes = {AT(B), AT(T), AT(H), AT(D)}, e.dtypes = {AT(dtype), AT(weight_dtype)};
  e.empties = {{AT(B)}, {AT(T)}, {AT(H)}, {AT(D)}};
  return e;
}

Entry slstm_decode() {
  using Args = xlstm_slstm_decode_args;
  Args a{};
  a.B = a.H = 1, a.D = 4, a.KS = 3;
  Entry e = ENTRY_ON_CUDA(slstm_decode);
  e.with_arrays({AT(x), AT(conv_weight), AT(W[0]), AT(W[1]), AT(W[2]), AT(W[3]), AT(R), AT(h)},
                {AT(conv_bias), AT(conv_init), AT(bias), AT(h_init), AT(c_init), AT(n_init),
                 AT(m_init), AT(conv_final), AT(h_final), AT(c_final), AT(n_final), AT(m_final)},
                {});
  e.sizes = {AT(B), AT(H), AT(D), AT(KS)}, e.dtypes = {AT(dtype), AT(weight_dtype)};
  return e;
}

Entry copy() {
  using Args = xlstm_copy_args;
  Args a{};
  a.n_dims = 1, a.sizes[0] = 4, a.from_strides[0] = a.to_strides[0] = 1;
  Entry e = ENTRY_ON_CUDA(copy);
  e.with_arrays({AT(from), AT(to)}, {}, {});
  e.sizes = {AT(sizes[0])}, e.counts = {AT(n_dims)};
  e.elements = {AT(from_type), AT(to_type)};
  return e;
}

Entry fill() {
  using Args = xlstm_fill_args;
  Args a{};
  a.n_dims = 1, a.sizes[0] = 4, a.to_strides[0] = 1;
  Entry e = ENTRY_ON_CUDA(fill);
  e.with_arrays({AT(to)}, {}, {});
  e.sizes = {AT(sizes[0])}, e.counts = {AT(n_dims)}, e.elements = {AT(type)};
  return e;
}

std::vector<Entry> all_entries() {
  return {activation_fwd(),
          activation_bwd(),
          adamw(),
          sgd(),
          sum_of_squares(),
          clip(),
          update_control(),
          carry_store(),
          carry_restart(),
          causal_conv1d_fwd(),
          causal_conv1d_bwd(),
          cross_entropy_fwd(),
          cross_entropy_bwd(),
          dropout(),
          unary_fwd(),
          unary_bwd(),
          binary_fwd(),
          binary_bwd(),
          embedding_fwd(),
          embedding_bwd(),
          headwise_linear_fwd(),
          headwise_linear_bwd(),
          linear_few(),
          mlstm_fwd(),
          mlstm_bwd(),
          mlstm_step(),
          norm_fwd(),
          norm_bwd(),
          norm_gated_fwd(),
          norm_gated_bwd(),
          sum_fwd(),
          max_fwd(),
          max_bwd(),
          cumsum_fwd(),
          sum_parts(),
          sampling(),
          slstm_fwd(),
          slstm_bwd(),
          slstm_decode(),
          copy(),
          fill()};
}

// ---- what is done with it ----

xlstm_exec whole_scratch() {
  return {nullptr, scratch, sizeof(scratch), nullptr};
}

bool told_of_cuda = false;

// body(entry, backend) for every entry point that this build has.
template <class Body>
void for_each_entry(Body body) {
  bool has_cuda = false;
  for (const Entry& e : all_entries()) {
    for (const Backend backend : {kCpu, kCuda}) {
      if (!e.run[backend]) continue;
      INFO(e.name << (backend == kCpu ? " on the CPU" : " on CUDA"));
      if (backend == kCuda && e.run[kCuda](nullptr, {}) == XLSTM_NOT_COMPILED) continue;
      has_cuda = has_cuda || backend == kCuda;
      body(e, backend);
    }
  }
  if (!has_cuda && !told_of_cuda) WARN("skipped: the CUDA entry points are not part of this build");
  told_of_cuda = true;
}

// Calls the entry point with changed arguments, which it must refuse, and sees that it wrote
// nothing.
template <class Change>
void check_refused(const Entry& e, Backend backend, xlstm_status want, xlstm_exec exec,
                   Change change) {
  std::vector<unsigned char> args = e.args;
  change(args);
  fill_memory(kPoison);
  const xlstm_status got = e.run[backend](args.data(), exec);
  INFO("got: " << xlstm_status_string(got) << "; expected: " << xlstm_status_string(want));
  CHECK(got == want);
  CHECK(memory_is_untouched());
}
template <class Change>
void check_refused(const Entry& e, Backend backend, xlstm_status want, Change change) {
  check_refused(e, backend, want, whole_scratch(), change);
}

TEST_CASE("the table has every entry point of the kernels") {
  const std::filesystem::path root = testing::data_path("kernels");
  if (!std::filesystem::exists(root / "common" / "types.h")) {
    WARN("skipped: no headers of the kernels here");
    return;
  }
  const std::vector<Entry> entries = all_entries();
  const std::regex declaration("xlstm_status xlstm_([a-z0-9_]+)_(cpu|cuda)\\(");
  size_t n = 0;
  for (const auto& file : std::filesystem::recursive_directory_iterator(root)) {
    if (file.path().extension() != ".h") continue;
    std::ifstream in(file.path());
    const std::string text{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
    for (std::sregex_iterator at(text.begin(), text.end(), declaration), end; at != end; ++at) {
      const Backend backend = (*at)[2] == "cpu" ? kCpu : kCuda;
      INFO((*at)[0]);
      CHECK(std::any_of(entries.begin(), entries.end(), [&](const Entry& e) {
        return e.name == (*at)[1] && e.run[backend] != nullptr;
      }));
      ++n;
    }
  }
  CHECK(n == 78);
}

TEST_CASE("null pointers are refused") {
  for_each_entry([](const Entry& e, Backend backend) {
    CHECK(e.run[backend](nullptr, whole_scratch()) == XLSTM_NULL_POINTER);
    if (e.workspace[backend]) CHECK(e.workspace[backend](nullptr) == 0);
    for (const Place& place : e.required) {
      INFO(place.name);
      check_refused(e, backend, XLSTM_NULL_POINTER,
                    [&](auto& args) { put<void*>(args, place, nullptr); });
    }
  });
}

TEST_CASE("pointers that are no multiple of their element's size are refused") {
  for_each_entry([](const Entry& e, Backend backend) {
    for (const Places* places : {&e.required, &e.given, &e.absent}) {
      for (const Place& place : *places) {
        INFO(place.name);
        check_refused(e, backend, XLSTM_MISALIGNED, [&](auto& args) {
          auto* pointer = get<unsigned char*>(args, place);
          put(args, place, (pointer == nullptr ? memory : pointer) + 1);
        });
      }
    }
  });
}

TEST_CASE("what the sLSTM saves is a multiple of 16 bytes") {
  for_each_entry([](const Entry& e, Backend backend) {
    for (const Places* places : {&e.required, &e.given}) {
      for (const Place& place : *places) {
        if (std::strcmp(place.name, "saved") != 0 || e.name.find("slstm") != 0) continue;
        check_refused(e, backend, XLSTM_MISALIGNED,
                      [&](auto& args) { put(args, place, get<unsigned char*>(args, place) + 8); });
      }
    }
  });
}

TEST_CASE("a workspace that is missing, too small or misaligned is refused") {
  size_t n = 0;
  for_each_entry([&](const Entry& e, Backend backend) {
    if (!e.workspace[backend]) return;
    const int64_t needed = e.workspace[backend](e.args.data());
    if (needed == 0) return;
    ++n;
    REQUIRE(needed + 4 <= static_cast<int64_t>(sizeof(scratch)));
    const auto unchanged = [](auto&) {};
    check_refused(e, backend, XLSTM_WORKSPACE_TOO_SMALL, {}, unchanged);
    check_refused(e, backend, XLSTM_WORKSPACE_TOO_SMALL, {nullptr, nullptr, needed, nullptr},
                  unchanged);
    check_refused(e, backend, XLSTM_WORKSPACE_TOO_SMALL, {nullptr, scratch, needed - 1, nullptr},
                  unchanged);
    for (const int64_t offset : {1, 4, 32})
      check_refused(e, backend, XLSTM_MISALIGNED, {nullptr, scratch + offset, needed, nullptr},
                    unchanged);
  });
  CHECK(n >= 8);
}

TEST_CASE("unknown element types, and those of the other backend, are refused") {
  for_each_entry([](const Entry& e, Backend backend) {
    for (const Places* places : {&e.dtypes, &e.elements}) {
      for (const Place& place : *places) {
        INFO(place.name);
        check_refused(e, backend, XLSTM_BAD_DTYPE,
                      [&](auto& args) { put<int>(args, place, places == &e.dtypes ? 77 : 13); });
      }
    }
    if (e.dtypes.empty()) return;
    for (const xlstm_dtype other :
         backend == kCpu ? std::vector{XLSTM_F16, XLSTM_BF16} : std::vector{XLSTM_F64}) {
      INFO("element type " << other);
      check_refused(e, backend, XLSTM_BAD_DTYPE, [&](auto& args) {
        for (const Place& place : e.dtypes) put(args, place, other);
      });
    }
  });
}

TEST_CASE("negative sizes are refused") {
  for_each_entry([](const Entry& e, Backend backend) {
    for (const Place& place : e.sizes) {
      INFO(place.name);
      for (const int64_t size : {int64_t{-1}, INT64_MIN})
        check_refused(e, backend, XLSTM_BAD_SIZE, [&](auto& args) { put(args, place, size); });
    }
    for (const Place& place : e.counts) {
      INFO(place.name);
      check_refused(e, backend, XLSTM_BAD_SIZE, [&](auto& args) { put(args, place, -1); });
    }
  });
}

TEST_CASE("the arguments of the table are good, and sizes may be zero") {
  // On CUDA the op table has such cases, on arrays of the device.
  for (const Entry& e : all_entries()) {
    if (!e.run[kCpu]) continue;
    INFO(e.name);
    fill_memory(0);
    CHECK(e.run[kCpu](e.args.data(), whole_scratch()) == XLSTM_OK);
    for (const Places& places : e.empties) {
      INFO(places.front().name);
      std::vector<unsigned char> args = e.args;
      for (const Place& place : places) put(args, place, int64_t{0});
      fill_memory(0);
      CHECK(e.run[kCpu](args.data(), whole_scratch()) == XLSTM_OK);
    }
  }
}

TEST_CASE("every status has a text of its own") {
  std::vector<std::string> texts;
  for (int status = XLSTM_OK; status <= XLSTM_MISALIGNED; ++status)
    texts.emplace_back(xlstm_status_string(static_cast<xlstm_status>(status)));
  std::sort(texts.begin(), texts.end());
  CHECK(std::adjacent_find(texts.begin(), texts.end()) == texts.end());
  CHECK(std::find(texts.begin(), texts.end(), "unknown status") == texts.end());
}

}  // namespace
}  // namespace xlstm
