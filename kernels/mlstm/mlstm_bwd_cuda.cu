// Backward on CUDA: the gate vectors and the states again, what each step's normaliser passes on,
// the gradient of the states from the last chunk to the first, dq, dk, dv of all chunks side by
// side, and from their products with q and k the gradients of the gates.
#include <cmath>

#include "kernels/mlstm/mlstm_cuda.cuh"
#include "kernels/mlstm/mlstm_resident.cuh"

namespace xlstm::kernels::mlstm {
namespace {

constexpr int kRowThreads = 256;

template <class T>
struct BwdLayout {
  bool resident;  // sweeps
  int chunk;      // steps
  GateVectors gates;
  ChunkStates<T> before, after;  // C and n before each chunk and at the end; dC and dn after each
  float *inv_n, *dl, *q_scale, *q_vector_scale;  // [B H, steps]
  float* dm;                                     // [B H, steps] into m_t; only if it has a gradient
  float *q_dq, *k_dk;                            // [groups, B H, steps]
  float* inner;                                  // [parts, B H, chunks]
  float *first_dC, *first_dn;                    // where the caller wants dm0 alone
  uint32_t* anchors;                             // sweeps: states kept on the way
  float* anchor_vectors;
  SweepParts key_parts, value_parts;  // of dq and dk, which take turns; of dv
  int walk;         // steps that gate gradients go through from one inner product to the next
  int64_t n_walks;  // of a head
  int64_t groups, parts;

  BwdLayout(Scratch& s, const xlstm_mlstm_bwd_args& a)
      : resident(is_resident(a)),
        chunk(resident ? kSweepChunk : kChunk<T>),
        gates(s, a.config, chunk) {
    const xlstm_mlstm_config& c = a.config;
    const int64_t heads = c.B * c.H, n_steps = heads * gates.steps;
    walk = resident ? kAnchorChunks * chunk : chunk;
    n_walks = ceil_div(c.T, walk);
    const SweepPlan plan(c.K, c.V);
    groups = resident ? plan.product_parts() : output_groups<T>(c.K);
    parts = resident ? plan.passes * plan.inner_parts() : scan_parts<T>(c.K, c.V);
    if (!resident) {
      Scratch kept(const_cast<void*>(a.states));
      before = ChunkStates<T>(a.states != nullptr ? kept : s, c, gates.chunks + 1);
      after = ChunkStates<T>(s, c, gates.chunks);
    }
    anchors = s.take<uint32_t>(resident ? heads * n_walks * plan.passes * plan.anchor_words() : 0);
    anchor_vectors = s.take<float>(resident ? heads * n_walks * c.K : 0);
    if (resident) {
      key_parts = SweepParts(s, heads, gates.chunks, c.K, c.V);
      value_parts = SweepParts(s, heads, gates.chunks, c.V, c.K);
    }
    for (float** p : {&inv_n, &dl, &q_scale, &q_vector_scale}) *p = s.take<float>(n_steps);
    dm = s.take<float>(passes_m(c) ? n_steps : 0);
    q_dq = s.take<float>(groups * n_steps);
    k_dk = s.take<float>(groups * n_steps);
    inner = s.take<float>(parts * heads * n_walks);
    const bool wants_m = a.dm0 != nullptr;
    first_dC = s.take<float>(wants_m && a.dC0 == nullptr ? heads * c.K * c.V : 0);
    first_dn = s.take<float>(wants_m && a.dn0 == nullptr ? heads * c.K : 0);
    if (a.dC0 != nullptr || !wants_m) first_dC = static_cast<float*>(a.dC0);
    if (a.dn0 != nullptr || !wants_m) first_dn = static_cast<float*>(a.dn0);
  }

