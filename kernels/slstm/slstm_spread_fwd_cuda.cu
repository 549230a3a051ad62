// The forward of spread heads; how blocks work together is told in slstm_spread_cuda.cuh.
#include "kernels/slstm/slstm_spread_cuda.cuh"

namespace xlstm::kernels {
namespace {

// A block owns all four gates of U units: M = 4 U sums per row. Short types: a warp has 16 units
// and one of kParts shares of the vector.
template <class T, int U>
struct Shape {
  static constexpr bool kShort = sizeof(T) == 2;
  static constexpr int kM = 4 * U;
  static constexpr int kUnitGroups = kShort ? U / 16 : 1;
  static constexpr int kParts = kShort ? kSpreadWarps / kUnitGroups : kSpreadThreads / kM;
  // Registers allow a thread one pair of neighbouring units.
  static constexpr int kMostRows = kShort ? 2 * kSpreadThreads / U : 8;
};

struct Packed {
  bool wx, h;
};

template <class T, int U>
struct Forward {
  using S = Shape<T, U>;
  using Math = typename SlstmMathOf<T>::type;

  const xlstm_slstm_fwd_args& a;
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

  // The initial h as the vector of step 0, and zeros around it.
  __device__ void first_vector() const {
    const float* h = static_cast<const float*>(a.h_init);
    const int64_t n = plan.rows * plan.pitch;
    for (int64_t x = threadIdx.x; x < n; x += kSpreadThreads) {
      const int64_t row = x / plan.pitch, k = x % plan.pitch;
      const bool there = h != nullptr && row < n_rows && k < a.D;
      vector[x] = from_float<T>(there ? h[((b0 + row) * a.H + head) * a.D + k] : 0.0f);
    }
  }

  template <class R>
  __device__ void product(const R& weights) const {
    const int rows = static_cast<int>(plan.rows);
    if constexpr (!S::kShort) {
      weights.multiply(vector, plan.pitch, plan.width, parts, rows);
    } else {
      const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
      const int part = warp / S::kUnitGroups, unit = warp % S::kUnitGroups * 16 + lane / 4 * 2;
      const int n_k = static_cast<int>(plan.k_tiles);
      for (int row0 = 0; row0 < rows; row0 += 8) {
        float sums[4][4];
        weights.multiply(vector + row0 * plan.pitch + part * n_k * 16, plan.pitch, n_k, sums);
        float* to = parts + (part * rows + row0 + lane % 4 * 2) * kSpreadPartPitch<S::kM> + unit;
#pragma unroll
        for (int gate = 0; gate < 4; ++gate)
#pragma unroll
          for (int e = 0; e < 2; ++e)
            *reinterpret_cast<float2*>(to + e * kSpreadPartPitch<S::kM> + gate * U) =
                make_float2(sums[gate / 2][gate % 2 * 2 + e], sums[2 + gate / 2][gate % 2 * 2 + e]);
      }
    }
  }

