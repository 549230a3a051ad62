// The backward of spread heads; how blocks work together is told in slstm_spread_cuda.cuh.
#include "kernels/slstm/slstm_spread_cuda.cuh"

namespace xlstm::kernels {
namespace {

// A block owns the dh of U units and needs the dg of all: M = U sums per row over 4 gates of
// `width`. Short types: a warp has all U units and one of 8 shares of the vector.
template <class T, int U>
struct Shape {
  static constexpr bool kShort = sizeof(T) == 2;
  static constexpr int kM = U;
  static constexpr int kTilesM = kShort ? U / 16 : 1;
  static constexpr int kParts = kShort ? kSpreadWarps : kSpreadThreads / kM;
  // Registers allow a thread one pair of neighbouring units.
  static constexpr int kMostRows = kShort ? 2 * kSpreadThreads / U : 8;
};

struct Packed {
  bool dh, dwx;
};

template <class T, int U>
struct Backward {
  using S = Shape<T, U>;
  using Math = typename SlstmMathOf<T>::type;

  const xlstm_slstm_bwd_args& a;
  const SpreadPlan& plan;
  const SpreadExchange exchange;
  const Packed packed;
  const int64_t head, b0, unit0;
  const int n_rows;
  T* vector;     // [rows, pitch]
  float* parts;  // [kParts, rows, M + 4]

  struct Place {
    int row, unit;
    bool in_vector, mine, both;
  };
  // This thread's pair. The vector's padding is somebody's too.
  __device__ Place place() const {
    const int row = threadIdx.x / (U / 2), unit = threadIdx.x % (U / 2) * 2;
    const bool has_row = row < n_rows;
    return {row, unit, has_row && unit0 + unit < plan.width, has_row && unit0 + unit < a.D,
            unit0 + unit + 1 < a.D};
  }
  __device__ int64_t state_at(const Place& x) const {
    return ((b0 + x.row) * a.H + head) * a.D + unit0 + x.unit;
  }
  __device__ bool starts_document(const Place& x, int64_t t) const {
    return x.mine && a.reset != nullptr && t < a.T && a.reset[(b0 + x.row) * a.T + t] != 0;
  }

  template <class R>
  __device__ void product(const R& weights) const {
    const int rows = static_cast<int>(plan.rows);
    if constexpr (!S::kShort) {
      weights.multiply(vector, plan.pitch, 4 * plan.width, parts, rows);
    } else {
      const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
      const int n_k = static_cast<int>(plan.k_tiles);
      for (int row0 = 0; row0 < rows; row0 += 8) {
        float sums[S::kTilesM][4];
        weights.multiply(vector + row0 * plan.pitch + warp * n_k * 16, plan.pitch, n_k, sums);
        float* to =
            parts + (warp * rows + row0 + lane % 4 * 2) * kSpreadPartPitch<S::kM> + lane / 4 * 2;
#pragma unroll
        for (int m = 0; m < S::kTilesM; ++m)
#pragma unroll
          for (int e = 0; e < 2; ++e)
            *reinterpret_cast<float2*>(to + e * kSpreadPartPitch<S::kM> + m * 16) =
                make_float2(sums[m][e], sums[m][2 + e]);
      }
    }
  }

  // dh of step t from the dg of step t + 1, which all blocks have sent or are sending.
  template <class R>
  __device__ void recurrent_part(int64_t t, const Place& x, const R& weights,
                                 float (&dh)[2]) const {
    if (a.recurrent_cut) {
      dh[0] = dh[1] = 0;
      return;
    }
    spread_gather<T>(exchange.row(t + 1, head, b0), exchange.n_words, n_rows, tag(t + 1), vector,
                     plan.pitch);
    __syncthreads();
    product(weights);
    __syncthreads();
    if (!x.mine) return;
    const float2 sum =
        spread_sum<S::kM>(parts, S::kParts, static_cast<int>(plan.rows), x.row, x.unit);
    const bool stop = starts_document(x, t + 1);
    dh[0] = stop ? 0.0f : sum.x;
    dh[1] = stop ? 0.0f : sum.y;
  }
  __device__ uint32_t tag(int64_t t) const {
    return static_cast<uint32_t>(a.T - t);
  }