  static bool passes_m(const xlstm_mlstm_config& c) {
    return c.stabilizer_gradient && c.input_gate == XLSTM_MLSTM_EXPONENTIAL;
  }
};

// ---- the normaliser of each step ----

struct RowArgs {
  xlstm_mlstm_bwd_args a;
  GateVectors gates;
  View h, dh;
  float query_scale;
  float *inv_n, *dl, *q_scale, *q_vector_scale, *dm;  // dm may be null
  int team;  // lanes per step, a power of 2: no more than there are pieces of 16 bytes
};

template <class T>
__device__ float dot_rows(const RowArgs& r, int64_t head, int64_t t) {
  const xlstm_mlstm_config& c = r.a.config;
  const T* h = static_cast<const T*>(r.h.head<T>(head, c.H)) + t * r.h.t;
  const T* dh = static_cast<const T*>(r.dh.head<T>(head, c.H)) + t * r.dh.t;
  const int lane = static_cast<int>(threadIdx.x) % r.team;
  constexpr int kWidth = kPack<T>;
  float sum = 0;
  int64_t done = 0;
  if (r.h.packed && r.dh.packed) {
    done = c.V / kWidth * kWidth;
    for (int64_t j = lane * kWidth; j < done; j += r.team * kWidth) {
      float x[kWidth], y[kWidth];
      load_pack(h + j, x);
      load_pack(dh + j, y);
#pragma unroll
      for (int e = 0; e < kWidth; ++e) sum += x[e] * y[e];
    }
  }
  for (int64_t j = done + lane; j < c.V; j += r.team) sum += to_float(h[j]) * to_float(dh[j]);
  for (int o = r.team / 2; o > 0; o /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, o);
  return sum;
}

// A team of lanes per step of a head, heads innermost as in memory; or where there is nothing to
// sum a lane, time innermost as in what it writes. All lanes of a warp come along, because they
// exchange sums.
template <class T>
__global__ void __launch_bounds__(kRowThreads) rows_kernel(RowArgs r) {
  const xlstm_mlstm_config& c = r.a.config;
  const int64_t mine = (blockIdx.x * int64_t{kRowThreads} + threadIdx.x) / r.team;
  const int64_t n = c.B * r.gates.steps * c.H, index = mine < n ? mine : n - 1;
  const bool alone = r.team == 1;
  const int64_t steps = r.gates.steps;
  const int64_t b = index / (c.H * steps), t = alone ? index % steps : index / c.H % steps;
  const int64_t h = alone ? index / steps % c.H : index % c.H;
  const int64_t head = b * c.H + h, at = head * steps + t;
  float inv_n = 0, dl = 0, dm = 0;
  const bool counts = t < c.T && r.a.dh != nullptr;
  const bool needs_dot = c.normalize && !c.detach_normalizer && r.a.dh != nullptr;
  float h_dh = 0;
  if (needs_dot && r.a.h_dh != nullptr) {
    if (t < c.T) h_dh = static_cast<const float*>(r.a.h_dh)[(b * c.T + t) * c.H + h];
  } else if (needs_dot) {
    h_dh = dot_rows<T>(r, head, t < c.T ? t : c.T - 1);
  }
  if (counts) {
    inv_n = 1;
    if (c.normalize) {
      const float m = static_cast<const float*>(r.a.saved_m)[head * c.T + t];
      const float l = static_cast<const float*>(r.a.saved_l)[head * c.T + t];
      const float floor = expf(floor_exponent(m)), eps = static_cast<float>(c.eps);
      // Another kernel may have rounded the saved m otherwise than it is here.
      const float n_saved = denominator(l, floor, eps), n = n_saved * expf(m - r.gates.m[at]);
      inv_n = 1 / n;
      if (!c.detach_normalizer) {
        dl = denominator_gradient(l, floor, n, h_dh);
        dm = -h_dh * eps / n_saved;
      }
    }
  }
  if (static_cast<int>(threadIdx.x) % r.team != 0 || mine >= n) return;
  const float scale = r.query_scale * r.gates.beta[at];
  r.inv_n[at] = inv_n;
  r.dl[at] = dl;
  r.q_scale[at] = scale * inv_n;
  r.q_vector_scale[at] = scale * dl;
  if (r.dm != nullptr) r.dm[at] = dm;
}

// ---- the whole ----

template <class T>
class Backward {
 public:
  Backward(const xlstm_mlstm_bwd_args& args, xlstm_exec where)
      : a(args), c(args.config), exec(where), scratch(where.workspace), w(scratch, args) {}

  xlstm_status run() {
    xlstm_status status = gates();
    if (w.resident) {
      if (status == XLSTM_OK) status = rows();
      if (status == XLSTM_OK) status = sweep_of<Output::kDv>();
      if (status == XLSTM_OK) status = sweep_of<Output::kDq>();
      if (status == XLSTM_OK) status = sweep_of<Output::kDk>();
      return status == XLSTM_OK ? gate_gradients() : status;
    }
    if (status == XLSTM_OK && a.states == nullptr) status = scan(false);
    if (status == XLSTM_OK && c.T > 0) status = rows();
    if (status == XLSTM_OK) status = scan(true);
    if (status == XLSTM_OK && c.T > 0) status = output<Output::kDq>();
    if (status == XLSTM_OK && c.T > 0) status = output<Output::kDk>();
    if (status == XLSTM_OK && c.T > 0) status = output<Output::kDv>();
    if (status == XLSTM_OK) status = gate_gradients();
    return status;
  }

 private:
  const xlstm_mlstm_bwd_args& a;
  const xlstm_mlstm_config& c;
  xlstm_exec exec;
  Scratch scratch;
  BwdLayout<T> w;

  float query_scale() const { return 1 / std::sqrt(static_cast<float>(c.K)); }
  bool has_state() const { return a.C0 != nullptr || (c.normalize && a.n0 != nullptr); }
  bool has_state_grad() const { return a.dC != nullptr || (c.normalize && a.dn != nullptr); }
  View dh() const { return view_of<T>(a.dh, a.dh_stride, c); }

