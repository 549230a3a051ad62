#include <algorithm>
#include <cmath>

#include "kernels/common/hopper_device.h"
#include "kernels/common/tensor_map.h"
#include "kernels/mlstm/mlstm_resident.cuh"

namespace xlstm::kernels::mlstm {
namespace {

// Sizes and types, not where the tensors lie.
bool takes(const xlstm_mlstm_config& c) {
  return (c.dtype == XLSTM_BF16 || c.dtype == XLSTM_F16) && c.T >= 1 && c.T < int64_t{1} << 30 &&
         c.B * c.H < int64_t{1} << 20 && device_is_hopper();
}

// What is there once alone may have any stride: the one that it would have behind the others.
xlstm_mlstm_stride regular(const xlstm_mlstm_config& c, const xlstm_mlstm_stride& s,
                           int64_t width) {
  xlstm_mlstm_stride r = s;
  if (c.H <= 1) r.h = ceil_div(width, 8) * 8;
  if (c.T <= 1) r.t = c.H * r.h;
  if (c.B <= 1) r.b = c.T * r.t;
  return r;
}

// Whether the copy engine can address it: 16 bytes apart, steps of heads of steps of sequences.
bool is_mappable(const xlstm_mlstm_config& c, const void* p, const xlstm_mlstm_stride& stride,
                 int64_t width) {
  const xlstm_mlstm_stride s = regular(c, stride, width);
  return p != nullptr && is_packed<bf16>(p) && is_packed<bf16>(nullptr, s.h | s.t | s.b) &&
         s.h > 0 && s.h <= s.t && s.t <= s.b && s.b < int64_t{1} << 38;
}

// A block walks its segment of a sequence alone, so there must be some of them; beside fewer the
// portable kernels, whose chunks run side by side, are faster. They also serve calls that name
// another form.
constexpr int64_t kFewestBlocks = 24;

template <class Args>
bool chosen(const Args& a, const SweepPlan& plan) {
  const xlstm_mlstm_config& c = a.config;
  const int64_t chunks = ceil_div(c.T, kSweepChunk);
  return c.variant == XLSTM_MLSTM_RESIDENT ||
         (c.variant == XLSTM_MLSTM_AUTO && c.form == XLSTM_MLSTM_CHUNKWISE &&
          c.B * c.H * plan.slices * plan.segments(c.B * c.H, chunks) >= kFewestBlocks &&
          resident_takes(a));
}

}  // namespace

SweepPlan::SweepPlan(int64_t M, int64_t N) {
  split = N > 256;
  warpgroups = M <= 64 && N <= 128 ? 1 : 2;
  panels = N <= 64 ? 1 : N <= 128 ? 2 : N <= 256 || N > 384 ? 4 : 3;
  slices = ceil_div(M, row_blocks() * 64);
  passes = ceil_div(N, kMostColumns);
}

int64_t SweepPlan::segment_chunks(int64_t heads, int64_t chunks) const {
  // Blocks that keep the card busy, and that it holds; segments shorter than kShortest chunks cost
  // more for the states between them than they save.
  constexpr int64_t kBusy = 66, kCard = 132, kShortest = 16;
  const int64_t blocks = heads * slices;
  if (blocks < 1 || blocks >= kBusy || chunks < 2 * kShortest) return std::max<int64_t>(chunks, 1);
  return ceil_div(chunks, std::min(kCard / blocks, chunks / kShortest));
}

int64_t SweepPlan::segments(int64_t heads, int64_t chunks) const {
  return std::max<int64_t>(ceil_div(chunks, segment_chunks(heads, chunks)), 1);
}

bool make_map(CUtensorMap* map, const xlstm_mlstm_config& c, const StepTensor& x) {
  return make_map(map, c, x, 0, x.width);
}
bool make_map(CUtensorMap* map, const xlstm_mlstm_config& c, const StepTensor& x, int64_t column,
              int64_t columns) {
  const xlstm_mlstm_stride s = regular(c, x.stride, x.width);
  const void* from = static_cast<const char*>(x.data) + column * 2;
  return make_tensor_map(map, c.dtype, from, {columns, c.H, c.T, c.B}, {s.h, s.t, s.b},
                         kSweepChunk);
}

bool is_resident(const xlstm_mlstm_fwd_args& a) {
  return chosen(a, SweepPlan(a.config.V, a.config.K));
}

bool is_resident(const xlstm_mlstm_bwd_args& a) {
  return chosen(a, SweepPlan(a.config.K, a.config.V));
}

bool resident_takes(const xlstm_mlstm_fwd_args& a) {
  const xlstm_mlstm_config& c = a.config;
  return takes(c) && is_mappable(c, a.q, a.q_stride, c.K) && is_mappable(c, a.k, a.k_stride, c.K) &&
         is_mappable(c, a.v, a.v_stride, c.V) && is_mappable(c, a.h, a.h_stride, c.V);
}

bool resident_takes(const xlstm_mlstm_bwd_args& a) {
  const xlstm_mlstm_config& c = a.config;
  return takes(c) && is_mappable(c, a.q, a.q_stride, c.K) && is_mappable(c, a.k, a.k_stride, c.K) &&
         is_mappable(c, a.v, a.v_stride, c.V) && is_mappable(c, a.dh, a.dh_stride, c.V) &&
         is_mappable(c, a.dq, a.dq_stride, c.K) && is_mappable(c, a.dk, a.dk_stride, c.K) &&
         is_mappable(c, a.dv, a.dv_stride, c.V);
}

SweepArgs sweep_args(const xlstm_mlstm_config& c, const GateVectors& gates, bool rows_are_keys) {
  SweepArgs s{};
  s.heads = c.B * c.H;
  s.H = c.H;
  s.T = c.T;
  s.M = rows_are_keys ? c.K : c.V;
  s.N = rows_are_keys ? c.V : c.K;
  s.gates = gates;
  s.normalize = c.normalize;
  s.query_scale = 1 / std::sqrt(static_cast<float>(c.K));
  s.eps = static_cast<float>(c.eps);
  s.stride_m = rows_are_keys ? c.V : 1;
  s.stride_n = rows_are_keys ? 1 : c.V;
  s.state_pitch = c.K * c.V;
  s.vector_pitch = c.K;
  return s;
}

xlstm_status resident_forward(const xlstm_mlstm_fwd_args& a, const GateVectors& gates, float* n,
                              const SweepParts& parts, xlstm_exec exec) {
  const xlstm_mlstm_config& c = a.config;
  SweepArgs s = sweep_args(c, gates, false);
  const StepTensor q{a.q, a.q_stride, c.K}, k{a.k, a.k_stride, c.K};
  if (!make_map(&s.a, c, {a.v, a.v_stride, c.V}) || !make_map(&s.out, c, {a.h, a.h_stride, c.V}))
    return XLSTM_DEVICE_ERROR;
  s.X_first = static_cast<const float*>(a.C0);
  s.s_first = static_cast<const float*>(a.n0);
  s.X_last = static_cast<float*>(a.C);
  // A block that begins later still reads the old n.
  const bool in_place = a.n != nullptr && a.n == a.n0;
  s.s_last = in_place ? n : static_cast<float*>(a.n);
  s.saved_l = static_cast<float*>(a.saved_l);
  const xlstm_status status = c.dtype == XLSTM_BF16
                                  ? sweep_all<bf16, Output::kH>(s, c, q, k, parts, exec)
                                  : sweep_all<f16, Output::kH>(s, c, q, k, parts, exec);
  if (status != XLSTM_OK || !in_place || !c.normalize) return status;
  return cudaMemcpyAsync(a.n, n, static_cast<size_t>(s.heads * c.K) * sizeof(float),
                         cudaMemcpyDeviceToDevice, stream_of(exec)) == cudaSuccess
             ? XLSTM_OK
             : XLSTM_DEVICE_ERROR;
}

}  // namespace xlstm::kernels::mlstm