  // What one pair needs of step t from memory.
  struct Inputs {
    float saved[kSlstmSaved][2], before[2][2];
    float2 dh;
    bool fresh;
  };
  __device__ void load_inputs(int64_t t, const Place& x, Inputs& in) const {
    if (!x.mine) return;
    in.fresh = starts_document(x, t);
    const float* saved = static_cast<const float*>(a.saved) +
                         slstm_saved_at(a.B, a.T, a.D, head, t, b0 + x.row, unit0 + x.unit);
    read_pairs(saved, in.saved);
    if (t > 0) {
      read_pairs(saved - a.B * kSlstmSaved * slstm_saved_width(a.D), in.before);
    } else {
      slstm_load_state(in.before[0], a.c_init, state_at(x), x.both);
      slstm_load_state(in.before[1], a.n_init, state_at(x), x.both);
    }
    if (in.fresh) in.before[0][0] = in.before[0][1] = in.before[1][0] = in.before[1][1] = 0;
    in.dh = make_float2(0, 0);
    if (a.dh != nullptr)
      in.dh = load_two(static_cast<const T*>(a.dh) + (b0 + x.row) * a.dh_stride_b +
                           t * a.dh_stride_t + head * a.dh_stride_h + unit0 + x.unit,
                       x.both, packed.dh);
  }
  template <int N>
  __device__ static void read_pairs(const float* from, float (&x)[N][2]) {
#pragma unroll
    for (int i = 0; i < N; ++i) {
      const float2 pair = *reinterpret_cast<const float2*>(from + i * kSlstmSavedUnits);
      x[i][0] = pair.x;
      x[i][1] = pair.y;
    }
  }

  // One pair's cells of step t; dc and dn become those of step t - 1.
  __device__ void cells(int64_t t, const Place& x, const Inputs& in, float clip,
                        const float (&dh)[2], float (&dc)[2], float (&dn)[2]) const {
    float dg[4][2] = {};
#pragma unroll
    for (int u = 0; u < 2; ++u) {
      if (u == 0 ? !x.mine : !x.both || !x.mine) continue;
      float saved[kSlstmSaved];
#pragma unroll
      for (int i = 0; i < kSlstmSaved; ++i) saved[i] = in.saved[i][u];
      const float whole = slstm_clamp(dh[u], clip) + (u == 0 ? in.dh.x : in.dh.y);
      const SlstmStepGrad<float> g =
          slstm_step_back<Math>(saved, in.before[0][u], in.before[1][u], whole, dc[u], dn[u]);
      dg[0][u] = g.i;
      dg[1][u] = g.f;
      dg[2][u] = g.z;
      dg[3][u] = g.o;
      dc[u] = in.fresh ? 0.0f : g.c;
      dn[u] = in.fresh ? 0.0f : g.n;
    }
    if (!a.recurrent_cut) {
#pragma unroll
      for (int gate = 0; gate < 4; ++gate)
        spread_send_pair<T>(exchange.row(t, head, b0 + x.row), gate * plan.width + unit0 + x.unit,
                            dg[gate][0], dg[gate][1], tag(t));
    }
    if (a.dwx == nullptr || !x.mine) return;
    T* to = static_cast<T*>(a.dwx) + (b0 + x.row) * a.dwx_stride_b + t * a.dwx_stride_t +
            head * a.dwx_stride_h + unit0 + x.unit;
#pragma unroll
    for (int gate = 0; gate < 4; ++gate)
      store_two(to + gate * a.dwx_stride_g, dg[gate][0], dg[gate][1], x.both, packed.dwx);
  }

