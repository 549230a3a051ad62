#include "kernels/common/entry.h"
#include "kernels/slstm/slstm.h"
#include "kernels/slstm/slstm_cell.h"
#include "kernels/slstm/slstm_cpu.h"

namespace xlstm::kernels {
namespace {

// R is read from where it lies if its columns fill whole registers and the loop over time is too
// short to repay a copy.
template <class T>
bool packs_R(const xlstm_slstm_fwd_args& a) {
  constexpr int64_t kShort = 4;
  return a.D % kLanes<T> != 0 || a.T >= kShort;
}

// Elements of the workspace: R as panels, then the tiles.
template <class T>
int64_t packed_size(const xlstm_slstm_fwd_args& a) {
  return packs_R<T>(a) ? SlstmCarver<T>::rounded(a.D * 4 * whole_lanes<T>(a.D)) : 0;
}
template <class T>
int64_t task_size(const xlstm_slstm_fwd_args& a) {
  return slstm_tiles(a.B, a.H).rows * whole_lanes<T>(a.D) * 8;
}
template <class T>
int64_t workspace_bytes(const xlstm_slstm_fwd_args& a) {
  return (a.H * packed_size<T>(a) + slstm_tiles(a.B, a.H).tasks * task_size<T>(a)) *
         static_cast<int64_t>(sizeof(T));
}

// R_h [D, 4, D] as panels [4 W / lanes, D, lanes], each gate's columns padded to W with zeros.
template <class T>
void pack(const T* R, int64_t D, T* packed) {
  const int64_t W = whole_lanes<T>(D);
  for (int64_t gate = 0; gate < 4; ++gate) {
    for (int64_t j0 = 0; j0 < W; j0 += kLanes<T>) {
      const int64_t filled = std::min(kLanes<T>, D - j0);
      for (int64_t k = 0; k < D; ++k, packed += kLanes<T>) {
        copy_row(packed, R + (k * 4 + gate) * D + j0, filled);
        zero_row(packed + filled, kLanes<T> - filled);
      }
    }
  }
}

// One row of units, W of them, a whole number of registers. The arrays of g and of `saved` lie W
// apart; nothing overlaps.
template <class T, bool kSave>
void cell_row(const T* g, int64_t W, T* h, T* c, T* n, T* m, T* saved, T clip) {
#pragma GCC ivdep
  for (int64_t j = 0; j < W; ++j) {
    const SlstmStep<T> s = slstm_cell_forward<T, SlstmVecMath>(g[j], g[W + j], g[2 * W + j],
                                                               g[3 * W + j], c[j], n[j], m[j]);
    c[j] = s.c;
    n[j] = s.n;
    m[j] = s.m;
    // Written so that NaN stays NaN.
    const T y = s.h > clip ? clip : s.h;
    h[j] = y < -clip ? -clip : y;
    if constexpr (kSave) {
      saved[kSavedC * W + j] = s.c;
      saved[kSavedN * W + j] = s.n;
      saved[kSavedI * W + j] = s.i;
      saved[kSavedF * W + j] = s.f;
      saved[kSavedZ * W + j] = s.z;
      saved[kSavedO * W + j] = s.o;
      saved[kSavedS * W + j] = s.one_minus_sig_f;
    }
  }
}

// One head, one tile of the batch, all of time.
template <class T>
class ForwardTask {
 public:
  ForwardTask(const xlstm_slstm_fwd_args& a, int64_t head, int64_t b0, int64_t rows,
              const Panels<T>& R, T* memory, int64_t tile_rows)
      : a_(a), head_(head), b0_(b0), rows_(rows), W_(whole_lanes<T>(a.D)), R_(R) {
    const int64_t size = tile_rows * W_;
    h_ = memory;
    c_ = memory + size;
    n_ = memory + 2 * size;
    m_ = memory + 3 * size;
    g_ = memory + 4 * size;
  }

  void run() {
    load_state(h_, W_, a_.h_init, b0_, rows_, head_, a_.H, a_.D);
    load_state(c_, W_, a_.c_init, b0_, rows_, head_, a_.H, a_.D);
    load_state(n_, W_, a_.n_init, b0_, rows_, head_, a_.H, a_.D);
    load_state(m_, W_, a_.m_init, b0_, rows_, head_, a_.H, a_.D);
    for (int64_t t = 0; t < a_.T; ++t) step(t);
    store_state(a_.h_final, h_, W_, b0_, rows_, head_, a_.H, a_.D);
    store_state(a_.c_final, c_, W_, b0_, rows_, head_, a_.H, a_.D);
    store_state(a_.n_final, n_, W_, b0_, rows_, head_, a_.H, a_.D);
    store_state(a_.m_final, m_, W_, b0_, rows_, head_, a_.H, a_.D);
  }

