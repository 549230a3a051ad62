#include "layers/state.h"

#include "core/ops/embedding.h"
#include "core/ops/view.h"

namespace xlstm::layers {
namespace {

// A copy of `state` with f applied to every tensor that is there.
template <class F>
ModelState transformed(const ModelState& state, F f) {
  ModelState out = state;
  for (BlockState& block : out.blocks)
    for_each_tensor(block, [&](const char*, Tensor& t) {
      if (t.defined()) t = f(t);
    });
  return out;
}

// Taking rows is a table look-up, which is already differentiable.
Tensor rows_of(const Tensor& t, const Tensor& rows) {
  Shape shape = t.shape();
  const int64_t batch = shape[0];
  shape[0] = rows.size(0);
  int64_t row_size = 1;
  for (size_t d = 1; d < shape.size(); ++d) row_size *= shape[d];
  if (row_size == 0) return Tensor::zeros(shape, t.dtype(), t.device());
  return ops::reshape(ops::embedding(rows, ops::reshape(t, {batch, row_size})), shape);
}

}  // namespace

ModelState ModelState::select_rows(const Tensor& rows) const {
  require<ShapeError>(rows.defined() && rows.dtype() == DType::i64 && rows.dim() == 1,
                      "select_rows: rows, expected an int64 vector");
  if (blocks.empty()) return {};
  const int64_t n = batch();
  for (const int64_t row : rows.to_vector<int64_t>())
    require<ShapeError>(row >= 0 && row < n, "select_rows: row outside the batch, got ", row,
                        ", expected 0 to ", n - 1);
  return transformed(*this, [&](const Tensor& t) { return rows_of(t, rows); });
}

ModelState ModelState::concat_rows(const std::vector<ModelState>& states) {
  require<ShapeError>(!states.empty(), "concat_rows: got no states, expected at least one");
  ModelState out = states.front();
  for (size_t b = 0; b < out.blocks.size(); ++b) {
    std::vector<Tensors> columns;  // [member][state]
    for (const ModelState& state : states) {
      require<ShapeError>(state.blocks.size() == out.blocks.size() &&
                              state.blocks[b].index() == out.blocks[b].index(),
                          "concat_rows: states of different models");
      size_t member = 0;
      for_each_tensor(state.blocks[b], [&](const char* name, const Tensor& t) {
        if (columns.size() <= member) columns.emplace_back();
        require<ShapeError>(columns[member].empty() || columns[member][0].defined() == t.defined(),
                            "concat_rows: ", name, " is there in some states only");
        columns[member++].push_back(t);
      });
    }
    size_t member = 0;
    for_each_tensor(out.blocks[b], [&](const char*, Tensor& t) {
      if (t.defined()) t = ops::contiguous(ops::concat(columns[member], 0));
      ++member;
    });
  }
  return out;
}

ModelState ModelState::detach() const {
  return transformed(*this, [](const Tensor& t) { return t.detach(); });
}

int64_t ModelState::batch() const {
  for (const auto& [name, tensor] : named_tensors()) return tensor.size(0);
  return 0;
}

NamedTensors ModelState::named_tensors() const {
  NamedTensors all;
  for (size_t b = 0; b < blocks.size(); ++b)
    for_each_tensor(blocks[b], [&](const char* name, const Tensor& t) {
      if (t.defined()) all.emplace_back("blocks." + std::to_string(b) + "." + name, t);
    });
  return all;
}

}  // namespace xlstm::layers
