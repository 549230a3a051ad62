// Recurrent state of layers, blocks and models. States are values: a layer takes one and returns
// the next, and gradients may flow through both. Undefined tensors stand for zeros. Dimension 0 of
// every tensor is the batch.
#pragma once

#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "core/ops/mlstm.h"
#include "core/ops/slstm.h"
#include "layers/module.h"

namespace xlstm::layers {

struct SlstmLayerState {
  Tensor conv;           // [B, kernel - 1, D], the last inputs of the convolution; may be absent
  ops::SlstmState cell;  // h, c, n, m: [B, H, D / H]
};

struct MlstmLayerState {
  Tensor conv;           // [B, kernel - 1, E]; absent in architecture B
  ops::MlstmState cell;  // C [B, H, K, V], n [B, H, K], m [B, H]
};

using BlockState = std::variant<SlstmLayerState, MlstmLayerState>;

// Calls f(name, tensor) for every member of a BlockState, in a fixed order.
template <class State, class F>
void for_each_tensor(State& state, F f) {
  std::visit(
      [&f](auto& layer) {
        f("conv", layer.conv);
        if constexpr (requires { layer.cell.C; }) {
          f("cell.C", layer.cell.C);
        } else {
          f("cell.h", layer.cell.h);
          f("cell.c", layer.cell.c);
        }
        f("cell.n", layer.cell.n);
        f("cell.m", layer.cell.m);
      },
      state);
}

struct ModelState {
  std::vector<BlockState> blocks;  // empty: the state before the first token

  // Rows of the batch, in the order of `rows` (int64 [n]; repeats allowed). Carries gradient.
  // ShapeError names a row outside the batch.
  ModelState select_rows(const Tensor& rows) const;
  // States of the same model one under the other.
  static ModelState concat_rows(const std::vector<ModelState>& states);
  // The same numbers outside the tape.
  ModelState detach() const;
  // Rows of the batch; 0 for the empty state.
  int64_t batch() const;
  // "blocks.3.cell.C" and so on; absent tensors are left out.
  NamedTensors named_tensors() const;
};

// What a layer's forward returns.
template <class State>
struct Outcome {
  Tensor y;
  State state;
};

}  // namespace xlstm::layers
