#include "tools/train/placement.h"

#include "core/error.h"
#include "core/storage.h"

namespace xlstm::train {
namespace {

Device device_of(const TrainerConfig& config, int local_rank = 0) {
  const bool asked = config.accelerator == "gpu" || config.accelerator == "cuda";
  const bool there = cuda_device_count() > 0;
  require<ConfigError>(!asked || there, "trainer.accelerator: got ", config.accelerator,
                       ", but no CUDA device was found, expected auto or cpu here (is the driver "
                       "loaded, is this a CUDA build, does CUDA_VISIBLE_DEVICES hide it?)");
  const bool on_gpu = asked || (config.accelerator == "auto" && there);
  if (!on_gpu) return kCpu;
  // A launcher may show each process its own GPU alone.
  const int32_t n = cuda_device_count();
  require<ConfigError>(local_rank < n || n == 1, "trainer.devices: process ", local_rank,
                       " of this host has no GPU, got ", n, " GPUs, expected one a process");
  return {DeviceType::cuda, n == 1 ? 0 : local_rank};
}

Placement narrow(const std::string& precision, Device device) {
  return {.device = device,
          .compute = precision == "16-mixed" ? DType::f16 : DType::bf16,
          .round_all = precision == "bf16-true",
          .scale_loss = precision == "16-mixed"};
}

Placement in_float64() {
  return {.device = kCpu, .parameters = DType::f64, .compute = DType::f64};
}

}  // namespace

bool is_narrow(const std::string& precision) {
  return precision == "bf16-mixed" || precision == "bf16-true" || precision == "16-mixed";
}

Placement training_placement(const TrainerConfig& config, int local_rank) {
  if (config.precision == "64-true") {
    require<ConfigError>(config.accelerator == "auto" || config.accelerator == "cpu",
                         "trainer.precision: 64-true is computed on the CPU alone, got "
                         "trainer.accelerator ",
                         config.accelerator, ", expected cpu");
    return in_float64();
  }
  const Device device = device_of(config, local_rank);
  if (!is_narrow(config.precision)) return {.device = device};
  require<ConfigError>(device != kCpu, "trainer.precision: ", config.precision,
                       " needs a GPU, got the CPU, expected 32-true or 64-true there");
  return narrow(config.precision, device);
}

Placement inference_placement(const TrainerConfig& config) {
  if (config.precision == "64-true") return in_float64();
  const Device device = device_of(config);
  return is_narrow(config.precision) && device != kCpu ? narrow(config.precision, device)
                                                       : Placement{.device = device};
}

void place(layers::LanguageModel& model, const Placement& placement) {
  model.to(placement.device);
  model.set_compute_dtype(placement.compute);
}

bool has_copy(const Placement& placement, const Tensor& parameter) {
  if (placement.compute == placement.parameters) return false;
  // Matrices of products and the embedding; convolutions and blocks of heads are small.
  return placement.round_all || parameter.dim() == 2;
}

namespace {

Tensor rounded(const Tensor& parameter, const Placement& placement) {
  const MemoryScope scope(MemoryCategory::weights);
  Tensor copy = Tensor::empty(parameter.shape(), placement.compute, placement.device);
  copy.copy_from(parameter.to(placement.device));
  return copy;
}

}  // namespace

void add_copies(layers::LanguageModel& model, const Placement& placement) {
  for (Tensor& parameter : model.parameters())
    if (has_copy(placement, parameter)) parameter.set_low_precision(rounded(parameter, placement));
}

void place_for_inference(layers::LanguageModel& model, const Placement& placement) {
  // One by one: the memory of one parameter in both types is all that is needed beside the model.
  for (Tensor& parameter : model.parameters()) {
    if (!has_copy(placement, parameter)) continue;
    parameter.set_grad({});
    parameter.rebind(rounded(parameter, placement));
  }
  place(model, placement);
}

}  // namespace xlstm::train
