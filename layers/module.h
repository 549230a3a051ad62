// Module: a tree of named parameters. ParameterFactory makes them; ParameterArena packs them flat.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/random.h"
#include "core/tensor.h"
#include "layers/init.h"

namespace xlstm::layers {

class Module;

// What a forward pass needs to know beyond its inputs. The default is inference.
struct ForwardContext {
  bool training = false;                  // dropout acts only if true
  Generator* generator = nullptr;         // required if dropout acts
  bool activation_checkpointing = false;  // keep only block inputs, recompute blocks in backward
  int64_t slstm_recompute_steps = 0;      // ops::SlstmOptions::recompute_steps of sLSTM layers
  // A step of one token without a reset overwrites the mLSTM states it is given, which must be
  // contiguous, and returns them: no second copy of what is largest. Of sLSTM states, c, n and m
  // where the kernel can (ops::slstm_decode). Without gradients.
  bool in_place_state = false;
  // Called before each block of a model computes; null: nobody is.
  const std::function<void(const Module& block)>* before_block = nullptr;
};

// Dropout at probability p if the context is training; else x. ConfigError without a generator.
Tensor dropout(const Tensor& x, double p, const ForwardContext& context);

// Makes parameters: draws their start values in the order of the calls, so a seed fixes a model.
class ParameterFactory {
 public:
  explicit ParameterFactory(Generator generator, DType dtype = DType::f32);
  explicit ParameterFactory(uint64_t seed, DType dtype = DType::f32)
      : ParameterFactory(Generator{seed, 0}, dtype) {}
  // Parameters have shapes but share one element of memory: for counting and listing a model that
  // would not fit. Such a model must not be run.
  static ParameterFactory shapes_only();

  Tensor create(const Shape& shape, const init::Initializer& initializer);
  const Generator& generator() const { return generator_; }
  DType dtype() const { return dtype_; }

 private:
  Generator generator_;
  DType dtype_;
  bool shapes_only_ = false;
};

class Module {
 public:
  Module() = default;
  virtual ~Module() = default;
  Module(const Module&) = delete;
  Module& operator=(const Module&) = delete;

  // In order of registration, names joined by dots. A tensor registered twice (a tied weight)
  // appears once, under its first name.
  NamedTensors named_parameters() const;
  // The same, with tied weights under each of their names.
  NamedTensors named_parameters_and_aliases() const;
  Tensors parameters() const;
  int64_t n_parameters() const;
  // Zeroes gradients that live in an arena, drops the others.
  void zero_grad();
  // Moves every parameter, and constants like them, to `device`; gradients are dropped. Before an
  // arena is made, which holds its own memory.
  void to(Device device);
  // The same to another floating type: for inference in bfloat16 or float16 on CUDA.
  void to(Device device, DType dtype);

  // Its name in the module that registered it, for reports; null if none did.
  const char* owner_name() const { return owner_name_; }

 protected:
  // Names may contain dots. Submodules must live as long as this module, at one address.
  void register_parameter(std::string name, const Tensor& parameter);
  void register_module(std::string name, Module& module);
  // A tensor that is no parameter but goes where they go.
  void register_constant(const Tensor& constant);

 private:
  struct Member {
    std::string name;
    Tensor parameter;          // defined for a parameter,
    Module* module = nullptr;  // set for a submodule
  };
  void collect(const std::string& prefix, NamedTensors& out) const;
  void collect_constants(Tensors& out) const;
  const char* owner_name_ = nullptr;
  std::vector<Member> members_;
  Tensors constants_;
};

struct ArenaOptions {
  // Parameters lie in ascending order of their group, those with a copy before all others, and
  // within a group in order of registration: what an optimizer treats alike belongs together. Null:
  // one group.
  std::function<int(const std::string& name, const Tensor& parameter)> group;
  // Where flat memory of n zeros comes from; null: Tensor::zeros on the parameters' device.
  std::function<Tensor(int64_t n, DType dtype)> zeros;
  // The number of elements is filled up to a multiple of this, and so is that of the parameters
  // with a copy.
  int64_t multiple_of = kFlatAlignment;
  // The type of low-precision copies (Tensor::low_precision) and which parameters have one (null:
  // all). float32: none.
  DType copy_dtype = DType::f32;
  std::function<bool(const std::string& name, const Tensor& parameter)> copied;
};

// All parameters of a module in flat memory, all gradients in other memory and low-precision copies
// in a third, at the same places (kFlatAlignment), so that clipping, reduction and the optimizer
// run over flat memory. Parameters keep their handles, their values and their device.
class ParameterArena {
 public:
  // ShapeError if the parameters do not share one dtype and one device.
  explicit ParameterArena(const Module& module, const ArenaOptions& options = {});

  struct Entry {
    std::string name;
    Tensor parameter;
    int64_t offset = 0;  // elements
    int64_t numel = 0;
  };
  const std::vector<Entry>& entries() const { return entries_; }
  // Where the first entry of a group above `group` lies, or the entries end.
  int64_t end_of_group(int group) const;
  const Tensor& gradients() const { return gradients_; }  // [n]
  int64_t n_copied() const { return n_copied_; }          // of them, those before have a copy
  const Tensor& copies() const { return copies_; }        // [n_copied]; undefined without copies
  const Tensor& masters() const { return masters_; }      // [n_copied]: what they are copies of
  const Tensor& weights() const { return weights_; }      // [n - n_copied]: the other parameters
  // Gives the memory of masters() back, for an optimizer that keeps them elsewhere: these
  // parameters must not be read any more, only their copies. restore_masters takes memory again,
  // not initialised.
  void release_masters();
  void restore_masters();
  void zero_grad();
  // Rounds every copy from its parameter again: after the parameters were written by anyone but an
  // optimizer.
  void refresh_copies();

 private:
  std::vector<Entry> entries_;
  std::vector<int> groups_;  // of each entry
  Tensor gradients_, copies_, masters_, weights_;
  int64_t n_copied_ = 0;
};

}  // namespace xlstm::layers