  template <class R>
  __device__ void run(const R& weights) const {
    const float clip = slstm_clip_of(a.forward_clip);
    const Place x = place();
    SlstmPair s = {};
    float bias[4][2] = {};
    if (x.mine) {
      slstm_load_state(s.h, a.h_init, state_at(x), x.both);
      slstm_load_state(s.c, a.c_init, state_at(x), x.both);
      slstm_load_state(s.n, a.n_init, state_at(x), x.both);
      slstm_load_state(s.m, a.m_init, state_at(x), x.both);
      for (int gate = 0; gate < 4 && a.bias != nullptr; ++gate)
        for (int u = 0; u < (x.both ? 2 : 1); ++u)
          bias[gate][u] =
              load_as_float(a.bias, a.weight_dtype, (head * 4 + gate) * a.D + unit0 + x.unit + u);
    }
    first_vector();
    for (int64_t t = 0; t < a.T; ++t) {
      float2 wx[4];
      const bool fresh = x.mine && a.reset != nullptr && a.reset[(b0 + x.row) * a.T + t] != 0;
      load_inputs(t, x, wx);
      if (t > 0)
        spread_gather<T>(exchange.row(t - 1, head, b0), exchange.n_words, n_rows,
                         static_cast<uint32_t>(t), vector, plan.pitch);
      __syncthreads();
      product(weights);
      __syncthreads();
      if (!x.in_vector) continue;
      float g[4][2], saved[kSlstmSaved][2];
#pragma unroll
      for (int gate = 0; gate < 4; ++gate) {
        const float2 sum = fresh ? make_float2(0, 0)
                                 : spread_sum<S::kM>(parts, S::kParts, static_cast<int>(plan.rows),
                                                     x.row, gate * U + x.unit);
        g[gate][0] = wx[gate].x + bias[gate][0] + sum.x;
        g[gate][1] = wx[gate].y + bias[gate][1] + sum.y;
      }
      if (fresh) s = SlstmPair{};
      slstm_step_pair<Math>(s, g, clip, saved);
      if (t + 1 < a.T)
        spread_send_pair<T>(exchange.row(t, head, b0 + x.row), unit0 + x.unit,
                            x.mine ? s.h[0] : 0.0f, x.both ? s.h[1] : 0.0f,
                            static_cast<uint32_t>(t + 1));
      if (!x.mine) continue;
      store_two(static_cast<T*>(a.h) + (b0 + x.row) * a.h_stride_b + t * a.h_stride_t +
                    head * a.h_stride_h + unit0 + x.unit,
                s.h[0], s.h[1], x.both, packed.h);
      if (a.saved != nullptr)
        slstm_save_pair(static_cast<float*>(a.saved) +
                            slstm_saved_at(a.B, a.T, a.D, head, t, b0 + x.row, unit0 + x.unit),
                        saved);
    }
    if (!x.mine) return;
    slstm_store_state(a.h_final, state_at(x), x.both, s.h);
    slstm_store_state(a.c_final, state_at(x), x.both, s.c);
    slstm_store_state(a.n_final, state_at(x), x.both, s.n);
    slstm_store_state(a.m_final, state_at(x), x.both, s.m);
  }

