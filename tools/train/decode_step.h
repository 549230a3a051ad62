// One token for every row of a batch: the model's step and the choice of the next token. On CUDA
// the whole is one graph (core/cuda/graph.h) that is recorded once and replayed for every token.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "core/ops/sampling.h"
#include "layers/language_model.h"

namespace xlstm::cuda {
class Graph;
}

namespace xlstm::train {

class DecodeStep {
 public:
  // state and logits [rows, n_vocab]: after the prompts; the state is overwritten. streams: what
  // names the rows' random numbers (core/ops/sampling.h). seen uint8 [rows, n_vocab]: the tokens
  // that a repetition penalty acts on, to which the chosen ones are added; undefined: none, ever.
  // use_graph has no effect on the CPU, and on no token. The model must outlive the step.
  DecodeStep(const layers::LanguageModel& model, layers::ModelState state, const Tensor& logits,
             const std::vector<int64_t>& streams, const Tensor& seen,
             const ops::SamplingOptions& sampling, bool use_graph);
  ~DecodeStep();

  // A token per row, with the random numbers of `position`. The first call draws from the prompts'
  // logits; each further one reads the tokens of the call before. NonFiniteError on the CPU if a
  // row's logits cannot be sampled from; on CUDA its token is -1 (see report_bad_rows).
  const std::vector<int64_t>& next(int64_t position);
  // Goes on with the rows at these places of the batch alone.
  void keep(const std::vector<int64_t>& places);
  // Reads the tokens chosen last without choosing others: the state after them and their logits.
  // Nothing may be chosen afterwards.
  layers::ModelOutput finish();
  // The NonFiniteError for a token of -1.
  [[noreturn]] void report_bad_rows() const;

  int64_t rows() const { return static_cast<int64_t>(streams_on_host_.size()); }

 private:
  void draw();
  void read();
  void step();
  void run_step();
  Tensor on_device(const std::vector<int64_t>& numbers) const;

  const layers::LanguageModel& model_;
  ops::SamplingOptions sampling_;
  bool use_graph_;
  // What a recorded step reads and writes stays at its place.
  layers::ModelState state_;
  Tensor logits_;    // [rows, n_vocab]
  Tensor tokens_;    // int64 [rows]
  Tensor streams_;   // int64 [rows]
  Tensor seen_;      // uint8 [rows, n_vocab] or undefined
  Tensor position_;  // int64 [1]
  std::vector<int64_t> chosen_, streams_on_host_;
  std::unique_ptr<cuda::Graph> graph_;
  bool has_chosen_ = false;
  bool has_stepped_ = false;  // with this many rows
};

}  // namespace xlstm::train
