#include "kernels/common/entry.h"
#include "kernels/slstm/slstm.h"
#include "kernels/slstm/slstm_cell.h"
#include "kernels/slstm/slstm_cpu.h"

namespace xlstm::kernels {
namespace {

// dR of a tile is summed by one product per this many rows of h and dg, while they are in cache.
constexpr int64_t kRowsPerProduct = 128;

// How the workspace of a task is laid out; all sizes in elements.
template <class T>
struct TaskPlan {
  SlstmTiles tiles;
  int64_t D, W, chunk;  // chunk: time steps per product
  int64_t transposed;   // R_h transposed as panels
  int64_t states, chunk_h, chunk_g, dR, dbias;

  explicit TaskPlan(const xlstm_slstm_bwd_args& a) : tiles(slstm_tiles(a.B, a.H)), D(a.D) {
    using Carver = SlstmCarver<T>;
    W = whole_lanes<T>(D);
    chunk = std::max<int64_t>(1, std::min(a.T, kRowsPerProduct / tiles.rows));
    transposed = a.recurrent_cut ? 0 : Carver::rounded(4 * W * W);
    states = Carver::rounded((tiles.rows * 5 + 1) * W);
    chunk_h = Carver::rounded(chunk * tiles.rows * W);
    chunk_g = Carver::rounded(chunk * tiles.rows * 4 * W);
    dR = a.dR != nullptr ? Carver::rounded(D * 4 * W) : 0;
    dbias = Carver::rounded(4 * W);
  }
  int64_t per_task() const { return states + chunk_h + chunk_g + dR + dbias; }
  int64_t total(int64_t H) const { return H * transposed + tiles.tasks * per_task(); }
};

// R_h [D, 4, D] transposed to [4, W, W] and as panels [W / lanes, 4 W, lanes], zeros as padding:
// the right side of dh[k] = sum_{g, j} dg[g, j] R[k, g, j].
template <class T>
void pack_transposed(const T* R, int64_t D, T* packed) {
  const int64_t W = whole_lanes<T>(D);
  for (int64_t k0 = 0; k0 < W; k0 += kLanes<T>)
    for (int64_t gate = 0; gate < 4; ++gate)
      for (int64_t j = 0; j < W; ++j)
        for (int64_t k = k0; k < k0 + kLanes<T>; ++k)
          *packed++ = j < D && k < D ? R[(k * 4 + gate) * D + j] : T(0);
}

// One row of units: dg from the saved step and the gradients; dc and dn are carried on. The arrays
// of `saved` and of dg lie W apart; nothing overlaps.
template <class T>
void cell_row(const T* saved, int64_t W, const T* c_before, const T* n_before, T* dg, T* dh, T* dc,
              T* dn) {
#pragma GCC ivdep
  for (int64_t j = 0; j < W; ++j) {
    SlstmStep<T> s;
    s.c = saved[kSavedC * W + j];
    s.n = saved[kSavedN * W + j];
    s.i = saved[kSavedI * W + j];
    s.f = saved[kSavedF * W + j];
    s.z = saved[kSavedZ * W + j];
    s.o = saved[kSavedO * W + j];
    s.one_minus_sig_f = saved[kSavedS * W + j];
    const SlstmStepGrad<T> g =
        slstm_cell_backward<T, SlstmVecMath>(s, c_before[j], n_before[j], dh[j], dc[j], dn[j]);
    dg[j] = g.i;
    dg[W + j] = g.f;
    dg[2 * W + j] = g.z;
    dg[3 * W + j] = g.o;
    dc[j] = g.c;
    dn[j] = g.n;
    dh[j] = T(0);  // the product adds the recurrent part to it
  }
}

// One head, one tile of the batch, all of time, backwards.
template <class T>
class BackwardTask {
 public:
  BackwardTask(const xlstm_slstm_bwd_args& a, const TaskPlan<T>& plan, int64_t head, int64_t b0,
               int64_t rows, const T* transposed, T* memory)
      : a_(a),
        plan_(plan),
        head_(head),
        b0_(b0),
        rows_(rows),
        W_(plan.W),
        R_{transposed, 4 * plan.W * kLanes<T>, kLanes<T>} {
    SlstmCarver<T> carve(memory);
    dh_ = carve.take(plan.states);
    const int64_t size = plan.tiles.rows * W_;
    dc_ = dh_ + size;
    dn_ = dh_ + 2 * size;
    c_init_ = dh_ + 3 * size;
    n_init_ = dh_ + 4 * size;
    zeros_ = dh_ + 5 * size;
    chunk_h_ = carve.take(plan.chunk_h);
    chunk_g_ = carve.take(plan.chunk_g);
    dR_ = carve.take(plan.dR);
    dbias_ = carve.take(plan.dbias);
  }

