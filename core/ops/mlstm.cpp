#include "core/ops/mlstm.h"

#include <cmath>
#include <limits>

#include "core/autograd.h"
#include "core/kernel_variant.h"
#include "core/op_info.h"
#include "core/ops/kernel_call.h"
#include "core/ops/mlstm_pass.h"

namespace xlstm::ops {
namespace {

struct Sizes {
  int64_t B, T, H, K, V;
};

Sizes sizes_of(const Tensors& inputs) {
  const Tensor &q = inputs[0], &v = inputs[2];
  return {q.size(0), q.size(1), q.size(2), q.size(3), v.size(3)};
}

void check_options(const char* op, const MlstmOptions& o) {
  require<ConfigError>(o.chunk_size >= 1, op, ": chunk size is too small, got ", o.chunk_size,
                       ", expected at least 1");
  require<ConfigError>(o.normalize || o.input_gate == MlstmInputGate::sigmoid, op,
                       ": the exponential input gate needs the normaliser, got normalize = false, "
                       "expected true (or the sigmoid input gate)");
  require<ConfigError>(o.soft_cap >= 0 && std::isfinite(o.soft_cap), op,
                       ": soft cap is out of range, got ", o.soft_cap,
                       ", expected 0 (none) or more");
  require<ConfigError>(o.eps >= 0 && std::isfinite(o.eps), op, ": eps is out of range, got ", o.eps,
                       ", expected 0 or more");
  require<ConfigError>(o.start_m <= 0 && o.start_m >= kNoStabilizer, op,
                       ": start_m is out of range, got ", o.start_m, ", expected ", kNoStabilizer,
                       " to 0");
}

// Matrix sides go to products with 32-bit sizes.
void check_sides(const char* op, const Sizes& s) {
  constexpr int64_t kMost = std::numeric_limits<int32_t>::max();
  require<ShapeError>(s.T <= kMost && s.K <= kMost && s.V <= kMost, op,
                      ": a dimension is too large, got T ", s.T, ", K ", s.K, " and V ", s.V,
                      ", expected at most ", kMost);
}

void check_state(const char* op, const MlstmState& state, const Sizes& s, DType dtype) {
  require_like(state.C, {s.B, s.H, s.K, s.V}, dtype, op, "state C");
  require_like(state.n, {s.B, s.H, s.K}, dtype, op, "state n");
  require_like(state.m, {s.B, s.H}, dtype, op, "state m");
}

void check_slots(const char* op, const Tensor& slots, const MlstmState& state, int64_t B) {
  require_like(slots, {B}, DType::i64, op, "slots");
  require<ShapeError>(
      state.C.defined() && state.C.dim() > 0 && state.n.defined() && state.m.defined(), op,
      ": with slots the state must stand ready, got an undefined C, n or m, ",
      "expected C [n_slots, H, K, V], n [n_slots, H, K] and m [n_slots, H]");
  if (slots.device() != kCpu) return;
  const int64_t n_slots = state.C.size(0);
  const int64_t* slot = slots.data<int64_t>();
  for (int64_t b = 0; b < B; ++b) {
    require<ShapeError>(slot[b] < n_slots, op, ": slot of row ", b, " is out of range, got ",
                        slot[b], ", expected less than ", n_slots, " (negative: no slot)");
    for (int64_t other = 0; other < b && slot[b] >= 0; ++other)
      require<ShapeError>(slot[other] != slot[b], op, ": two rows share a slot, got ", slot[b],
                          " for rows ", other, " and ", b, ", expected different ones");
  }
}

void check_required(const char* op, const Tensor& q, const Tensor& k, const Tensor& v,
                    const Tensor& i, const Tensor& f) {
  require<ShapeError>(q.defined() && k.defined() && v.defined() && i.defined() && f.defined(), op,
                      ": an input is missing, got an undefined tensor, expected q, k, v, i and f");
}

void check_floating(const char* op, const Tensor& q) {
  require_computes(q, op, "q");
}

// x [B, T, H, width] if a kernel can read its rows of time steps, else a copy: the products inside
// want rows that do not overlap.
Tensor time_rows(const Tensor& x) {
  if (!x.defined() || x.size(1) <= 1 || x.stride(1) >= x.size(3)) return dense_last(x);
  return x.clone();
}

xlstm_mlstm_stride stride_of(const Tensor& x) {
  return {x.stride(0), x.stride(1), x.stride(2)};
}
xlstm_mlstm_stride step_stride(const Tensor& x) {
  return {x.stride(0), 0, x.stride(1)};
}

xlstm_mlstm_config make_config(const Sizes& s, DType dtype, DType gate_dtype,
                               const MlstmOptions& o) {
  xlstm_mlstm_config c{};
  c.dtype = kernel_dtype(dtype);
  c.gate_dtype = kernel_dtype(gate_dtype);
  c.B = s.B;
  c.T = s.T;
  c.H = s.H;
  c.K = s.K;
  c.V = s.V;
  c.chunk_size = o.chunk_size;
  c.form = o.form == MlstmForm::parallel    ? XLSTM_MLSTM_PARALLEL
           : o.form == MlstmForm::recurrent ? XLSTM_MLSTM_RECURRENT
                                            : XLSTM_MLSTM_CHUNKWISE;
  c.input_gate =
      o.input_gate == MlstmInputGate::sigmoid ? XLSTM_MLSTM_SIGMOID : XLSTM_MLSTM_EXPONENTIAL;
  c.normalize = o.normalize;
  c.detach_normalizer = o.detach_normalizer;
  c.soft_cap = o.soft_cap;
  c.eps = o.eps;
  c.start_m = o.start_m;
  c.stabilizer_gradient = o.stabilizer_gradient;
  return c;
}

// What forward and backward read, laid out for the kernels.
struct Inputs {
  Tensor q, k, v, i, f, C, n, m, reset;
};

template <class Args>
void set_inputs(Args& args, const Inputs& in) {
  args.q = in.q.raw();
  args.k = in.k.raw();
  args.v = in.v.raw();
  args.i = in.i.raw();
  args.f = in.f.raw();
  args.q_stride = stride_of(in.q);
  args.k_stride = stride_of(in.k);
  args.v_stride = stride_of(in.v);
  args.i_stride = stride_of(in.i);
  args.f_stride = stride_of(in.f);
  args.C0 = raw_or_null(in.C);
  args.n0 = raw_or_null(in.n);
  args.m0 = raw_or_null(in.m);
  args.reset = static_cast<const uint8_t*>(raw_or_null(in.reset));
}

const KernelSwitch& kernel_switch() {
  static const KernelSwitch the_switch("mlstm");
  return the_switch;
}

template <class Args>
void run(const Kernel<Args>& kernel, const Args& args, Device device, const char* name) {
  run_variant(kernel, args, device, name, kernel_switch(), [&] {
    const xlstm_mlstm_config& c = args.config;
    return detail::concat("T ", c.T, ", K ", c.K, ", V ", c.V, " in ",
                          c.dtype == XLSTM_F32 ? 32 : 16, " bits");
  });
}

struct Forward {
  MlstmResult result;
  Tensor saved_m, saved_l, states;  // undefined unless wanted
};

Forward run_forward(const xlstm_mlstm_config& config, const Inputs& in, bool save,
                    bool keep_states) {
  const DType dtype = in.q.dtype(), wide = wide_type(dtype);
  const Device device = in.q.device();
  const Shape states{config.B, config.H, config.K, config.V};
  Forward out;
  out.result.h = Tensor::empty({config.B, config.T, config.H, config.V}, dtype, device);
  out.result.final_state.C = Tensor::empty(states, wide, device);
  out.result.final_state.n = config.normalize
                                 ? Tensor::empty({config.B, config.H, config.K}, wide, device)
                                 : Tensor::zeros({config.B, config.H, config.K}, wide, device);
  out.result.final_state.m = Tensor::empty({config.B, config.H}, wide, device);
  if (save) {
    out.saved_m = Tensor::empty({config.B, config.H, config.T}, wide, device);
    if (config.normalize) out.saved_l = Tensor::empty({config.B, config.H, config.T}, wide, device);
  }
  xlstm_mlstm_fwd_args args{};
  args.config = config;
  set_inputs(args, in);
  args.h = out.result.h.raw();
  args.h_stride = stride_of(out.result.h);
  args.C = out.result.final_state.C.raw();
  args.n = out.result.final_state.n.raw();
  args.m = out.result.final_state.m.raw();
  args.saved_m = raw_or_null(out.saved_m);
  args.saved_l = raw_or_null(out.saved_l);
  const int64_t kept =
      save && keep_states && device != kCpu ? xlstm_mlstm_states_bytes_cuda(&args) : 0;
  if (kept > 0) out.states = Tensor::empty({kept}, DType::u8, device);
  args.states = raw_or_null(out.states);
  run(Kernel{xlstm_mlstm_fwd_cpu, xlstm_mlstm_fwd_cuda, xlstm_mlstm_fwd_workspace_cpu,
             xlstm_mlstm_fwd_workspace_cuda, xlstm_mlstm_fwd_variant_cuda,
             xlstm_mlstm_fwd_workspace_most_cpu},
      args, in.q.device(), "mlstm");
  return out;
}

}  // namespace

Tensors mlstm_inputs(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& i,
                     const Tensor& f, const MlstmState& initial) {
  return {q, k, v, i, f, initial.C, initial.n, initial.m};
}

void check_mlstm(const char* op, const Tensors& inputs, const Tensor& reset,
                 const MlstmOptions& options) {
  const Tensor &q = inputs[0], &k = inputs[1], &v = inputs[2], &i = inputs[3], &f = inputs[4];
  check_options(op, options);
  check_required(op, q, k, v, i, f);
  require<ShapeError>(q.dim() == 4 && q.size(3) > 0, op, ": q has no usable shape, got ",
                      to_string(q.shape()), ", expected [B, T, H, K] with K >= 1");
  require<ShapeError>(v.dim() == 4 && v.size(3) > 0, op, ": v has no usable shape, got ",
                      to_string(v.shape()), ", expected [B, T, H, V] with V >= 1");
  check_floating(op, q);
  const Sizes s = sizes_of(inputs);
  check_sides(op, s);
  require_like(k, q.shape(), q.dtype(), op, "k");
  require_like(v, {s.B, s.T, s.H, s.V}, q.dtype(), op, "v");
  require_weight(i, {s.B, s.T, s.H}, q.dtype(), op, "i");
  require_like(f, {s.B, s.T, s.H}, i.dtype(), op, "f");
  check_state(op, {inputs[5], inputs[6], inputs[7]}, s, wide_type(q.dtype()));
  require_reset(reset, s.B, s.T, op);
}

MlstmResult mlstm_forward(const Tensors& inputs, const Tensor& reset, const MlstmOptions& options,
                          SavedMlstm* saved) {
  const Tensor &q = inputs[0], &k = inputs[1], &v = inputs[2], &i = inputs[3], &f = inputs[4];
  const KernelVariant* asked = kernel_switch().asked(q.device());
  xlstm_mlstm_config config = make_config(sizes_of(inputs), q.dtype(), i.dtype(), options);
  if (asked != nullptr) config.variant = asked->id;
  const Inputs in{time_rows(q),     time_rows(k),     time_rows(v),     i,           f,
                  dense(inputs[5]), dense(inputs[6]), dense(inputs[7]), dense(reset)};
  const Forward forward = run_forward(config, in, saved != nullptr, options.keep_states);
  if (saved == nullptr) return forward.result;
  saved->config = config;
  for (const Tensor& x : {in.q, in.k, in.v, in.i, in.f, in.C, in.n, in.m, in.reset})
    saved->inputs.emplace_back(x, "mlstm");
  saved->h = autograd::Saved(saved->reads_h() ? forward.result.h : Tensor{}, "mlstm");
  saved->m = forward.saved_m;
  saved->l = forward.saved_l;
  saved->states = forward.states;
  const auto wanted = [](const Tensor& x) { return x.defined() && x.requires_grad(); };
  saved->wants_C0 = wanted(inputs[5]);
  saved->wants_n0 = wanted(inputs[6]);
  saved->wants_m0 = wanted(inputs[7]);
  return forward.result;
}

Tensors SavedMlstm::backward(const Tensor& dh_any, const Tensor& dC_any, const Tensor& dn_any,
                             const Tensor& h_dh) const {
  const Inputs in{inputs[0].get(), inputs[1].get(), inputs[2].get(),
                  inputs[3].get(), inputs[4].get(), inputs[5].get(),
                  inputs[6].get(), inputs[7].get(), inputs[8].get()};
  const Device device = in.q.device();
  const Tensor of_h = h.get(), dh = time_rows(dh_any), dC = dense(dC_any), dn = dense(dn_any);
  Tensors grads = empty_like_neighbours({in.q, in.k, in.v});
  for (Tensor& gate : empty_like_neighbours({in.i, in.f})) grads.push_back(std::move(gate));
  grads.push_back(wants_C0 ? Tensor::empty(in.C.shape(), in.C.dtype(), device) : Tensor{});
  grads.push_back(wants_n0 ? Tensor::zeros(in.n.shape(), in.n.dtype(), device) : Tensor{});
  grads.push_back(wants_m0 ? Tensor::empty(in.m.shape(), in.m.dtype(), device) : Tensor{});
  xlstm_mlstm_bwd_args args{};
  args.config = config;
  set_inputs(args, in);
  args.h = raw_or_null(of_h);
  if (of_h.defined()) args.h_stride = stride_of(of_h);
  args.dh = raw_or_null(dh);
  if (dh.defined()) args.dh_stride = stride_of(dh);
  args.saved_m = raw_or_null(m);
  args.saved_l = raw_or_null(l);
  args.h_dh = raw_or_null(h_dh);
  args.states = raw_or_null(states);
  args.dC = raw_or_null(dC);
  args.dn = raw_or_null(dn);
  args.dq = grads[0].raw();
  args.dk = grads[1].raw();
  args.dv = grads[2].raw();
  args.di = grads[3].raw();
  args.df = grads[4].raw();
  args.dq_stride = stride_of(grads[0]);
  args.dk_stride = stride_of(grads[1]);
  args.dv_stride = stride_of(grads[2]);
  args.di_stride = stride_of(grads[3]);
  args.df_stride = stride_of(grads[4]);
  args.dC0 = raw_or_null(grads[5]);
  args.dn0 = raw_or_null(grads[6]);
  args.dm0 = raw_or_null(grads[7]);
  run(Kernel{xlstm_mlstm_bwd_cpu, xlstm_mlstm_bwd_cuda, xlstm_mlstm_bwd_workspace_cpu,
             xlstm_mlstm_bwd_workspace_cuda, xlstm_mlstm_bwd_variant_cuda,
             xlstm_mlstm_bwd_workspace_most_cpu},
      args, in.q.device(), "mlstm backward");
  return grads;
}

MlstmResult mlstm(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& i,
                  const Tensor& f, const MlstmState& initial, const Tensor& reset,
                  const MlstmOptions& options) {
  const OpScope scope("mlstm", {q, k, v, i, f, initial.C, initial.n, initial.m, reset});
  const Tensors inputs = mlstm_inputs(q, k, v, i, f, initial);
  check_mlstm("mlstm", inputs, reset, options);
  if (force_reference()) return mlstm_composed(q, k, v, i, f, initial, reset, options);
  if (!autograd::must_record(inputs)) return mlstm_forward(inputs, reset, options, nullptr);
  SavedMlstm saved;
  const MlstmResult result = mlstm_forward(inputs, reset, options, &saved);
  // The final m is no output of the tape: it takes no gradient.
  Tensors outputs{result.h, result.final_state.C};
  if (options.normalize) outputs.push_back(result.final_state.n);
  autograd::record("mlstm", inputs, outputs, [saved](const Tensors& grads) {
    return saved.backward(grads[0], grads[1], grads.size() > 2 ? grads[2] : Tensor{}, {});
  });
  return result;
}

Tensor mlstm_step(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& i,
                  const Tensor& f, MlstmState& state, const MlstmOptions& options,
                  const Tensor& slots) {
  const char* op = "mlstm_step";
  const OpScope scope(op, {q, k, v, i, f, state.C, state.n, state.m, slots});
  check_options(op, options);
  check_required(op, q, k, v, i, f);
  require<ShapeError>(q.dim() == 3 && q.size(2) > 0, op, ": q has no usable shape, got ",
                      to_string(q.shape()), ", expected [B, H, K] with K >= 1");
  require<ShapeError>(v.dim() == 3 && v.size(2) > 0, op, ": v has no usable shape, got ",
                      to_string(v.shape()), ", expected [B, H, V] with V >= 1");
  check_floating(op, q);
  const Sizes s{q.size(0), 1, q.size(1), q.size(2), v.size(2)};
  check_sides(op, s);
  const DType dtype = q.dtype(), wide = wide_type(dtype);
  const Device device = q.device();
  require_like(k, q.shape(), dtype, op, "k");
  require_like(v, {s.B, s.H, s.V}, dtype, op, "v");
  require_weight(i, {s.B, s.H}, dtype, op, "i");
  require_like(f, {s.B, s.H}, i.dtype(), op, "f");
  const Tensor slot_list = dense(slots);
  if (slots.defined()) check_slots(op, slot_list, state, s.B);
  Sizes held = s;  // the sequences of the state
  if (slots.defined()) held.B = state.C.size(0);
  check_state(op, state, held, wide);
  require<AutogradError>(!autograd::must_record({q, k, v, i, f, state.C, state.n, state.m}), op,
                         ": works in place and has no gradient, got an input that requires one, "
                         "expected none (use mlstm with T = 1)");
  if (!state.C.defined()) state.C = Tensor::zeros({s.B, s.H, s.K, s.V}, wide, device);
  if (!state.n.defined()) state.n = Tensor::zeros({s.B, s.H, s.K}, wide, device);
  if (!state.m.defined()) state.m = Tensor::full({s.B, s.H}, options.start_m, wide, device);
  for (const Tensor& x : {state.C, state.n, state.m})
    require<ShapeError>(x.is_contiguous(), op, ": the state must be contiguous, got strides ",
                        to_string(x.strides()));
  const Tensor q_dense = dense_last(q), k_dense = dense_last(k), v_dense = dense_last(v);
  const Tensor h = Tensor::empty({s.B, s.H, s.V}, dtype, device);
  xlstm_mlstm_step_args args{};
  static const KernelSwitch kernel_switch(op);
  const KernelVariant* asked = kernel_switch.asked(device);
  args.config = make_config(s, dtype, i.dtype(), options);
  if (asked != nullptr) args.config.variant = asked->id;
  args.q = q_dense.raw();
  args.k = k_dense.raw();
  args.v = v_dense.raw();
  args.i = i.raw();
  args.f = f.raw();
  args.h = h.raw();
  args.q_stride = step_stride(q_dense);
  args.k_stride = step_stride(k_dense);
  args.v_stride = step_stride(v_dense);
  args.i_stride = step_stride(i);
  args.f_stride = step_stride(f);
  args.h_stride = step_stride(h);
  args.C = state.C.raw();
  args.n = state.n.raw();
  args.m = state.m.raw();
  args.slots = static_cast<const int64_t*>(raw_or_null(slot_list));
  args.n_slots = held.B;
  run_kernel(Kernel{xlstm_mlstm_step_cpu, xlstm_mlstm_step_cuda}, args, q.device(), op);
  state.C.bump_version();
  state.n.bump_version();
  state.m.bump_version();
  return h;
}

}  // namespace xlstm::ops