  __device__ void load_inputs(int64_t t, const Place& x, float2 (&wx)[4]) const {
#pragma unroll
    for (int gate = 0; gate < 4; ++gate) wx[gate] = make_float2(0, 0);
    if (!x.mine) return;
    const T* from = static_cast<const T*>(a.wx) + (b0 + x.row) * a.wx_stride_b + t * a.wx_stride_t +
                    head * a.wx_stride_h + unit0 + x.unit;
#pragma unroll
    for (int gate = 0; gate < 4; ++gate)
      wx[gate] = load_two(from + gate * a.wx_stride_g, x.both, packed.wx);
  }
};

// Gate columns of this block's units in float32, [width, 4 U].
template <int U>
__device__ void load_columns(const xlstm_slstm_fwd_args& a, const SpreadPlan& plan, int64_t head,
                             int64_t unit0, float* to) {
  const float* R = static_cast<const float*>(a.R) + head * a.D * 4 * a.D;
  for (int64_t x = threadIdx.x; x < plan.width * 4 * U; x += kSpreadThreads) {
    const int64_t unit = unit0 + x % U, gate = x / U % 4, k = x / (4 * U);
    to[x] = k < a.D && unit < a.D ? R[(k * 4 + gate) * a.D + unit] : 0.0f;
  }
}

template <class T, int U>
__global__ __launch_bounds__(kSpreadThreads,
                             1) void spread_forward(const xlstm_slstm_fwd_args a,
                                                    const SpreadPlan plan, uint64_t* words,
                                                    const uint4* fragments, const Packed packed) {
  using S = Shape<T, U>;
  extern __shared__ uint4 memory[];
  const int64_t member = blockIdx.x % plan.members, group = blockIdx.x / plan.members;
  T* vector = reinterpret_cast<T*>(memory);
  float* parts = reinterpret_cast<float*>(vector + plan.rows * plan.pitch);
  const SpreadExchange exchange{words, a.B, a.H, plan.width / kSpreadWord<T>};
  const auto item_run = [&](int64_t item, const auto& weights) {
    const int64_t head = item % a.H, b0 = item / a.H * plan.rows;
    const int n_rows = static_cast<int>(a.B - b0 < plan.rows ? a.B - b0 : plan.rows);
    Forward<T, U>{a, plan, exchange, packed, head, b0, member * U, n_rows, vector, parts}.run(
        weights);
  };
  int64_t loaded = -1;
  if constexpr (S::kShort) {
    SpreadFragments<T, 4, 8> weights;
    const int warp = threadIdx.x / 32, n_k = static_cast<int>(plan.k_tiles);
    const int64_t k_tiles = plan.k_tiles * S::kParts;
    for (int64_t item = group; item < plan.tiles * a.H; item += plan.groups) {
      const int64_t head = item % a.H;
      const int64_t mine = (head * plan.members + member) * S::kUnitGroups + warp % S::kUnitGroups;
      const int64_t first = mine * k_tiles + warp / S::kUnitGroups * n_k;
      if (head != loaded)
        weights.load(fragments, n_k, [&](int k, int m) { return (first + k) * 4 + m; });
      loaded = head;
      item_run(item, weights);
    }
  } else {
    float* R = parts + S::kParts * plan.rows * kSpreadPartPitch<S::kM>;
    for (int64_t item = group; item < plan.tiles * a.H; item += plan.groups) {
      const int64_t head = item % a.H;
      // The barrier of the last step's product has been passed: R is free.
      if (head != loaded) load_columns<U>(a, plan, head, member * U, R);
      loaded = head;
      item_run(item, SpreadColumns<S::kM>{R});
    }
  }
}

template <class T, int U>
SpreadPlan make_plan(const xlstm_slstm_fwd_args& a) {
  using S = Shape<T, U>;
  SpreadPlan plan{};
  plan.D = a.D;
  plan.B = a.B;
  plan.H = a.H;
  plan.width = slstm_round(a.D, 4);
  plan.units = U;
  plan.members = ceil_div(a.D, U);
  plan.k_tiles = slstm_round(ceil_div(ceil_div(plan.width, 16), S::kParts), 2);
  plan.vector = S::kShort ? plan.k_tiles * S::kParts * 16 : plan.width;
  plan.pitch = plan.vector + (S::kShort ? 8 : 4);
  plan.exchange_bytes = slstm_round(2 * a.H * a.B * plan.width / kSpreadWord<T> * 8, 256);
  plan.fragment_bytes =
      S::kShort ? SlstmFragments{plan.members * S::kUnitGroups, plan.k_tiles * S::kParts, 0}.bytes(
                      a.H, false)
                : 0;
  spread_fit(plan, spread_forward<T, U>, S::kMostRows, [&](int64_t rows) {
    return rows * plan.pitch * static_cast<int64_t>(sizeof(T)) +
           S::kParts * rows * kSpreadPartPitch<S::kM> * 4 +
           (S::kShort ? 0 : plan.width * S::kM * 4);
  });
  return plan;
}

template <class T, int U>
xlstm_status launch(const xlstm_slstm_fwd_args& a, const SpreadPlan& plan, void* workspace,
                    cudaStream_t stream) {
  using S = Shape<T, U>;
  unsigned char* words = static_cast<unsigned char*>(workspace);
  uint4* fragments = reinterpret_cast<uint4*>(words + plan.exchange_bytes);
  cudaMemsetAsync(words, 0, static_cast<size_t>(plan.exchange_bytes), stream);
  if (S::kShort) {
    const xlstm_status status = slstm_pack_fragments(
        a.R, a.weight_dtype, a.dtype, a.H, a.D,
        {plan.members * S::kUnitGroups, plan.k_tiles * S::kParts, 0}, false, fragments, stream);
    if (status != XLSTM_OK) return status;
  }
  const Packed packed{
      has_pairs<T>(a.D, a.wx, a.wx_stride_b, a.wx_stride_t, a.wx_stride_g, a.wx_stride_h),
      has_pairs<T>(a.D, a.h, a.h_stride_b, a.h_stride_t, a.h_stride_h)};
  return spread_launch(plan, spread_forward<T, U>, stream, a, plan,
                       reinterpret_cast<uint64_t*>(words), static_cast<const uint4*>(fragments),
                       packed);
}

// body(plan, launcher) with the cut for these sizes; plan.fits is false where there is none.
template <class Body>
auto with_plan(const xlstm_slstm_fwd_args& a, Body body) {
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

bool slstm_spread_fwd_fits(const xlstm_slstm_fwd_args& a) {
  if (a.T >= int64_t{1} << 31 || (a.dtype != XLSTM_F32 && a.D > 1024)) return false;
  return with_plan(a, [](const SpreadPlan& plan, auto) { return plan.fits; });
}

int64_t slstm_spread_fwd_workspace(const xlstm_slstm_fwd_args& a) {
  return with_plan(a, [](const SpreadPlan& plan, auto) {
    return plan.exchange_bytes + slstm_round(plan.fragment_bytes, 256);
  });
}

xlstm_status slstm_spread_fwd(const xlstm_slstm_fwd_args& a, void* workspace, cudaStream_t stream) {
  return with_plan(a, [&](const SpreadPlan& plan, auto launch_plan) {
    return launch_plan(a, plan, workspace, stream);
  });
}

}  // namespace xlstm::kernels
