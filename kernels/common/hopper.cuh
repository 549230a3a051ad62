// What Hopper (sm_90a) adds: barriers in shared memory that count arrivals and bytes, the copy
// engine for tiles (TMA), and matrix products of a warpgroup, 128 threads, from shared memory
// (wgmma).
//
// Tiles in shared memory are panels of 64 columns of 16-bit elements: rows of 128 bytes, whose
// pieces of 16 bytes are swizzled as both engines understand it: piece p of row r is stored at
// p ^ (r % 8). A panel begins at a multiple of 1024 bytes.
#pragma once

#include <cuda.h>

#include "kernels/common/mma.cuh"

namespace xlstm::kernels::hopper {

constexpr int kPanelCols = 64;
constexpr int kPanelRowBytes = 128;

// Where the 16-byte piece of a row lies in a panel, in bytes.
__device__ inline int piece_at(int row, int piece) {
  return row * kPanelRowBytes + ((piece ^ (row & 7)) << 4);
}

// ---- barriers ----

// Ordinary writes to shared memory by this thread become visible to wgmma and the copy engine, once
// a barrier has ordered them.
__device__ inline void fence_async_proxy() {
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
}

// A barrier's phase ends when `count` threads have arrived and all expected bytes are there.
__device__ inline void barrier_init(uint64_t* barrier, int count) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(shared_address(barrier)), "r"(count)
               : "memory");
}
// Makes initialised barriers visible to the copy engine.
__device__ inline void barrier_init_fence() {
  asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
  fence_async_proxy();
}
__device__ inline void barrier_arrive(uint64_t* barrier) {
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(shared_address(barrier))
               : "memory");
}
__device__ inline void barrier_arrive_expect(uint64_t* barrier, int bytes) {
  asm volatile(
      "mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(shared_address(barrier)),
      "r"(bytes)
      : "memory");
}
// Waits until the phase of this parity has ended.
__device__ inline void barrier_wait(uint64_t* barrier, int parity) {
  asm volatile(
      "{\n"
      ".reg .pred done;\n"
      "again:\n"
      "mbarrier.try_wait.parity.shared::cta.b64 done, [%0], %1;\n"
      "@!done bra again;\n"
      "}" ::"r"(shared_address(barrier)),
      "r"(parity)
      : "memory");
}

// Waits for `threads` threads that name the same barrier, 1 to 15 (0 is __syncthreads). A warp
// counts as a whole each time that a part of it comes, so its lanes come together.
__device__ inline void named_barrier(int id, int threads) {
  __syncwarp();
  asm volatile("bar.sync %0, %1;" ::"r"(id), "r"(threads) : "memory");
}

// ---- registers ----

template <int kCount>
__device__ inline void take_registers() {
  asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(kCount));
}
template <int kCount>
__device__ inline void leave_registers() {
  asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(kCount));
}

// ---- the copy engine ----

// A box of a tensor map of four dimensions, the first of them dense. Completes on the barrier.
__device__ inline void load_box(void* to, const CUtensorMap& map, uint64_t* barrier, int x0, int x1,
                                int x2, int x3) {
  asm volatile(
      "cp.async.bulk.tensor.4d.shared::cluster.global.tile.mbarrier::complete_tx::bytes "
      "[%0], [%1, {%3, %4, %5, %6}], [%2];" ::"r"(shared_address(to)),
      "l"(&map), "r"(shared_address(barrier)), "r"(x0), "r"(x1), "r"(x2), "r"(x3)
      : "memory");
}
// `bytes`, a multiple of 16, both places aligned to 16. Completes on the barrier.
__device__ inline void load_bytes(void* to, const void* from, int bytes, uint64_t* barrier) {
  asm volatile(
      "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::
          "r"(shared_address(to)),
      "l"(from), "r"(bytes), "r"(shared_address(barrier))
      : "memory");
}
// From shared memory into the tensor; what lies outside of it is not written.
__device__ inline void store_box(const CUtensorMap& map, const void* from, int x0, int x1, int x2,
                                 int x3) {
  asm volatile(
      "cp.async.bulk.tensor.4d.global.shared::cta.tile.bulk_group [%0, {%2, %3, %4, %5}], [%1];" ::
          "l"(&map),
      "r"(shared_address(from)), "r"(x0), "r"(x1), "r"(x2), "r"(x3)
      : "memory");
}
__device__ inline void commit_stores() {
  asm volatile("cp.async.bulk.commit_group;" ::: "memory");
}
// Waits until at most kPending groups of this thread's stores still read shared memory.
template <int kPending>
__device__ inline void wait_stores_read() {
  asm volatile("cp.async.bulk.wait_group.read %0;" ::"n"(kPending) : "memory");
}
// The same until they are written.
template <int kPending>
__device__ inline void wait_stores() {
  asm volatile("cp.async.bulk.wait_group %0;" ::"n"(kPending) : "memory");
}

