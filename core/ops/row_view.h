// A tensor [..., D] seen as rows, the way the kernels that work row by row take it.
#pragma once

#include "core/tensor.h"

namespace xlstm::ops {

struct RowView {
  Tensor tensor;  // keeps the memory alive
  int64_t rows = 0, width = 0;
  int64_t stride = 0;  // elements between rows
};

// Without a copy if the last dimension is dense and one stride serves all leading dimensions, else
// of a contiguous copy. x has at least one dimension. Outside the tape.
inline RowView row_view(const Tensor& x) {
  const int64_t n = x.dim();
  RowView view{x.detach(), 1, x.size(-1), x.size(-1)};
  for (int64_t d = 0; d + 1 < n; ++d) view.rows *= x.size(d);
  if (x.numel() == 0 || x.is_contiguous()) return view;
  bool plain = x.size(-1) == 1 || x.stride(-1) == 1;
  bool have_stride = false;
  int64_t expected = 0;
  for (int64_t d = n - 2; d >= 0; --d) {
    if (x.size(d) == 1) continue;
    if (!have_stride) view.stride = x.stride(d);
    plain = plain && (have_stride ? x.stride(d) == expected : x.stride(d) >= x.size(-1));
    have_stride = true;
    expected = x.stride(d) * x.size(d);
  }
  if (!plain) view = RowView{x.clone(), view.rows, view.width, view.width};
  return view;
}

// x itself outside the tape if it is contiguous, else a contiguous copy.
inline Tensor dense(const Tensor& x) {
  return x.is_contiguous() ? x.detach() : x.clone();
}

}  // namespace xlstm::ops
