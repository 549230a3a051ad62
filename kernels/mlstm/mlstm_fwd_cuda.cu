// Forward on CUDA: gate vectors, states at the chunk starts, then all chunks side by side. The
// result is the same for every form and chunk size but for rounding, so there is one way only.
#include <cmath>

#include "kernels/mlstm/mlstm_cuda.cuh"
#include "kernels/mlstm/mlstm_resident.cuh"

namespace xlstm::kernels::mlstm {
namespace {

template <class T>
struct FwdLayout {
  bool resident;  // a sweep
  int chunk;      // steps
  GateVectors gates;
  int64_t slots = 0;  // of a head's states: a chunk each, and one for the end where they are kept
  ChunkStates<T> states;
  SweepParts parts;
  float* n = nullptr;  // of a sweep in place [B H, K], what it ends with

  FwdLayout(Scratch& s, const xlstm_mlstm_fwd_args& a)
      : resident(is_resident(a)),
        chunk(resident ? kSweepChunk : kChunk<T>),
        gates(s, a.config, chunk) {
    const xlstm_mlstm_config& c = a.config;
    if (resident) {
      n = s.take<float>(a.n != nullptr && a.n == a.n0 ? c.B * c.H * c.K : 0);
      parts = SweepParts(s, c.B * c.H, gates.chunks, c.V, c.K);
      return;
    }
    slots = gates.chunks + (a.states != nullptr ? 1 : 0);
    Scratch kept(a.states);
    states = ChunkStates<T>(a.states != nullptr ? kept : s, c, slots);
  }
};

int64_t workspace_of(const xlstm_mlstm_fwd_args* args) {
  return Cuda::workspace(args, check_on_cuda<xlstm_mlstm_fwd_check>, [&](auto element) -> int64_t {
    if (args->config.B * args->config.H == 0) return 0;
    Scratch count(nullptr);
    FwdLayout<typename decltype(element)::type> layout(count, *args);
    return count.bytes();
  });
}

template <class T>
xlstm_status scan(const xlstm_mlstm_fwd_args& a, const FwdLayout<T>& layout, xlstm_exec exec) {
  const xlstm_mlstm_config& c = a.config;
  ScanArgs s{};
  s.heads = c.B * c.H;
  s.H = c.H;
  s.T = c.T;
  s.K = c.K;
  s.V = c.V;
  s.x = view_of<T>(a.k, a.k_stride, c);
  s.y = view_of<T>(a.v, a.v_stride, c);
  s.scale = s.vector_scale = layout.gates.alpha;
  s.gamma = layout.gates.gamma;
  s.steps = layout.gates.steps;
  s.chunks = layout.gates.chunks;
  s.slots = layout.slots;
  s.with_vector = c.normalize;
  s.S_first = static_cast<const float*>(a.C0);
  s.s_first = static_cast<const float*>(a.n0);
  s.S_chunks = layout.states.C;
  s.s_chunks = layout.states.n;
  s.S_last = static_cast<float*>(a.C);
  s.s_last = static_cast<float*>(a.n);
  return scan_states<T>(s, exec);
}

template <class T>
xlstm_status read_chunks(const xlstm_mlstm_fwd_args& a, const FwdLayout<T>& layout,
                         xlstm_exec exec) {
  const xlstm_mlstm_config& c = a.config;
  OutputArgs o{};
  o.heads = c.B * c.H;
  o.H = c.H;
  o.T = c.T;
  o.K = o.inner = c.K;
  o.V = o.width = c.V;
  o.x = view_of<T>(a.q, a.q_stride, c);
  o.y = view_of<T>(a.k, a.k_stride, c);
  o.z = view_of<T>(a.v, a.v_stride, c);
  o.out = view_of<T>(a.h, a.h_stride, c);
  o.gates = layout.gates;
  o.S = layout.states.C;
  o.s = layout.states.n;
  o.slots = layout.slots;
  o.edge_state = a.C0 != nullptr || (c.normalize && a.n0 != nullptr);
  o.normalize = c.normalize;
  o.query_scale = 1 / std::sqrt(static_cast<float>(c.K));
  o.eps = static_cast<float>(c.eps);
  o.saved_l = static_cast<float*>(a.saved_l);
  return compute_output<T, Output::kH>(o, exec);
}

template <class T>
xlstm_status forward(const xlstm_mlstm_fwd_args& a, xlstm_exec exec) {
  const xlstm_mlstm_config& c = a.config;
  if (c.B * c.H == 0) return XLSTM_OK;
  if (is_resident(a) && !resident_takes(a)) return XLSTM_BAD_VARIANT;
  Scratch scratch(exec.workspace);
  const FwdLayout<T> layout(scratch, a);
  GateArgs g{c,
             a.i,
             a.f,
             a.i_stride,
             a.f_stride,
             a.reset,
             static_cast<const float*>(a.m0),
             layout.gates,
             layout.chunk,
             static_cast<float*>(a.saved_m),
             static_cast<float*>(a.m)};
  xlstm_status status = compute_gates(g, exec);
  if (layout.resident)
    return status == XLSTM_OK ? resident_forward(a, layout.gates, layout.n, layout.parts, exec)
                              : status;
  // A sequence of one chunk whose final state nobody wants needs no states.
  const bool wants_states = layout.gates.chunks > 1 || a.C0 != nullptr || a.n0 != nullptr ||
                            a.C != nullptr || a.n != nullptr || a.states != nullptr;
  if (status == XLSTM_OK && wants_states) status = scan(a, layout, exec);
  if (status == XLSTM_OK && c.T > 0) status = read_chunks(a, layout, exec);
  return status;
}

}  // namespace
}  // namespace xlstm::kernels::mlstm

using namespace xlstm::kernels;

int64_t xlstm_mlstm_fwd_workspace_cuda(const xlstm_mlstm_fwd_args* args) {
  return mlstm::workspace_of(args);
}

int64_t xlstm_mlstm_states_bytes_cuda(const xlstm_mlstm_fwd_args* args) {
  return Cuda::workspace(args, mlstm::check_on_cuda<xlstm_mlstm_fwd_check>,
                         [&](auto element) -> int64_t {
                           using T = typename decltype(element)::type;
                           const xlstm_mlstm_config& c = args->config;
                           if (c.T == 0 || mlstm::is_resident(*args)) return 0;
                           mlstm::Scratch count(nullptr);
                           const int64_t slots = ceil_div(c.T, mlstm::kChunk<T>) + 1;
                           mlstm::ChunkStates<T>(count, c, slots);
                           return count.bytes();
                         });
}

xlstm_status xlstm_mlstm_fwd_cuda(const xlstm_mlstm_fwd_args* args, xlstm_exec exec) {
  return Cuda::run(
      args, mlstm::check_on_cuda<xlstm_mlstm_fwd_check>, exec, mlstm::workspace_of,
      [&](auto element) { return mlstm::forward<typename decltype(element)::type>(*args, exec); });
}

const char* xlstm_mlstm_fwd_variant_cuda(const xlstm_mlstm_fwd_args* args) {
  if (!mlstm::is_resident(*args)) return "portable";
  return mlstm::resident_takes(*args) ? "resident" : "none";
}
