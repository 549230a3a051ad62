#include "core/ops/carry.h"

#include <cmath>

#include "core/ops/kernel_call.h"
#include "kernels/carry/carry.h"

namespace xlstm::ops {
namespace {

void check_state(const Tensor& x, const char* op, const char* name) {
  require_computes(x, op, name);
  require<ShapeError>(x.dim() >= 1, op, ": ", name,
                      ", got a single number, expected [B, ...], a row a sequence");
}

void check_written(const Tensor& x, const char* op, const char* name) {
  require<ShapeError>(x.is_contiguous(), op, ": ", name,
                      " is written in place and must be contiguous, got shape ",
                      to_string(x.shape()), " with strides ", to_string(x.strides()));
}

void check_bytes(const Tensor& bytes, int64_t rows, const char* op, const char* name) {
  require<ShapeError>(bytes.defined(), op, ": ", name, " is missing, expected uint8 [", rows, "]");
  require_like(bytes, {rows}, DType::u8, op, name);
}

int64_t columns_of(const Tensor& x) {
  return x.size(0) == 0 ? 0 : x.numel() / x.size(0);
}

}  // namespace

void carry_store(const Tensor& from, Tensor to, Tensor usable) {
  const char* op = "carry_store";
  const OpScope scope(op, {from, to, usable});
  check_state(from, op, "from");
  require<ShapeError>(to.defined(), op, ": to is missing, expected ", to_string(from.shape()));
  require_like(to, from.shape(), from.dtype(), op, "to");
  check_written(to, op, "to");
  check_bytes(usable, from.size(0), op, "usable");
  check_written(usable, op, "usable");
  const Tensor source = dense(from);
  const xlstm_carry_store_args args{
      kernel_dtype(from.dtype()), from.size(0), columns_of(from), source.raw(), to.raw(),
      usable.data<uint8_t>()};
  run_kernel(Kernel{xlstm_carry_store_cpu, xlstm_carry_store_cuda}, args, from.device(), op);
  to.bump_version();
  usable.bump_version();
}

void carry_restart(Tensor x, const Tensor& fresh, const Tensor& usable, double start) {
  const char* op = "carry_restart";
  const OpScope scope(op, {x, fresh, usable});
  check_state(x, op, "x");
  check_written(x, op, "x");
  check_bytes(fresh, x.size(0), op, "fresh");
  check_bytes(usable, x.size(0), op, "usable");
  require<ConfigError>(std::isfinite(start), op, ": the start, got ", start,
                       ", expected a finite number");
  const Tensor is_fresh = dense(fresh), is_usable = dense(usable);
  const xlstm_carry_restart_args args{
      kernel_dtype(x.dtype()),   x.size(0), columns_of(x), x.raw(), is_fresh.data<uint8_t>(),
      is_usable.data<uint8_t>(), start};
  run_kernel(Kernel{xlstm_carry_restart_cpu, xlstm_carry_restart_cuda}, args, x.device(), op);
  x.bump_version();
}

}  // namespace xlstm::ops
