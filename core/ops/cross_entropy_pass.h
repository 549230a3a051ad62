// The kernel calls of softmax cross-entropy, for the ops that contain it. Outside the tape.
#pragma once

#include "core/tensor.h"

namespace xlstm::ops {

// Rows of logits beside their targets, and what the forward pass leaves for the backward pass.
struct CrossEntropyRows {
  Tensor targets;  // int64, contiguous, one a row
  int64_t ignore_index = -1;
  double soft_cap = 0;
  Tensor row_max, row_sum;  // [rows]
};

// ShapeError or ConfigError, naming `op`, unless targets (int64, of this shape) are ids or
// ignore_index; on CUDA their values are not looked at. The soft cap must be finite and >= 0.
void check_targets(const Tensor& targets, const Shape& expected, int64_t n_vocab, double soft_cap,
                   int64_t ignore_index, const char* op);

// logits [rows, n_vocab], dense rows. Writes the mean loss over the counted rows (a scalar of the
// wide type of logits), their number (int64 scalar) and the statistics of the rows.
void cross_entropy_forward(const Tensor& logits, CrossEntropyRows& rows, const Tensor& loss,
                           const Tensor& n_targets);

// dlogits, contiguous, of the type of logits (then it may be their memory) or on CUDA a narrower
// one: the gradient of dloss * mean loss, or of dloss * the sum of losses if n_targets is
// undefined.
void cross_entropy_backward(const Tensor& logits, const CrossEntropyRows& rows,
                            const Tensor& n_targets, const Tensor& dloss, const Tensor& dlogits);

}  // namespace xlstm::ops