// Four 8x8 matrices to shared memory, each transposed; register j as load_matrices has it.
__device__ inline void store_matrices_transposed(void* row, uint32_t r0, uint32_t r1, uint32_t r2,
                                                 uint32_t r3) {
  asm volatile("stmatrix.sync.aligned.m8n8.x4.trans.shared.b16 [%0], {%1,%2,%3,%4};" ::"r"(
                   shared_address(row)),
               "r"(r0), "r"(r1), "r"(r2), "r"(r3)
               : "memory");
}

// ---- products of a warpgroup ----

// An operand in panels. Dense along the summed dimension (k-major): `step` is not used, 8 rows are
// 1024 bytes apart. Dense along the other one (mn-major): the next panel of it is `step` bytes on,
// 8 steps of the sum are 1024 bytes apart.
__device__ inline uint64_t operand(const void* p, int step) {
  const uint64_t address = (shared_address(p) & 0x3ffff) >> 4;
  return address | static_cast<uint64_t>(step >> 4) << 16 | uint64_t{1024 >> 4} << 32 |
         uint64_t{1} << 62;
}

// Before the first product after registers of a product were touched.
__device__ inline void products_begin() {
  asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
}
__device__ inline void products_commit() {
  asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
}
template <int kPending>
__device__ inline void products_wait() {
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(kPending) : "memory");
}

// The compiler must not move reads or writes of these registers across.
template <int N>
__device__ inline void hold(float (&d)[N]) {
#pragma unroll
  for (int i = 0; i < N; ++i) asm volatile("" : "+f"(d[i])::"memory");
}

#define XLSTM_D8(d, i)                                                                        \
  "+f"(d[i]), "+f"(d[i + 1]), "+f"(d[i + 2]), "+f"(d[i + 3]), "+f"(d[i + 4]), "+f"(d[i + 5]), \
      "+f"(d[i + 6]), "+f"(d[i + 7])
#define XLSTM_D32(d) XLSTM_D8(d, 0), XLSTM_D8(d, 8), XLSTM_D8(d, 16), XLSTM_D8(d, 24)
#define XLSTM_D32_LIST                                                                     \
  "%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15,%16,%17,%18,%19,%20,%21,%22,%23," \
  "%24,%25,%26,%27,%28,%29,%30,%31"
#define XLSTM_D32_NAMES "{" XLSTM_D32_LIST "}"
#define XLSTM_D36(d) XLSTM_D32(d), "+f"(d[32]), "+f"(d[33]), "+f"(d[34]), "+f"(d[35])
#define XLSTM_D36_NAMES "{" XLSTM_D32_LIST ",%32,%33,%34,%35}"

// d [64,64] (+)= a [64,16] b [16,64], both in shared memory, k-major. Of d thread t has the
// elements of multiply_16x8x16 for rows 16 (t / 32) .. and columns 8 j ..: d[4 j + e]. The sum
// begins at zero unless `add`.
template <class T>
__device__ inline void multiply_64x64(float (&d)[32], uint64_t a, uint64_t b, bool add) {
  if constexpr (std::is_same_v<T, bf16>) {
    asm volatile(
        "{.reg .pred p; setp.ne.b32 p, %34, 0;\n"
        "wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 " XLSTM_D32_NAMES
        ", %32, %33, p, 1, 1, 0, 0;}"
        : XLSTM_D32(d)
        : "l"(a), "l"(b), "r"(static_cast<int>(add)));
  } else {
    asm volatile(
        "{.reg .pred p; setp.ne.b32 p, %34, 0;\n"
        "wgmma.mma_async.sync.aligned.m64n64k16.f32.f16.f16 " XLSTM_D32_NAMES
        ", %32, %33, p, 1, 1, 0, 0;}"
        : XLSTM_D32(d)
        : "l"(a), "l"(b), "r"(static_cast<int>(add)));
  }
}

// The same with a in registers: of warp w its rows 16 w .. as multiply_16x8x16 has them.
// kTransposed: b is mn-major, dense along its 64 columns.
template <class T, bool kTransposed>
__device__ inline void multiply_64x64(float (&d)[32], const uint32_t (&a)[4], uint64_t b,
                                      bool add) {
  if constexpr (std::is_same_v<T, bf16>) {
    asm volatile(
        "{.reg .pred p; setp.ne.b32 p, %37, 0;\n"
        "wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 " XLSTM_D32_NAMES
        ", {%32,%33,%34,%35}, %36, p, 1, 1, %38;}"
        : XLSTM_D32(d)
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(static_cast<int>(add)),
          "n"(kTransposed ? 1 : 0));
  } else {
    asm volatile(
        "{.reg .pred p; setp.ne.b32 p, %37, 0;\n"
        "wgmma.mma_async.sync.aligned.m64n64k16.f32.f16.f16 " XLSTM_D32_NAMES
        ", {%32,%33,%34,%35}, %36, p, 1, 1, %38;}"
        : XLSTM_D32(d)
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(static_cast<int>(add)),
          "n"(kTransposed ? 1 : 0));
  }
}