  void run() {
    load_state(dh_, W_, a_.dh_final, b0_, rows_, head_, a_.H, a_.D);
    load_state(dc_, W_, a_.dc_final, b0_, rows_, head_, a_.H, a_.D);
    load_state(dn_, W_, a_.dn_final, b0_, rows_, head_, a_.H, a_.D);
    load_state(c_init_, W_, a_.c_init, b0_, rows_, head_, a_.H, a_.D);
    load_state(n_init_, W_, a_.n_init, b0_, rows_, head_, a_.H, a_.D);
    zero_row(dR_, plan_.dR);
    zero_row(dbias_, plan_.dbias);
    zero_row(zeros_, W_);
    for (int64_t end = a_.T; end > 0; end -= std::min(end, plan_.chunk)) {
      const int64_t begin = std::max<int64_t>(0, end - plan_.chunk);
      for (int64_t t = end - 1; t >= begin; --t) step(t, t - begin);
      add_parameters((end - begin) * rows_);
    }
    store_state(a_.dh_init, dh_, W_, b0_, rows_, head_, a_.H, a_.D);
    store_state(a_.dc_init, dc_, W_, b0_, rows_, head_, a_.H, a_.D);
    store_state(a_.dn_init, dn_, W_, b0_, rows_, head_, a_.H, a_.D);
    for (int64_t x = 0; x < rows_ * W_; ++x) dc_[x] = c_init_[x] * dc_[x] + n_init_[x] * dn_[x];
    store_state(a_.dm_init, dc_, W_, b0_, rows_, head_, a_.H, a_.D);
  }

 private:
  bool starts_document(int64_t t, int64_t r) const {
    return a_.reset != nullptr && a_.reset[(b0_ + r) * a_.T + t] != 0;
  }

  // The saved arrays of a row, or of the step before it.
  const T* saved(int64_t t, int64_t r) const {
    return static_cast<const T*>(a_.saved) +
           ((head_ * a_.T + t) * a_.B + b0_ + r) * kSavedArrays * W_;
  }

  void step(int64_t t, int64_t slot) {
    T* dg = chunk_g_ + slot * rows_ * 4 * W_;
    for (int64_t r = 0; r < rows_; ++r) {
      gather_dh(t, r);
      load_h_before(t, r, chunk_h_ + (slot * rows_ + r) * W_);
      run_cells(t, r, dg + r * 4 * W_);
      store_dwx(t, r, dg + r * 4 * W_);
    }
    if (!a_.recurrent_cut)
      panel_product<T>(rows_, 4 * W_, W_ / kLanes<T>, {dg, 4 * W_, 1}, R_, dh_, W_);
    for (int64_t r = 0; r < rows_; ++r)
      if (starts_document(t, r))
        for (T* grad : {dh_, dc_, dn_}) zero_row(grad + r * W_, W_);
  }

  // The whole gradient of h_t: what came back through R, clipped, and what came from above.
  void gather_dh(int64_t t, int64_t r) {
    T* dh = dh_ + r * W_;
    if (a_.recurrent_clip > 0) {
      const T clip = static_cast<T>(a_.recurrent_clip);
      for (int64_t j = 0; j < W_; ++j) {
        const T x = dh[j] > clip ? clip : dh[j];
        dh[j] = x < -clip ? -clip : x;
      }
    }
    if (a_.dh == nullptr) return;
    const T* from = static_cast<const T*>(a_.dh) + (b0_ + r) * a_.dh_stride_b + t * a_.dh_stride_t +
                    head_ * a_.dh_stride_h;
    for (int64_t j = 0; j < a_.D; ++j) dh[j] += from[j];
  }

  // h_{t-1} as the forward used it.
  void load_h_before(int64_t t, int64_t r, T* to) const {
    if (a_.dR == nullptr) return;
    if (t > 0 && !starts_document(t, r)) {
      copy_row(to,
               static_cast<const T*>(a_.h) + (b0_ + r) * a_.h_stride_b + (t - 1) * a_.h_stride_t +
                   head_ * a_.h_stride_h,
               a_.D);
    } else if (t == 0 && a_.h_init != nullptr && !starts_document(t, r)) {
      copy_row(to, static_cast<const T*>(a_.h_init) + ((b0_ + r) * a_.H + head_) * a_.D, a_.D);
    } else {
      zero_row(to, a_.D);
    }
  }

  void run_cells(int64_t t, int64_t r, T* dg) {
    const T* now = saved(t, r);
    const T* before = t > 0 ? saved(t - 1, r) : nullptr;
    const int64_t at = r * W_;
    const T* c = c_init_ + at;
    const T* n = n_init_ + at;
    if (starts_document(t, r)) {
      c = n = zeros_;
    } else if (before != nullptr) {
      c = before + kSavedC * W_;
      n = before + kSavedN * W_;
    }
    cell_row(now, W_, c, n, dg, dh_ + at, dc_ + at, dn_ + at);
  }

