// Matrix products by cuBLASLt. Algorithms are asked for once per problem and remembered.
#include <algorithm>
#include <map>
#include <mutex>
#include <optional>
#include <tuple>

#include "core/cuda/check.h"
#include "core/cuda/stream.h"
#include "core/op_scope.h"
#include "core/storage.h"

namespace xlstm::cuda {
namespace {

constexpr size_t kWorkspaceBytes = size_t{32} << 20;

cudaDataType_t type_of(DType dtype) {
  switch (dtype) {
    case DType::f32:
      return CUDA_R_32F;
    case DType::bf16:
      return CUDA_R_16BF;
    case DType::f16:
      return CUDA_R_16F;
    default:
      throw_error<ShapeError>("matmul: element type is not supported on cuda, got ", name_of(dtype),
                              ", expected float32, bfloat16 or float16");
  }
}

// The largest power of two up to 256 that divides an address and its strides in bytes.
uint32_t alignment_of(const void* p, int64_t ld, int64_t stride, int64_t element) {
  auto bits = reinterpret_cast<uintptr_t>(p) | static_cast<uintptr_t>(ld * element) |
              static_cast<uintptr_t>(stride * element) | 256u;
  return static_cast<uint32_t>(bits & (~bits + 1));
}

// cuBLASLt descriptors of one problem. It reads columns first, so that our y = a b is its
// y^T = b^T a^T: its first matrix is b and its second a.
struct Problem {
  cublasLtMatmulDesc_t operation = nullptr;
  cublasLtMatrixLayout_t first = nullptr, second = nullptr, result = nullptr;

  explicit Problem(const Product& p) {
    check(cublasLtMatmulDescCreate(&operation, CUBLAS_COMPUTE_32F, CUDA_R_32F), "matmul");
    set(CUBLASLT_MATMUL_DESC_TRANSA, p.trans_b ? CUBLAS_OP_T : CUBLAS_OP_N);
    set(CUBLASLT_MATMUL_DESC_TRANSB, p.trans_a ? CUBLAS_OP_T : CUBLAS_OP_N);
    if (p.bias != nullptr) {
      set(CUBLASLT_MATMUL_DESC_EPILOGUE, CUBLASLT_EPILOGUE_BIAS);
      set(CUBLASLT_MATMUL_DESC_BIAS_POINTER, p.bias);
      set(CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, type_of(p.y_dtype));
    }
    first =
        layout(p.dtype, p.trans_b ? p.K : p.N, p.trans_b ? p.N : p.K, p.b_ld, p.batch, p.b_stride);
    second =
        layout(p.dtype, p.trans_a ? p.M : p.K, p.trans_a ? p.K : p.M, p.a_ld, p.batch, p.a_stride);
    result = layout(p.y_dtype, p.N, p.M, p.y_ld, p.batch, p.y_stride);
  }
  ~Problem() {
    cublasLtMatrixLayoutDestroy(result);
    cublasLtMatrixLayoutDestroy(second);
    cublasLtMatrixLayoutDestroy(first);
    cublasLtMatmulDescDestroy(operation);
  }
  Problem(const Problem&) = delete;
  Problem& operator=(const Problem&) = delete;

 private:
  template <class T>
  void set(cublasLtMatmulDescAttributes_t attribute, T value) {
    check(cublasLtMatmulDescSetAttribute(operation, attribute, &value, sizeof(value)), "matmul");
  }