// multiply_64x64 with 72 rows of b.
template <class T>
__device__ inline void multiply_64x72(float (&d)[36], uint64_t a, uint64_t b, bool add) {
  if constexpr (std::is_same_v<T, bf16>) {
    asm volatile(
        "{.reg .pred p; setp.ne.b32 p, %38, 0;\n"
        "wgmma.mma_async.sync.aligned.m64n72k16.f32.bf16.bf16 " XLSTM_D36_NAMES
        ", %36, %37, p, 1, 1, 0, 0;}"
        : XLSTM_D36(d)
        : "l"(a), "l"(b), "r"(static_cast<int>(add)));
  } else {
    asm volatile(
        "{.reg .pred p; setp.ne.b32 p, %38, 0;\n"
        "wgmma.mma_async.sync.aligned.m64n72k16.f32.f16.f16 " XLSTM_D36_NAMES
        ", %36, %37, p, 1, 1, 0, 0;}"
        : XLSTM_D36(d)
        : "l"(a), "l"(b), "r"(static_cast<int>(add)));
  }
}
#define XLSTM_D64(d) \
  XLSTM_D32(d), XLSTM_D8(d, 32), XLSTM_D8(d, 40), XLSTM_D8(d, 48), XLSTM_D8(d, 56)
#define XLSTM_D64_NAMES                                               \
  "{" XLSTM_D32_LIST                                                  \
  ",%32,%33,%34,%35,%36,%37,%38,%39,%40,%41,%42,%43,%44,%45,%46,%47," \
  "%48,%49,%50,%51,%52,%53,%54,%55,%56,%57,%58,%59,%60,%61,%62,%63}"

// d [64,128] += a^T b for a [16,64], b [16,128], both mn-major in shared memory.
template <class T>
__device__ inline void multiply_64x128_transposed(float (&d)[64], uint64_t a, uint64_t b) {
  if constexpr (std::is_same_v<T, bf16>) {
    asm volatile("wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 " XLSTM_D64_NAMES
                 ", %64, %65, 1, 1, 1, 1, 1;"
                 : XLSTM_D64(d)
                 : "l"(a), "l"(b));
  } else {
    asm volatile("wgmma.mma_async.sync.aligned.m64n128k16.f32.f16.f16 " XLSTM_D64_NAMES
                 ", %64, %65, 1, 1, 1, 1, 1;"
                 : XLSTM_D64(d)
                 : "l"(a), "l"(b));
  }
}
#undef XLSTM_D64
#undef XLSTM_D64_NAMES
#undef XLSTM_D8
#undef XLSTM_D32
#undef XLSTM_D32_LIST
#undef XLSTM_D32_NAMES
#undef XLSTM_D36
#undef XLSTM_D36_NAMES

// d[64 x 8] (+)= A^T B^T with A [16 x 64] as of a transposed operand, b of 8 rows.
template <class T>
__device__ inline void multiply_64x8_transposed(float (&d)[4], uint64_t a, uint64_t b, bool add) {
  if constexpr (std::is_same_v<T, bf16>) {
    asm volatile(
        "{.reg .pred p; setp.ne.b32 p, %6, 0;\n"
        "wgmma.mma_async.sync.aligned.m64n8k16.f32.bf16.bf16 {%0,%1,%2,%3}, %4, %5, p, 1, 1, 1, 0;}"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "l"(a), "l"(b), "r"(static_cast<int>(add)));
  } else {
    asm volatile(
        "{.reg .pred p; setp.ne.b32 p, %6, 0;\n"
        "wgmma.mma_async.sync.aligned.m64n8k16.f32.f16.f16 {%0,%1,%2,%3}, %4, %5, p, 1, 1, 1, 0;}"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "l"(a), "l"(b), "r"(static_cast<int>(add)));
  }
}