  void store_dwx(int64_t t, int64_t r, const T* dg) const {
    if (a_.dwx == nullptr) return;
    T* to = static_cast<T*>(a_.dwx) + (b0_ + r) * a_.dwx_stride_b + t * a_.dwx_stride_t +
            head_ * a_.dwx_stride_h;
    for (int64_t gate = 0; gate < 4; ++gate)
      copy_row(to + gate * a_.dwx_stride_g, dg + gate * W_, a_.D);
  }

  // dR += h^T dg and dbias += sum dg over the chunk's rows.
  void add_parameters(int64_t n) {
    if (a_.dR != nullptr)
      panel_product<T>(a_.D, n, 4 * W_ / kLanes<T>, {chunk_h_, 1, W_},
                       {chunk_g_, kLanes<T>, 4 * W_}, dR_, 4 * W_);
    if (a_.dbias == nullptr) return;
    for (int64_t x = 0; x < n; ++x)
      for (int64_t j = 0; j < 4 * W_; ++j) dbias_[j] += chunk_g_[x * 4 * W_ + j];
  }

  const xlstm_slstm_bwd_args& a_;
  const TaskPlan<T>& plan_;
  const int64_t head_, b0_, rows_, W_;
  const Panels<T> R_;
  T *dh_, *dc_, *dn_, *c_init_, *n_init_;  // [rows, W]
  T* zeros_;                               // [W]
  T *chunk_h_, *chunk_g_;                  // [chunk * rows, W] and [chunk * rows, 4, W]
  T *dR_, *dbias_;                         // [D, 4, W] and [4, W], sums of this tile
};

// out[row] = the sum of the tiles' rows [4, W], tile after tile, without the padding.
template <class T>
void combine(T* out, const T* first, int64_t tile_stride, int64_t n_tiles, int64_t D, int64_t W) {
  for (int64_t gate = 0; gate < 4; ++gate) {
    T* to = out + gate * D;
    zero_row(to, D);
    for (int64_t tile = 0; tile < n_tiles; ++tile) {
      const T* from = first + tile * tile_stride + gate * W;
      for (int64_t j = 0; j < D; ++j) to[j] += from[j];
    }
  }
}

template <class T>
void backward(const xlstm_slstm_bwd_args& a, void* workspace) {
  const TaskPlan<T> plan(a);
  const T* R = static_cast<const T*>(a.R);
  T* transposed = static_cast<T*>(workspace);
  T* memory = transposed + a.H * plan.transposed;
  const int64_t per_task = plan.per_task(), n_tiles = plan.tiles.tiles;
  // Tasks run over heads first; the tiles of one head are H tasks apart.
  const int64_t tile_stride = a.H * per_task;
  const bool is_small = a.B * a.T * a.H * a.D * a.D < 32 * 1024;
#pragma omp parallel if (!is_small)
  {
    if (plan.transposed > 0) {
#pragma omp for schedule(static)
      for (int64_t h = 0; h < a.H; ++h)
        pack_transposed(R + h * a.D * 4 * a.D, a.D, transposed + h * plan.transposed);
    }
#pragma omp for schedule(dynamic, 1)
    for (int64_t task = 0; task < plan.tiles.tasks; ++task) {
      const int64_t head = task % a.H, b0 = task / a.H * plan.tiles.rows;
      BackwardTask<T>(a, plan, head, b0, std::min(plan.tiles.rows, a.B - b0),
                      transposed + head * plan.transposed, memory + task * per_task)
          .run();
    }
    if (a.dR != nullptr) {
#pragma omp for schedule(static)
      for (int64_t row = 0; row < a.H * a.D; ++row) {
        const T* first = memory + row / a.D * per_task + plan.states + plan.chunk_h + plan.chunk_g;
        combine(static_cast<T*>(a.dR) + row * 4 * a.D, first + row % a.D * 4 * plan.W, tile_stride,
                n_tiles, a.D, plan.W);
      }
    }
    if (a.dbias != nullptr) {
#pragma omp for schedule(static)
      for (int64_t h = 0; h < a.H; ++h)
        combine(static_cast<T*>(a.dbias) + h * 4 * a.D, memory + (h + 1) * per_task - plan.dbias,
                tile_stride, n_tiles, a.D, plan.W);
    }
  }
}

}  // namespace
}  // namespace xlstm::kernels

using namespace xlstm::kernels;

int64_t xlstm_slstm_bwd_workspace_cpu(const xlstm_slstm_bwd_args* args) {
  return Cpu::workspace(args, xlstm_slstm_bwd_check, [&]<class T>(Element<T>) {
    return TaskPlan<T>(*args).total(args->H) * int64_t{sizeof(T)};
  });
}

xlstm_status xlstm_slstm_bwd_cpu(const xlstm_slstm_bwd_args* args, xlstm_exec exec) {
  return Cpu::run(args, xlstm_slstm_bwd_check, exec, xlstm_slstm_bwd_workspace_cpu,
                  [&]<class T>(Element<T>) {
                    if (args->variant != XLSTM_SLSTM_AUTO) return XLSTM_BAD_VARIANT;
                    backward<T>(*args, exec.workspace);
                    return XLSTM_OK;
                  });
}