  static cublasLtMatrixLayout_t layout(DType dtype, int64_t rows, int64_t columns, int64_t ld,
                                       int64_t batch, int64_t stride) {
    cublasLtMatrixLayout_t made = nullptr;
    check(cublasLtMatrixLayoutCreate(&made, type_of(dtype), static_cast<uint64_t>(rows),
                                     static_cast<uint64_t>(columns), ld),
          "matmul");
    const auto count = static_cast<int32_t>(batch);
    check(cublasLtMatrixLayoutSetAttribute(made, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, &count,
                                           sizeof(count)),
          "matmul");
    check(cublasLtMatrixLayoutSetAttribute(made, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET,
                                           &stride, sizeof(stride)),
          "matmul");
    return made;
  }
};

// What decides the algorithm.
auto key_of(const Product& p, Device device, uint32_t align_a, uint32_t align_b, uint32_t align_y) {
  return std::make_tuple(device.index, p.dtype, p.y_dtype, p.trans_a, p.trans_b, p.M, p.N, p.K,
                         p.batch, p.a_ld, p.b_ld, p.y_ld, p.a_stride, p.b_stride, p.y_stride,
                         p.bias != nullptr, p.beta != 0, align_a, align_b, align_y);
}
using Key = decltype(key_of({}, {}, 0, 0, 0));

// Nothing for a bias that cuBLASLt does not add to such a product.
std::optional<cublasLtMatmulAlgo_t> best_algorithm(const Problem& problem, const Product& p,
                                                   Device device, uint32_t align_a,
                                                   uint32_t align_b, uint32_t align_y) {
  cublasLtMatmulPreference_t preference = nullptr;
  check(cublasLtMatmulPreferenceCreate(&preference), "matmul");
  const auto set = [&](cublasLtMatmulPreferenceAttributes_t attribute, const auto& value) {
    check(cublasLtMatmulPreferenceSetAttribute(preference, attribute, &value, sizeof(value)),
          "matmul");
  };
  set(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, kWorkspaceBytes);
  // Sums split over K are added in the workspace in a fixed order, never in place.
  set(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK,
      static_cast<uint32_t>(CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE));
  set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, align_b);
  set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, align_a);
  set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, align_y);
  set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, align_y);
  cublasLtMatmulHeuristicResult_t found{};
  int n_found = 0;
  const cublasStatus_t status = cublasLtMatmulAlgoGetHeuristic(
      static_cast<cublasLtHandle_t>(cublaslt(device)), problem.operation, problem.first,
      problem.second, problem.result, problem.result, preference, 1, &found, &n_found);
  cublasLtMatmulPreferenceDestroy(preference);
  const bool is_found = status == CUBLAS_STATUS_SUCCESS && n_found > 0;
  if (!is_found && p.bias != nullptr) return {};
  require<CudaError>(is_found, "matmul: cuBLASLt has no algorithm for ", name_of(p.dtype), " to ",
                     name_of(p.y_dtype), ", M ", p.M, ", N ", p.N, ", K ", p.K, ", batch ", p.batch,
                     " (", cublasLtGetStatusString(status), ")", OpScope::where(device));
  return found.algo;
}

// Scratch memory of the products of one device; they run one after the other.
void* workspace(Device device) {
  static std::mutex mutex;
  static auto* buffers = new std::map<int32_t, void*>;
  std::lock_guard lock(mutex);
  void*& buffer = (*buffers)[device.index];
  if (buffer == nullptr) buffer = allocate(kWorkspaceBytes, device);
  if (buffer == nullptr) {
    release_cached_memory(device);
    buffer = allocate(kWorkspaceBytes, device);
  }
  require<OutOfMemory>(buffer != nullptr, "out of memory on ", to_string(device),
                       " in matmul: tried ", bytes_text(kWorkspaceBytes),
                       " of workspace for matrix products");
  return buffer;
}

// Whether the bias can be left to cuBLASLt. Its kernels may read it in words of 16 bytes, whatever
// alignment is asked for; and a product of nothing has no kernel.
bool can_fuse_bias(const Product& p) {
  return p.K > 0 && reinterpret_cast<uintptr_t>(p.bias) % 16 == 0;
}

// The bias written to every row first, the product added to it.
void multiply_onto_bias(const Product& p, Device device) {
  const Shape shape{p.batch, p.M, p.N}, from{0, 0, 1}, to{p.y_stride, p.y_ld, 1};
  copy_elements(shape, {const_cast<void*>(p.bias), p.y_dtype, &from}, {p.y, p.y_dtype, &to},
                device);
  Product rest = p;
  rest.bias = nullptr;
  rest.beta = 1;
  multiply(rest, device);
}

}  // namespace

void multiply(const Product& p, Device device) {
  if (p.M == 0 || p.N == 0 || p.batch == 0) return;
  if (p.bias != nullptr && !can_fuse_bias(p)) return multiply_onto_bias(p, device);
  const DeviceGuard guard(device);
  const Problem problem(p);
  const int64_t element = size_of(p.dtype);
  const uint32_t align_a = alignment_of(p.a, p.a_ld, p.a_stride, element),
                 align_b = alignment_of(p.b, p.b_ld, p.b_stride, element),
                 align_y = alignment_of(p.y, p.y_ld, p.y_stride, size_of(p.y_dtype));
  static std::mutex mutex;
  static auto* algorithms = new std::map<Key, std::optional<cublasLtMatmulAlgo_t>>;
  std::optional<cublasLtMatmulAlgo_t> algorithm;
  {
    std::lock_guard lock(mutex);
    const Key key = key_of(p, device, align_a, align_b, align_y);
    auto known = algorithms->find(key);
    if (known == algorithms->end())
      known =
          algorithms->emplace(key, best_algorithm(problem, p, device, align_a, align_b, align_y))
              .first;
    algorithm = known->second;
  }
  if (!algorithm) return multiply_onto_bias(p, device);
  const float alpha = 1, beta = static_cast<float>(p.beta);
  check(cublasLtMatmul(static_cast<cublasLtHandle_t>(cublaslt(device)), problem.operation, &alpha,
                       p.b, problem.first, p.a, problem.second, &beta, p.y, problem.result, p.y,
                       problem.result, &*algorithm, workspace(device), kWorkspaceBytes,
                       stream_of(device)),
        "matmul");
  check_status(settled(XLSTM_OK, device), "matmul", device);
}

}  // namespace xlstm::cuda
