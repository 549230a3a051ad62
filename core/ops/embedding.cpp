#include "core/ops/embedding.h"

#include "core/autograd.h"
#include "core/ops/kernel_call.h"
#include "kernels/embedding/embedding.h"

namespace xlstm::ops {
namespace {

void check_tokens(const Tensor& tokens, int64_t n_vocab) {
  const int64_t* token = tokens.data<int64_t>();
  for (int64_t i = 0; i < tokens.numel(); ++i)
    require<ShapeError>(token[i] >= 0 && token[i] < n_vocab,
                        "embedding: token outside the table, got ", token[i], " at position ", i,
                        ", expected 0 to ", n_vocab - 1);
}

Tensor table_gradient(const Tensor& tokens, const Tensor& grad, const Shape& table, DType dtype) {
  if (!grad.defined()) return {};
  const Tensor dy = as_rows(grad);
  const Tensor dweight = Tensor::empty(table, dtype, grad.device());
  xlstm_embedding_bwd_args args{};
  args.dtype = kernel_dtype(grad.dtype());
  args.weight_dtype = kernel_dtype(dtype);
  args.n_tokens = tokens.numel();
  args.n_vocab = table[0];
  args.D = table[1];
  args.tokens = tokens.data<int64_t>();
  args.dy = dy.raw();
  args.dy_stride_row = dy.stride(0);
  args.dweight = dweight.raw();
  run_kernel(Kernel{xlstm_embedding_bwd_cpu, xlstm_embedding_bwd_cuda,
                    xlstm_embedding_bwd_workspace_cpu, xlstm_embedding_bwd_workspace_cuda},
             args, grad.device(), "embedding");
  return dweight;
}

}  // namespace

Tensor embedding(const Tensor& tokens, const Tensor& weight) {
  return embedding(tokens, weight, weight.defined() ? weight.dtype() : DType::f32);
}

Tensor embedding(const Tensor& tokens, const Tensor& weight, DType dtype) {
  const OpScope scope("embedding", {tokens, weight});
  require<ShapeError>(tokens.defined() && tokens.dtype() == DType::i64,
                      "embedding: tokens must be int64, got ",
                      tokens.defined() ? name_of(tokens.dtype()) : "no tensor");
  require<ShapeError>(weight.defined() && weight.dim() == 2,
                      "embedding: the table must be [n_vocab, D], got ",
                      weight.defined() ? to_string(weight.shape()) : "no tensor");
  require_computes(weight, "embedding", "the table");
  require_weight(weight, weight.shape(), dtype, "embedding", "the table");
  const bool recorded = autograd::must_record({weight});
  // Backward reads the tokens again, so a caller's buffer that is refilled meanwhile is copied.
  const Tensor ids = recorded ? tokens.clone() : dense(tokens);
  if (ids.device() == kCpu) check_tokens(ids, weight.size(0));  // else a wait for the device
  const Tensor table = as_rows(beside(weight, dtype).detach());
  Shape shape = tokens.shape();
  shape.push_back(weight.size(1));
  const Tensor y = Tensor::empty(shape, dtype, weight.device());
  xlstm_embedding_fwd_args args{};
  args.dtype = kernel_dtype(dtype);
  args.weight_dtype = kernel_dtype(table.dtype());
  args.n_tokens = ids.numel();
  args.n_vocab = weight.size(0);
  args.D = weight.size(1);
  args.tokens = ids.data<int64_t>();
  args.weight = table.raw();
  args.weight_stride_row = table.stride(0);
  args.y = y.raw();
  args.y_stride_row = args.D;
  run_kernel(Kernel{xlstm_embedding_fwd_cpu, xlstm_embedding_fwd_cuda}, args, weight.device(),
             "embedding");
  if (recorded)
    autograd::record("embedding", {weight}, {y},
                     [ids, shape = weight.shape(), type = weight.dtype()](const Tensors& grads) {
                       return Tensors{table_gradient(ids, grads[0], shape, type)};
                     });
  return y;
}

}  // namespace xlstm::ops
