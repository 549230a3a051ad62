// The interface of optimizers, and AdamW and SGD.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/ops/adamw.h"
#include "optim/parameter.h"
#include "optim/shard_layout.h"

namespace xlstm::optim {

// An optimizer keeps, for every parameter, tensors of the parameter's shape ("slots": moments,
// velocities) and counts its steps. It neither clips nor checks gradients: see optim/update.h.
//
// Accumulating gradients over n batches needs nothing here: backward adds into value.grad(), and
// step takes grad_scale = 1 / n.
class Optimizer {
 public:
  virtual ~Optimizer() = default;
  Optimizer(const Optimizer&) = delete;
  Optimizer& operator=(const Optimizer&) = delete;

  // Updates every parameter that has a gradient; the others are left as they are, without decay.
  // Gradients are multiplied by grad_scale first. ConfigError for an lr that is negative or not
  // finite, or a grad_scale that is not finite; nothing has changed then.
  void step(double lr, double grad_scale = 1);
  // The same for parameters on a CUDA device, with everything that changes from step to step read
  // there. Only launches; step_count is left to the caller (optim/device_update.h).
  void step_on_device(const ops::UpdateScalars& scalars);
  // The same of the elements in a range of the flat memory in which all gradients lie.
  void step_on_device(const ops::UpdateScalars& scalars, const Range& range);
  // The gradients in as few flat pieces as their memory allows; parameters without one are left
  // out.
  Tensors flat_gradients() const;

  const Parameters& parameters() const { return parameters_; }
  int64_t step_count() const { return step_count_; }  // completed steps
  void set_step_count(int64_t n) { step_count_ = n; }

  // With a shard: the names of the slots, and of each the memory, which holds the shard's parts one
  // behind the other.
  const std::vector<std::string>& slot_names() const { return slot_names_; }
  const Tensor& shard_slot(size_t slot) const { return shard_slots_[slot]; }

  // With a shard: from now on the parameters with a low-precision copy, whose gradients are the
  // first n_copied elements, are kept in full precision as parts, like slots, and updated there.
  // Their values are taken from the parameters, with every call anew; between the calls nothing
  // here reads or writes the parameters' own memory.
  void shard_masters(int64_t n_copied);
  const Tensor& masters() const { return masters_; }  // [elements of those parts]; undefined before

  int64_t state_bytes() const;  // of all slots, of a shard its own; without masters

  // Everything a checkpoint must keep beside step_count, as <slot>.<parameter name>, sharing memory
  // with the optimizer: moment1.x and moment2.x for AdamW, velocity.x for SGD with momentum.
  // ConfigError with a shard, which holds parts alone (DataParallel::gathered_state).
  NamedTensors state() const;
  // Copies a saved state in. FormatError for a missing, unknown or repeated name or a tensor of
  // another shape or type, and for a negative count; nothing has changed then. A shard takes its
  // parts of a whole state.
  void load_state(const NamedTensors& state, int64_t step_count);

 protected:
  // shard: of flat memory that holds the gradients of all parameters, the parts that this optimizer
  // updates and has slots for; none: everything.
  Optimizer(Parameters parameters, std::vector<std::string> slot_names,
            std::optional<std::vector<Range>> shard);

  // What is updated by one call: a parameter, or several that lie one behind the other.
  struct Piece {
    Tensor value, grad, copy;  // copy: undefined without one
    Tensors slots;             // in the order of their names
    bool decay = false;
  };
  struct Step {
    int64_t count = 1;  // from 1
    double lr = 0, grad_scale = 1;
    ops::UpdateScalars on_device;
  };

 private:
  virtual void update(const Piece& piece, const Step& step) = 0;
  std::vector<Piece> pieces() const;
  std::vector<Piece> whole_pieces() const;
  // What of them lies in a range of the flat memory of their gradients.
  static std::vector<Piece> cut(const std::vector<Piece>& whole, const Range& range);
  // Places the slots of parameters that share a storage as the parameters lie in it.
  void make_slots();
  void make_shard_slots();
  void load_slot(size_t parameter, size_t slot, const Tensor& saved);

  Parameters parameters_;
  std::vector<std::string> slot_names_;
  std::vector<Tensors> slots_;  // [parameter][slot]; empty with a shard
  std::optional<std::vector<Range>> shard_;
  Tensors shard_slots_;  // [slot]
  Tensor masters_;
  int64_t step_count_ = 0;
};

struct AdamWConfig {
  double beta1 = 0.9, beta2 = 0.95, eps = 1e-8;
  double weight_decay = 0.1;  // of the parameters that decay
  void validate() const;      // ConfigError
};

// Decoupled weight decay (Loshchilov and Hutter 2019); the equations are in core/ops/adamw.h.
class AdamW : public Optimizer {
 public:
  AdamW(Parameters parameters, const AdamWConfig& config,
        std::optional<std::vector<Range>> shard = std::nullopt);

 private:
  void update(const Piece& piece, const Step& step) override;
  AdamWConfig config_;
};

struct SgdConfig {
  double momentum = 0;
  double weight_decay = 0;  // added to the gradient of the parameters that decay
  bool nesterov = false;    // needs momentum > 0
  void validate() const;    // ConfigError
};

class Sgd : public Optimizer {
 public:
  Sgd(Parameters parameters, const SgdConfig& config,
      std::optional<std::vector<Range>> shard = std::nullopt);

 private:
  void update(const Piece& piece, const Step& step) override;
  SgdConfig config_;
};

}  // namespace xlstm::optim