  xlstm_status gates() {
    GateArgs g{};
    g.config = c;
    g.i = a.i;
    g.f = a.f;
    g.i_stride = a.i_stride;
    g.f_stride = a.f_stride;
    g.reset = a.reset;
    g.m0 = static_cast<const float*>(a.m0);
    g.gates = w.gates;
    g.chunk = w.chunk;
    return compute_gates(g, exec);
  }

  xlstm_status scan(bool backward) {
    ScanArgs s{};
    s.heads = c.B * c.H;
    s.H = c.H;
    s.T = c.T;
    s.K = c.K;
    s.V = c.V;
    s.gamma = w.gates.gamma;
    s.steps = w.gates.steps;
    s.chunks = w.gates.chunks;
    s.backward = backward;
    s.with_vector = c.normalize;
    if (!backward) {
      s.x = view_of<T>(a.k, a.k_stride, c);
      s.y = view_of<T>(a.v, a.v_stride, c);
      s.scale = s.vector_scale = w.gates.alpha;
      s.S_first = static_cast<const float*>(a.C0);
      s.s_first = static_cast<const float*>(a.n0);
      s.S_chunks = w.before.C;
      s.s_chunks = w.before.n;
      s.slots = s.chunks + 1;
    } else {
      s.x = view_of<T>(a.q, a.q_stride, c);
      s.y = dh();
      s.scale = w.q_scale;
      s.vector_scale = w.q_vector_scale;
      s.S_first = static_cast<const float*>(a.dC);
      s.s_first = static_cast<const float*>(a.dn);
      s.S_chunks = w.after.C;
      s.s_chunks = w.after.n;
      s.slots = s.chunks;
      s.S_last = w.first_dC;
      s.s_last = w.first_dn;
      s.other_S = w.before.C;
      s.other_s = w.before.n;
      s.inner = w.inner;
    }
    return scan_states<T>(s, exec);
  }

  xlstm_status rows() {
    RowArgs r{};
    r.a = a;
    r.gates = w.gates;
    r.h = view_of<T>(a.h, a.h_stride, c);
    r.dh = dh();
    r.query_scale = query_scale();
    r.inv_n = w.inv_n;
    r.dl = w.dl;
    r.q_scale = w.q_scale;
    r.q_vector_scale = w.q_vector_scale;
    r.dm = BwdLayout<T>::passes_m(c) ? w.dm : nullptr;
    r.team = 1;
    const bool sums = c.normalize && !c.detach_normalizer && a.dh != nullptr && a.h_dh == nullptr;
    while (sums && r.team < 32 && r.team * kPack<T> < c.V) r.team *= 2;
    return launch(rows_kernel<T>, ceil_div(c.B * c.H * w.gates.steps * r.team, kRowThreads),
                  kRowThreads, 0, exec, r);
  }

  template <Output kOutput>
  xlstm_status output() {
    constexpr bool kKeys = kOutput != Output::kDv;  // whether it is as wide as keys
    OutputArgs o{};
    o.heads = c.B * c.H;
    o.H = c.H;
    o.T = c.T;
    o.K = c.K;
    o.V = c.V;
    o.inner = kKeys ? c.V : c.K;
    o.width = kKeys ? c.K : c.V;
    const View q = view_of<T>(a.q, a.q_stride, c), k = view_of<T>(a.k, a.k_stride, c),
               v = view_of<T>(a.v, a.v_stride, c);
    o.x = kOutput == Output::kDq ? dh() : kOutput == Output::kDk ? v : k;
    o.y = kOutput == Output::kDq ? v : kOutput == Output::kDk ? dh() : q;
    o.z = kOutput == Output::kDq ? k : kOutput == Output::kDk ? q : dh();
    o.out = kOutput == Output::kDq   ? view_of<T>(a.dq, a.dq_stride, c)
            : kOutput == Output::kDk ? view_of<T>(a.dk, a.dk_stride, c)
                                     : view_of<T>(a.dv, a.dv_stride, c);
    o.gates = w.gates;
    constexpr bool kForward = kOutput == Output::kDq;
    o.S = kForward ? w.before.C : w.after.C;
    o.s = kForward ? w.before.n : w.after.n;
    o.slots = kForward ? w.gates.chunks + 1 : w.gates.chunks;
    o.edge_state = kForward ? has_state() : has_state_grad();
    o.normalize = c.normalize;
    o.query_scale = query_scale();
    o.inv_n = w.inv_n;
    o.dl = w.dl;
    o.q_scale = w.q_scale;
    o.q_vector_scale = w.q_vector_scale;
    o.factor = kForward ? q : k;
    o.products = kForward ? w.q_dq : w.k_dk;
    return compute_output<T, kOutput>(o, exec);
  }