 private:
  void step(int64_t t) {
    for (int64_t r = 0; r < rows_; ++r) {
      if (a_.reset != nullptr && a_.reset[(b0_ + r) * a_.T + t] != 0)
        for (T* state : {h_, c_, n_, m_}) zero_row(state + r * W_, W_);
      load_gates(t, r);
    }
    panel_product<T>(rows_, a_.D, 4 * W_ / kLanes<T>, {h_, W_, 1}, R_, g_, 4 * W_);
    const T clip =
        a_.forward_clip > 0 ? static_cast<T>(a_.forward_clip) : std::numeric_limits<T>::infinity();
    T* saved = static_cast<T*>(a_.saved);
    if (saved != nullptr) saved += ((head_ * a_.T + t) * a_.B + b0_) * kSavedArrays * W_;
    for (int64_t r = 0; r < rows_; ++r) {
      const T* g = g_ + r * 4 * W_;
      const int64_t at = r * W_;
      if (saved != nullptr) {
        cell_row<T, true>(g, W_, h_ + at, c_ + at, n_ + at, m_ + at, saved + kSavedArrays * at,
                          clip);
      } else {
        cell_row<T, false>(g, W_, h_ + at, c_ + at, n_ + at, m_ + at, nullptr, clip);
      }
      copy_row(static_cast<T*>(a_.h) + (b0_ + r) * a_.h_stride_b + t * a_.h_stride_t +
                   head_ * a_.h_stride_h,
               h_ + r * W_, a_.D);
    }
  }

  void load_gates(int64_t t, int64_t r) {
    const T* wx = static_cast<const T*>(a_.wx) + (b0_ + r) * a_.wx_stride_b + t * a_.wx_stride_t +
                  head_ * a_.wx_stride_h;
    const T* bias = static_cast<const T*>(a_.bias);
    for (int64_t gate = 0; gate < 4; ++gate) {
      T* to = g_ + (r * 4 + gate) * W_;
      const T* from = wx + gate * a_.wx_stride_g;
      if (bias == nullptr) {
        copy_row(to, from, a_.D);
      } else {
        const T* b = bias + (head_ * 4 + gate) * a_.D;
        for (int64_t j = 0; j < a_.D; ++j) to[j] = from[j] + b[j];
      }
      zero_row(to + a_.D, W_ - a_.D);  // a NaN must not outlive its document in the padding
    }
  }

  const xlstm_slstm_fwd_args& a_;
  const int64_t head_, b0_, rows_, W_;
  const Panels<T> R_;
  T *h_, *c_, *n_, *m_, *g_;  // [rows, W]; g [rows, 4, W]
};

template <class T>
void forward(const xlstm_slstm_fwd_args& a, void* workspace) {
  const SlstmTiles tiles = slstm_tiles(a.B, a.H);
  const int64_t per_head = packed_size<T>(a), per_task = task_size<T>(a);
  const int64_t W = whole_lanes<T>(a.D);
  const T* R = static_cast<const T*>(a.R);
  T* packed = static_cast<T*>(workspace);
  T* memory = packed + a.H * per_head;
  const bool is_small = a.B * a.T * a.H * a.D * a.D < 64 * 1024;
#pragma omp parallel if (!is_small)
  {
    if (per_head > 0) {
#pragma omp for schedule(static)
      for (int64_t h = 0; h < a.H; ++h) pack(R + h * a.D * 4 * a.D, a.D, packed + h * per_head);
    }
#pragma omp for schedule(dynamic, 1)
    for (int64_t task = 0; task < tiles.tasks; ++task) {
      const int64_t head = task % a.H, b0 = task / a.H * tiles.rows;
      const Panels<T> panels = per_head > 0
                                   ? Panels<T>{packed + head * per_head, a.D * kLanes<T>, kLanes<T>}
                                   : Panels<T>{R + head * a.D * 4 * W, kLanes<T>, 4 * W};
      ForwardTask<T>(a, head, b0, std::min(tiles.rows, a.B - b0), panels, memory + task * per_task,
                     tiles.rows)
          .run();
    }
  }
}

}  // namespace
}  // namespace xlstm::kernels

using namespace xlstm::kernels;

int64_t xlstm_slstm_saved_bytes_cpu(xlstm_dtype dtype, int64_t B, int64_t T, int64_t H, int64_t D) {
  if (!Cpu::computes_in(dtype) || B < 0 || T < 0 || H < 0 || D < 0) return 0;
  const bool f32 = dtype == XLSTM_F32;
  int64_t bytes = kSavedArrays * (f32 ? 4 : 8);
  for (const int64_t size : {B, T, H, f32 ? whole_lanes<float>(D) : whole_lanes<double>(D)})
    if (__builtin_mul_overflow(bytes, size, &bytes)) return 0;
  return bytes;
}

int64_t xlstm_slstm_fwd_workspace_cpu(const xlstm_slstm_fwd_args* args) {
  return Cpu::workspace(args, xlstm_slstm_fwd_check,
                        [&]<class T>(Element<T>) { return workspace_bytes<T>(*args); });
}

xlstm_status xlstm_slstm_fwd_cpu(const xlstm_slstm_fwd_args* args, xlstm_exec exec) {
  return Cpu::run(args, xlstm_slstm_fwd_check, exec, xlstm_slstm_fwd_workspace_cpu,
                  [&]<class T>(Element<T>) {
                    if (args->variant != XLSTM_SLSTM_AUTO) return XLSTM_BAD_VARIANT;
                    forward<T>(*args, exec.workspace);
                    return XLSTM_OK;
                  });
}
