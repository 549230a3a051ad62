// Strided copies and fills on a CUDA device: core/element_copy.h by kernels.
#include <algorithm>

#include "core/cuda/check.h"
#include "core/cuda/runtime.h"
#include "kernels/copy/copy.h"

namespace xlstm::cuda {
namespace {

static_assert(static_cast<int>(DType::boolean) == XLSTM_ELEMENT_BOOL);

xlstm_element element_of(DType dtype) {
  return static_cast<xlstm_element>(dtype);
}

}  // namespace

void copy_elements(const Shape& shape, const Elements& from, const Elements& to, Device device) {
  xlstm_copy_args args{};
  args.from_type = element_of(from.dtype);
  args.to_type = element_of(to.dtype);
  args.n_dims = static_cast<int32_t>(shape.size());
  std::copy(shape.begin(), shape.end(), args.sizes);
  std::copy(from.strides->begin(), from.strides->end(), args.from_strides);
  std::copy(to.strides->begin(), to.strides->end(), args.to_strides);
  args.from = from.data;
  args.to = to.data;
  make_current(device);
  xlstm_exec exec{};
  exec.stream = stream(device);
  check_status(settled(xlstm_copy_cuda(&args, exec), device), "copy", device);
}

void fill_elements(const Shape& shape, const Elements& to, double value, Device device) {
  if (element_count(shape) == 0) return;
  const Shape dense = contiguous_strides(shape);
  if (value == 0 && *to.strides == dense)
    return set_zero(to.data, device, element_count(shape) * size_of(to.dtype));
  xlstm_fill_args args{};
  args.type = element_of(to.dtype);
  args.n_dims = static_cast<int32_t>(shape.size());
  std::copy(shape.begin(), shape.end(), args.sizes);
  std::copy(to.strides->begin(), to.strides->end(), args.to_strides);
  args.to = to.data;
  alignas(8) unsigned char element[sizeof(args.value)] = {};
  store_element(element, to.dtype, 0, value);
  std::copy(std::begin(element), std::end(element), args.value);
  make_current(device);
  xlstm_exec exec{};
  exec.stream = stream(device);
  check_status(settled(xlstm_fill_cuda(&args, exec), device), "fill", device);
}

}  // namespace xlstm::cuda
