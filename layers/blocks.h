// Residual blocks. Each maps x [B, T, D] to y [B, T, D] and carries its state. In a row of blocks
// the last addition of one is done by the first norm of the next (ResidualStream).
//
//   SlstmBlock       y = x + slstm(norm(x)), then y + feed_forward(norm(y))     architecture A
//   MlstmBlock       y = x + mlstm(norm(x))                                     architecture A
//   MlstmLargeBlock  y = x + mlstm(norm(x)), then y + feed_forward(norm(y))     architecture B
#pragma once

#include <optional>

#include "layers/feed_forward.h"
#include "layers/mlstm.h"
#include "layers/slstm.h"

namespace xlstm::layers {

// What a block makes of a residual stream.
struct StreamOutcome {
  ResidualStream x;
  BlockState state;
};

class Block : public Module {
 public:
  // x [B, T, D]; reset uint8 [B, T] or undefined: 1 starts a document. ShapeError if x is not a
  // sequence of the block's width, ConfigError if the state belongs to another kind of block.
  Outcome<BlockState> forward(const Tensor& x, const BlockState& state, const Tensor& reset = {},
                              const ForwardContext& context = {}) const;
  // The same on a stream of such x, whose last addition is left to its reader.
  StreamOutcome forward(const ResidualStream& x, const BlockState& state, const Tensor& reset = {},
                        const ForwardContext& context = {}) const;
  // One time step, x [B, D] -> y [B, D].
  Outcome<BlockState> step(const Tensor& x, const BlockState& state,
                           const ForwardContext& context = {}) const;
  // Zeros, spelt out.
  virtual BlockState init_state(int64_t batch) const = 0;
  // The same meaning with undefined tensors: nothing to allocate, nothing to read.
  virtual BlockState start_state() const = 0;
  // init_state under the name that recurrent modules elsewhere give it.
  BlockState init_hidden(int64_t batch) const { return init_state(batch); }
  int64_t width() const { return width_; }

 protected:
  explicit Block(int64_t width) : width_(width) {}
  virtual StreamOutcome run(const ResidualStream& x, const BlockState& state, const Tensor& reset,
                            const ForwardContext& context) const = 0;

 private:
  int64_t width_;
};

// The keys of `slstm_block` and `mlstm_block`.
struct SlstmBlockConfig {
  SlstmConfig slstm;
  std::optional<FeedForwardConfig> feedforward = FeedForwardConfig{};  // absent: no second half
};
struct MlstmBlockConfig {
  MlstmConfig mlstm;
};

class SlstmBlock : public Block {
 public:
  SlstmBlock(const BlockPlace& place, const SlstmBlockConfig& config, ParameterFactory& factory);
  SlstmBlock(const BlockPlace& place, const SlstmBlockConfig& config, ParameterFactory&& factory)
      : SlstmBlock(place, config, factory) {}
  // On its own: heads of width / n_heads units; proj_factor is that of the feed-forward network.
  SlstmBlock(int64_t width, int64_t n_heads, double proj_factor = 1.3, int64_t kernel_size = 4,
             uint64_t seed = 0);
  BlockState init_state(int64_t batch) const override;
  BlockState start_state() const override { return SlstmLayerState{}; }

 protected:
  StreamOutcome run(const ResidualStream& x, const BlockState& state, const Tensor& reset,
                    const ForwardContext& context) const override;

 private:
  Norm xlstm_norm_;
  SlstmLayer xlstm_;
  std::optional<Norm> ffn_norm_;
  std::optional<FeedForward> ffn_;
};

class MlstmBlock : public Block {
 public:
  MlstmBlock(const BlockPlace& place, const MlstmBlockConfig& config, ParameterFactory& factory);
  MlstmBlock(const BlockPlace& place, const MlstmBlockConfig& config, ParameterFactory&& factory)
      : MlstmBlock(place, config, factory) {}
  // On its own: proj_factor widens the inner stream, which the heads share.
  MlstmBlock(int64_t width, int64_t n_heads, double proj_factor = 2.0, int64_t kernel_size = 4,
             uint64_t seed = 0);
  BlockState init_state(int64_t batch) const override;
  BlockState start_state() const override { return MlstmLayerState{}; }

 protected:
  StreamOutcome run(const ResidualStream& x, const BlockState& state, const Tensor& reset,
                    const ForwardContext& context) const override;

 private:
  Norm xlstm_norm_;
  MlstmLayer xlstm_;
};

class MlstmLargeBlock : public Block {
 public:
  MlstmLargeBlock(const MlstmLargeConfig& mlstm, const FeedForwardLargeConfig& feed_forward,
                  ParameterFactory& factory);
  BlockState init_state(int64_t batch) const override;
  BlockState start_state() const override { return MlstmLayerState{}; }

 protected:
  StreamOutcome run(const ResidualStream& x, const BlockState& state, const Tensor& reset,
                    const ForwardContext& context) const override;

 private:
  Norm norm_mlstm_;
  MlstmLargeLayer mlstm_layer_;
  Norm norm_ffn_;
  FeedForwardLarge ffn_;
};

}  // namespace xlstm::layers