// 2^x, subnormal results as 0.
__device__ inline float exp2_fast(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}
// log2 x and 1 / x for x that is not subnormal.
__device__ inline float log2_fast(float x) {
  float y;
  asm("lg2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}
__device__ inline float reciprocal_fast(float x) {
  float y;
  asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

// ---- kernels that overlap (programmatic dependent launch) ----

// The next kernel may begin once all blocks have come here.
__device__ inline void let_next_begin() {
  asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
}
// Until the kernel launched before, which let this one begin, is through and its writes are seen.
__device__ inline void wait_for_previous() {
  asm volatile("griddepcontrol.wait;" ::: "memory");
}

// ---- clusters: blocks that write into each other's shared memory ----

// All threads of the cluster; what they wrote before is seen by all after.
__device__ inline void cluster_sync() {
  asm volatile("barrier.cluster.arrive.release.aligned;\nbarrier.cluster.wait.acquire.aligned;" ::
                   : "memory");
}
// The place that has this address in this block, in block `rank` of the cluster.
__device__ inline uint32_t address_in_block(uint32_t address, int rank) {
  uint32_t there;
  asm("mapa.shared::cluster.u32 %0, %1, %2;" : "=r"(there) : "r"(address), "r"(rank));
  return there;
}
// Stores on their way to another block (or this one): the thread goes on, and the bytes count
// towards the phase of a barrier of the block that gets them, which waits for it with barrier_wait.
// Addresses as address_in_block has.
__device__ inline void store_async(uint32_t to, uint4 x, uint32_t barrier) {
  asm volatile(
      "st.async.weak.shared::cluster.mbarrier::complete_tx::bytes.v4.b32 [%0], {%1,%2,%3,%4}, "
      "[%5];" ::"r"(to),
      "r"(x.x), "r"(x.y), "r"(x.z), "r"(x.w), "r"(barrier)
      : "memory");
}
__device__ inline void store_async(uint32_t to, float x, float y, uint32_t barrier) {
  asm volatile(
      "st.async.weak.shared::cluster.mbarrier::complete_tx::bytes.v2.b32 [%0], {%1,%2}, [%3];" ::
          "r"(to),
      "r"(__float_as_uint(x)), "r"(__float_as_uint(y)), "r"(barrier)
      : "memory");
}
__device__ inline void store_async(uint32_t to, float x, uint32_t barrier) {
  asm volatile(
      "st.async.weak.shared::cluster.mbarrier::complete_tx::bytes.b32 [%0], %1, [%2];" ::"r"(to),
      "r"(__float_as_uint(x)), "r"(barrier)
      : "memory");
}

// ---- shared memory by its 32-bit address: what a loop keeps in one register ----

// The compiler knows no more of x than that it is there: it stays in a register instead of being
// computed again at every use.
__device__ inline uint32_t keep(uint32_t x) {
  asm volatile("" : "+r"(x));
  return x;
}
// As load_matrices and load_matrices_transposed; one matrix, transposed.
__device__ inline void load_matrices(uint32_t (&r)[4], uint32_t row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(row)
               : "memory");
}
__device__ inline void load_matrices_transposed(uint32_t (&r)[4], uint32_t row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(row)
               : "memory");
}
__device__ inline uint32_t load_matrix_transposed(uint32_t row) {
  uint32_t r;
  asm volatile("ldmatrix.sync.aligned.m8n8.x1.trans.shared.b16 {%0}, [%1];"
               : "=r"(r)
               : "r"(row)
               : "memory");
  return r;
}
// As store_matrices_transposed; one matrix, whose rows lanes 0 to 7 give.
__device__ inline void store_matrices_transposed(uint32_t row, uint32_t r0, uint32_t r1,
                                                 uint32_t r2, uint32_t r3) {
  asm volatile("stmatrix.sync.aligned.m8n8.x4.trans.shared.b16 [%0], {%1,%2,%3,%4};" ::"r"(row),
               "r"(r0), "r"(r1), "r"(r2), "r"(r3)
               : "memory");
}
__device__ inline void store_matrix_transposed(uint32_t row, uint32_t r0) {
  asm volatile("stmatrix.sync.aligned.m8n8.x1.trans.shared.b16 [%0], {%1};" ::"r"(row), "r"(r0)
               : "memory");
}
__device__ inline uint4 load_16_bytes(uint32_t from) {
  uint4 x;
  asm volatile("ld.shared.v4.b32 {%0,%1,%2,%3}, [%4];"
               : "=r"(x.x), "=r"(x.y), "=r"(x.z), "=r"(x.w)
               : "r"(from)
               : "memory");
  return x;
}
__device__ inline float load_float(uint32_t from) {
  float x;
  asm volatile("ld.shared.f32 %0, [%1];" : "=f"(x) : "r"(from) : "memory");
  return x;
}
__device__ inline float2 load_floats(uint32_t from) {
  float2 x;
  asm volatile("ld.shared.v2.f32 {%0,%1}, [%2];" : "=f"(x.x), "=f"(x.y) : "r"(from) : "memory");
  return x;
}
// As copy_16_async.
__device__ inline void copy_16_async(uint32_t to, const void* from) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(to), "l"(from) : "memory");
}

}  // namespace xlstm::kernels::hopper
