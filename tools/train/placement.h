// Where a run computes and in which element types: the keys trainer.accelerator and
// trainer.precision.
#pragma once

#include "layers/language_model.h"
#include "tools/train/config.h"

namespace xlstm::train {

struct Placement {
  Device device;
  DType parameters = DType::f32;  // of weights, gradients and moments
  DType compute = DType::f32;     // of activations and of what products read
  bool round_all = false;         // every weight is read in `compute`, not only matrices
  bool scale_loss = false;
};

// Whether products read 16 bits in this precision.
bool is_narrow(const std::string& precision);

// For training, by the process with this number on its host. ConfigError if the accelerator is not
// there, or does not compute in the precision.
Placement training_placement(const TrainerConfig& config, int local_rank = 0);
// For a trained model: where 16 bits are not computed in, float32 takes their place.
Placement inference_placement(const TrainerConfig& config);

// Moves the model to its device and tells it the type of its activations.
void place(layers::LanguageModel& model, const Placement& placement);
// Which parameters have a low-precision copy; the others are read as they are.
bool has_copy(const Placement& placement, const Tensor& parameter);
// Gives the parameters of a placed model their copies, for gradients in the parameters' own type.
// In training the arena does it.
void add_copies(layers::LanguageModel& model, const Placement& placement);
// Places a model that only reads its parameters: those that would have a copy become the copy, so
// that a model of 16 bits takes two bytes a parameter.
void place_for_inference(layers::LanguageModel& model, const Placement& placement);

}  // namespace xlstm::train