  template <Output kOutput>
  xlstm_status sweep_of() {
    if constexpr (sizeof(T) == 2) {
      constexpr bool kKeys = kOutput != Output::kDv, kForward = kOutput == Output::kDq;
      SweepArgs s = sweep_args(c, w.gates, kKeys);
      const StepTensor q{a.q, a.q_stride, c.K}, k{a.k, a.k_stride, c.K}, v{a.v, a.v_stride, c.V},
          dh{a.dh, a.dh_stride, c.V}, dq{a.dq, a.dq_stride, c.K}, dk{a.dk, a.dk_stride, c.K},
          dv{a.dv, a.dv_stride, c.V};
      const StepTensor& of_a = kOutput == Output::kDq ? k : kOutput == Output::kDk ? q : dh;
      const StepTensor& out = kOutput == Output::kDq ? dq : kOutput == Output::kDk ? dk : dv;
      if (!make_map(&s.a, c, of_a) || !make_map(&s.out, c, out) ||
          (kKeys && !make_map(&s.factor, c, kForward ? q : k)))
        return XLSTM_DEVICE_ERROR;
      s.X_first = static_cast<const float*>(kForward ? a.C0 : a.dC);
      if (c.normalize && kKeys) s.s_first = static_cast<const float*>(kForward ? a.n0 : a.dn);
      if (kOutput == Output::kDk) {
        s.X_last = w.first_dC;
        if (c.normalize) s.s_last = w.first_dn;
      }
      s.inv_n = w.inv_n;
      s.dl = w.dl;
      s.q_scale = w.q_scale;
      s.q_vector_scale = w.q_vector_scale;
      s.beside = kOutput == Output::kDq;  // that for dv
      s.products = kForward ? w.q_dq : w.k_dk;
      s.anchors = w.anchors;
      s.anchor_vectors = w.anchor_vectors;
      s.inner = w.inner;
      s.n_anchors = w.n_walks;
      const StepTensor& p = kOutput == Output::kDq ? dh : kOutput == Output::kDk ? v : k;
      const StepTensor& u = kOutput == Output::kDq ? v : kOutput == Output::kDk ? dh : q;
      return sweep_all<T, kOutput>(s, c, p, u, kKeys ? w.key_parts : w.value_parts, exec);
    } else {
      return XLSTM_BAD_VARIANT;
    }
  }

  xlstm_status gate_gradients() {
    GateGradArgs g{};
    g.a = a;
    g.gates = w.gates;
    g.chunk = w.chunk;
    g.walk = w.walk;
    g.n_walks = w.n_walks;
    g.q_dq = w.q_dq;
    g.k_dk = w.k_dk;
    g.inner = w.inner;
    g.groups = w.groups;
    g.parts = w.parts;
    g.fresh = !has_state() && (a.m0 == nullptr || c.input_gate == XLSTM_MLSTM_SIGMOID);
    g.dm = BwdLayout<T>::passes_m(c) ? w.dm : nullptr;
    g.first_dC = w.first_dC;
    g.first_dn = w.first_dn;
    return mlstm::gate_gradients(g, exec);
  }
};

int64_t workspace_of(const xlstm_mlstm_bwd_args* args) {
  return Cuda::workspace(args, check_on_cuda<xlstm_mlstm_bwd_check>, [&](auto element) -> int64_t {
    if (args->config.B * args->config.H == 0) return 0;
    Scratch count(nullptr);
    BwdLayout<typename decltype(element)::type> layout(count, *args);
    return count.bytes();
  });
}

template <class T>
xlstm_status backward(const xlstm_mlstm_bwd_args& a, xlstm_exec exec) {
  if (is_resident(a) && !resident_takes(a)) return XLSTM_BAD_VARIANT;
  if (a.config.B * a.config.H == 0) return XLSTM_OK;
  return Backward<T>(a, exec).run();
}

}  // namespace
}  // namespace xlstm::kernels::mlstm

using namespace xlstm::kernels;

int64_t xlstm_mlstm_bwd_workspace_cuda(const xlstm_mlstm_bwd_args* args) {
  return mlstm::workspace_of(args);
}

xlstm_status xlstm_mlstm_bwd_cuda(const xlstm_mlstm_bwd_args* args, xlstm_exec exec) {
  return Cuda::run(
      args, mlstm::check_on_cuda<xlstm_mlstm_bwd_check>, exec, mlstm::workspace_of,
      [&](auto element) { return mlstm::backward<typename decltype(element)::type>(*args, exec); });
}

const char* xlstm_mlstm_bwd_variant_cuda(const xlstm_mlstm_bwd_args* args) {
  if (!mlstm::is_resident(*args)) return "portable";
  return mlstm::resident_takes(*args) ? "resident" : "none";
}