  template <class R>
  __device__ void run(const R& weights) const {
    const float clip = slstm_clip_of(a.recurrent_clip);
    const Place x = place();
    float dh[2] = {}, dc[2] = {}, dn[2] = {};
    if (x.mine) {
      slstm_load_state(dh, a.dh_final, state_at(x), x.both);
      slstm_load_state(dc, a.dc_final, state_at(x), x.both);
      slstm_load_state(dn, a.dn_final, state_at(x), x.both);
    }
    // Rows and elements that no word fills stay zero.
    for (int64_t i = threadIdx.x; i < plan.rows * plan.pitch; i += kSpreadThreads)
      vector[i] = from_float<T>(0);
    __syncthreads();
    for (int64_t t = a.T - 1; t >= 0; --t) {
      Inputs in;
      load_inputs(t, x, in);
      if (t < a.T - 1) recurrent_part(t, x, weights, dh);
      if (x.in_vector) cells(t, x, in, clip, dh, dc, dn);
    }
    recurrent_part(-1, x, weights, dh);
    if (!x.mine) return;
    float c[2], n[2], dm[2];
    slstm_load_state(c, a.c_init, state_at(x), x.both);
    slstm_load_state(n, a.n_init, state_at(x), x.both);
    for (int u = 0; u < 2; ++u) dm[u] = c[u] * dc[u] + n[u] * dn[u];
    slstm_store_state(a.dh_init, state_at(x), x.both, dh);
    slstm_store_state(a.dc_init, state_at(x), x.both, dc);
    slstm_store_state(a.dn_init, state_at(x), x.both, dn);
    slstm_store_state(a.dm_init, state_at(x), x.both, dm);
  }
};

// Rows of R of this block's units in float32, transposed: [4 width, U].
template <int U>
__device__ void load_columns(const xlstm_slstm_bwd_args& a, const SpreadPlan& plan, int64_t head,
                             int64_t unit0, float* to) {
  const float* R = static_cast<const float*>(a.R) + head * a.D * 4 * a.D;
  const int64_t K = 4 * plan.width;
  for (int64_t x = threadIdx.x; x < K * U; x += kSpreadThreads) {
    // Neighbouring threads read along a row of R.
    const int64_t k = x % K, u = x / K, unit = unit0 + u;
    const int64_t gate = k / plan.width, j = k % plan.width;
    to[k * U + u] = unit < a.D && j < a.D ? R[(unit * 4 + gate) * a.D + j] : 0.0f;
  }
}

template <class T, int U>
__global__ __launch_bounds__(kSpreadThreads,
                             1) void spread_backward(const xlstm_slstm_bwd_args a,
                                                     const SpreadPlan plan, uint64_t* words,
                                                     const uint4* fragments, const Packed packed) {
  using S = Shape<T, U>;
  extern __shared__ uint4 memory[];
  const int64_t member = blockIdx.x % plan.members, group = blockIdx.x / plan.members;
  T* vector = reinterpret_cast<T*>(memory);
  float* parts = reinterpret_cast<float*>(vector + plan.rows * plan.pitch);
  const SpreadExchange exchange{words, a.B, a.H, 4 * plan.width / kSpreadWord<T>};
  const auto item_run = [&](int64_t item, const auto& weights) {
    const int64_t head = item % a.H, b0 = item / a.H * plan.rows;
    const int n_rows = static_cast<int>(a.B - b0 < plan.rows ? a.B - b0 : plan.rows);
    Backward<T, U>{a, plan, exchange, packed, head, b0, member * U, n_rows, vector, parts}.run(
        weights);
  };
  int64_t loaded = -1;
  if constexpr (S::kShort) {
    SpreadFragments<T, S::kTilesM, 32 / S::kTilesM> weights;
    const int warp = threadIdx.x / 32, n_k = static_cast<int>(plan.k_tiles);
    const int64_t k_tiles = plan.k_tiles * S::kParts;
    for (int64_t item = group; item < plan.tiles * a.H; item += plan.groups) {
      const int64_t head = item % a.H;
      const int64_t first_group = (head * plan.members + member) * S::kTilesM;
      if (head != loaded && !a.recurrent_cut)
        weights.load(fragments, n_k,
                     [&](int k, int m) { return (first_group + m) * k_tiles + warp * n_k + k; });
      loaded = head;
      item_run(item, weights);
    }
  } else {
    float* R = parts + S::kParts * plan.rows * kSpreadPartPitch<S::kM>;
    for (int64_t item = group; item < plan.tiles * a.H; item += plan.groups) {
      const int64_t head = item % a.H;
      // The barrier of the last product has been passed: R is free.
      if (head != loaded && !a.recurrent_cut) load_columns<U>(a, plan, head, member * U, R);
      loaded = head;
      item_run(item, SpreadColumns<S::kM>{R});
    }
  }
}

template <class T, int U>
SpreadPlan make_plan(const xlstm_slstm_bwd_args& a) {
  using S = Shape<T, U>;
  SpreadPlan plan{};
  plan.D = a.D;
  plan.B = a.B;
  plan.H = a.H;
  plan.width = slstm_round(a.D, 4);
  plan.units = U;
  plan.members = ceil_div(a.D, U);
  plan.k_tiles = slstm_round(ceil_div(ceil_div(4 * plan.width, 16), S::kParts), 2);
  plan.vector = S::kShort ? plan.k_tiles * S::kParts * 16 : 4 * plan.width;
  plan.pitch = plan.vector + (S::kShort ? 8 : 4);
  plan.exchange_bytes = slstm_round(2 * a.H * a.B * 4 * plan.width / kSpreadWord<T> * 8, 256);
  plan.fragment_bytes =
      S::kShort
          ? SlstmFragments{plan.members * S::kTilesM, plan.k_tiles * S::kParts, plan.width}.bytes(
                a.H, true)
          : 0;
  spread_fit(plan, spread_backward<T, U>, S::kMostRows, [&](int64_t rows) {
    return rows * plan.pitch * static_cast<int64_t>(sizeof(T)) +
           S::kParts * rows * kSpreadPartPitch<S::kM> * 4 +
           (S::kShort ? 0 : 4 * plan.width * S::kM * 4);
  });
  return plan;
}

template <class T, int U>
xlstm_status launch(const xlstm_slstm_bwd_args& a, const SpreadPlan& plan, void* workspace,
                    cudaStream_t stream) {
  using S = Shape<T, U>;
  unsigned char* words = static_cast<unsigned char*>(workspace);
  uint4* fragments = reinterpret_cast<uint4*>(words + plan.exchange_bytes);
  cudaMemsetAsync(words, 0, static_cast<size_t>(plan.exchange_bytes), stream);
  if (S::kShort && !a.recurrent_cut) {
    const xlstm_status status = slstm_pack_fragments(
        a.R, a.weight_dtype, a.dtype, a.H, a.D,
        {plan.members * S::kTilesM, plan.k_tiles * S::kParts, plan.width}, true, fragments, stream);
    if (status != XLSTM_OK) return status;
  }
  const Packed packed{
      has_pairs<T>(a.D, a.dh, a.dh_stride_b, a.dh_stride_t, a.dh_stride_h),
      has_pairs<T>(a.D, a.dwx, a.dwx_stride_b, a.dwx_stride_t, a.dwx_stride_g, a.dwx_stride_h)};
  return spread_launch(plan, spread_backward<T, U>, stream, a, plan,
                       reinterpret_cast<uint64_t*>(words), static_cast<const uint4*>(fragments),
                       packed);
}

// body(plan, launcher) with the cut for these sizes; plan.fits is false where there is none.
template <class Body>
auto with_plan(const xlstm_slstm_bwd_args& a, Body body) {
  const auto with = [&](auto element, auto units) {
    using T = typename decltype(element)::type;
    constexpr int U = decltype(units)::value;
    return body(make_plan<T, U>(a), launch<T, U>);
  };
  const auto with_short = [&](auto element) {
    if (a.D <= 256) return with(element, std::integral_constant<int, 64>());
    if (a.D <= 512) return with(element, std::integral_constant<int, 32>());
    return with(element, std::integral_constant<int, 16>());
  };
  if (a.dtype == XLSTM_BF16) return with_short(Element<bf16>());
  if (a.dtype == XLSTM_F16) return with_short(Element<f16>());
  if (make_plan<float, 16>(a).fits)
    return with(Element<float>(), std::integral_constant<int, 16>());
  return with(Element<float>(), std::integral_constant<int, 8>());
}

}  // namespace

bool slstm_spread_bwd_fits(const xlstm_slstm_bwd_args& a) {
  if (a.T >= int64_t{1} << 31 || (a.dtype != XLSTM_F32 && a.D > 1024)) return false;
  return with_plan(a, [](const SpreadPlan& plan, auto) { return plan.fits; });
}

int64_t slstm_spread_bwd_workspace(const xlstm_slstm_bwd_args& a) {
  return with_plan(a, [](const SpreadPlan& plan, auto) {
    return plan.exchange_bytes + slstm_round(plan.fragment_bytes, 256);
  });
}

xlstm_status slstm_spread_bwd(const xlstm_slstm_bwd_args& a, void* workspace, cudaStream_t stream) {
  return with_plan(a, [&](const SpreadPlan& plan, auto launch_plan) {
    return launch_plan(a, plan, workspace, stream);
  });
}

}  // namespace xlstm::kernels
