// The recurrence itself on the CPU: one decoding step, and the recurrent form as a loop over it.
#include "kernels/mlstm/mlstm_chunk.h"
#include "kernels/mlstm/mlstm_recurrent.h"

namespace xlstm::kernels::mlstm {
namespace {

// C = forget C + input k v^T and num = C^T q in one pass over C.
template <class T>
void update_and_read(int64_t K, int64_t V, const T* q, const T* k, const T* v, T forget, T input,
                     T* __restrict C, T* __restrict num) {
  copy_or_zero<T>(num, nullptr, V);
  int64_t r = 0;
  for (; r + 4 <= K; r += 4) {
    T *c0 = C + r * V, *c1 = c0 + V, *c2 = c1 + V, *c3 = c2 + V;
    const T k0 = input * k[r], k1 = input * k[r + 1], k2 = input * k[r + 2], k3 = input * k[r + 3];
    const T q0 = q[r], q1 = q[r + 1], q2 = q[r + 2], q3 = q[r + 3];
#pragma GCC ivdep
    for (int64_t j = 0; j < V; ++j) {
      const T x0 = forget * c0[j] + k0 * v[j], x1 = forget * c1[j] + k1 * v[j];
      const T x2 = forget * c2[j] + k2 * v[j], x3 = forget * c3[j] + k3 * v[j];
      c0[j] = x0;
      c1[j] = x1;
      c2[j] = x2;
      c3[j] = x3;
      num[j] += (q0 * x0 + q1 * x1) + (q2 * x2 + q3 * x3);
    }
  }
  for (; r < K; ++r) {
    T* row = C + r * V;
    const T key = input * k[r], query = q[r];
#pragma GCC ivdep
    for (int64_t j = 0; j < V; ++j) {
      const T x = forget * row[j] + key * v[j];
      row[j] = x;
      num[j] += query * x;
    }
  }
}

// One step of one head: h = s C^T q / N. Returns the signed l.
template <class T>
T step_head(const xlstm_mlstm_config& c, const T* q, const T* k, const T* v, T i, T f, T* h, T* C,
            T* n, T& m) {
  const StepGates<T> gates = step_gates(i, f, m, c.soft_cap, c.input_gate == XLSTM_MLSTM_SIGMOID);
  m = gates.m;
  update_and_read(c.K, c.V, q, k, v, gates.forget, gates.input, C, h);
  T scale = T(1) / std::sqrt(static_cast<T>(c.K)), l = 0;
  if (c.normalize) {
    for (int64_t r = 0; r < c.K; ++r) n[r] = gates.forget * n[r] + gates.input * k[r];
    l = scale * dot(q, n, c.K);
    scale /= denominator(l, vec::exp(floor_exponent(m)), static_cast<T>(c.eps));
  }
  scale_to(h, h, scale, c.V);
  return l;
}

// Every slot within bounds and named once. The comparisons of all pairs are few beside the work on
// the matrices.
bool good_slots(const xlstm_mlstm_step_args& a) {
  if (a.slots == nullptr) return true;
  for (int64_t b = 0; b < a.config.B; ++b) {
    if (a.slots[b] >= a.n_slots) return false;
    for (int64_t other = 0; other < b && a.slots[b] >= 0; ++other)
      if (a.slots[other] == a.slots[b]) return false;
  }
  return true;
}

xlstm_status check_step(const xlstm_mlstm_step_args* args) {
  const xlstm_status status = xlstm_mlstm_step_check(args);
  return status == XLSTM_OK && !good_slots(*args) ? XLSTM_BAD_VALUE : status;
}

template <class T>
void step_all(const xlstm_mlstm_step_args& a) {
  const xlstm_mlstm_config& c = a.config;
  const auto at = [](const void* p, const xlstm_mlstm_stride& s, int64_t b, int64_t h) {
    return static_cast<const T*>(p) + b * s.b + h * s.h;
  };
  // Starting threads costs more than a small step.
#pragma omp parallel for schedule(static) if (c.B * c.H * c.K * c.V > 64 * 1024)
  for (int64_t head = 0; head < c.B * c.H; ++head) {
    const int64_t b = head / c.H, h = head % c.H;
    T* out = static_cast<T*>(a.h) + b * a.h_stride.b + h * a.h_stride.h;
    const int64_t slot = a.slots == nullptr ? b : a.slots[b];
    if (slot < 0) {
      copy_or_zero<T>(out, nullptr, c.V);
      continue;
    }
    const int64_t state = slot * c.H + h;
    T unused = 0;
    T& m = c.input_gate == XLSTM_MLSTM_SIGMOID ? unused : static_cast<T*>(a.m)[state];
    step_head(c, at(a.q, a.q_stride, b, h), at(a.k, a.k_stride, b, h), at(a.v, a.v_stride, b, h),
              *at(a.i, a.i_stride, b, h), *at(a.f, a.f_stride, b, h), out,
              static_cast<T*>(a.C) + state * c.K * c.V,
              c.normalize ? static_cast<T*>(a.n) + state * c.K : nullptr, m);
  }
}

template <class T>
void sequence_head(const xlstm_mlstm_fwd_args& a, int64_t index, T* C, T* n) {
  const xlstm_mlstm_config& c = a.config;
  const int64_t b = index / c.H, h = index % c.H;
  const auto q = head_rows<const T>(a.q, a.q_stride, b, h, c.T, c.K);
  const auto k = head_rows<const T>(a.k, a.k_stride, b, h, c.T, c.K);
  const auto v = head_rows<const T>(a.v, a.v_stride, b, h, c.T, c.V);
  const auto i = head_rows<const T>(a.i, a.i_stride, b, h, c.T, 1);
  const auto f = head_rows<const T>(a.f, a.f_stride, b, h, c.T, 1);
  const auto out = head_rows<T>(a.h, a.h_stride, b, h, c.T, c.V);
  HeadState<T> state{C, n};
  load_state(c, a.C0, a.n0, a.m0, index, state);
  for (int64_t t = 0; t < c.T; ++t) {
    if (a.reset != nullptr && a.reset[b * c.T + t] != 0) {
      state.live = false;
      state.m = zero_state_m<T>(c);
    }
    if (!state.live) {
      copy_or_zero<T>(C, nullptr, c.K * c.V);
      copy_or_zero<T>(n, nullptr, c.K);
      state.live = true;
    }
    const T l = step_head(c, q[t], k[t], v[t], *i[t], *f[t], out[t], C, n, state.m);
    if (a.saved_m != nullptr) static_cast<T*>(a.saved_m)[index * c.T + t] = state.m;
    if (a.saved_l != nullptr && c.normalize) static_cast<T*>(a.saved_l)[index * c.T + t] = l;
  }
  if (a.C != nullptr)
    copy_or_zero(static_cast<T*>(a.C) + index * c.K * c.V, state.live ? C : nullptr, c.K * c.V);
  if (a.n != nullptr && c.normalize)
    copy_or_zero(static_cast<T*>(a.n) + index * c.K, state.live ? n : nullptr, c.K);
  if (a.m != nullptr) static_cast<T*>(a.m)[index] = state.m;
}

}  // namespace

template <class T>
void recurrent_forward(const xlstm_mlstm_fwd_args& args, xlstm_exec exec) {
  for_each_head<RecurrentScratch<T>>(args.config, exec, [&](int64_t head, RecurrentScratch<T>& s) {
    sequence_head(args, head, s.C, s.n);
  });
}
template void recurrent_forward<float>(const xlstm_mlstm_fwd_args&, xlstm_exec);
template void recurrent_forward<double>(const xlstm_mlstm_fwd_args&, xlstm_exec);

}  // namespace xlstm::kernels::mlstm

using namespace xlstm::kernels;

xlstm_status xlstm_mlstm_step_cpu(const xlstm_mlstm_step_args* args, xlstm_exec) {
  return Cpu::run(args, mlstm::check_on_cpu<mlstm::check_step>,
                  [&]<class T>(Element<T>) { mlstm::step_all<T>(*args); });
}
