// Reverse-mode differentiation over an eager tape.
//
// An op computes its result, then calls `record` with its inputs, its outputs and a function from
// the outputs' gradients to the inputs' gradients. `backward` walks the tape from newest to oldest,
// in an order fixed by the order of recording, so gradients are the same bits every time. Second
// derivatives are out of scope: gradients are computed outside the tape.
#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <vector>

#include "core/random.h"
#include "core/tensor.h"

namespace xlstm::autograd {

// Gradients of an op's outputs in; gradients of its inputs out, one per input of `record`, in
// order. An undefined tensor means "no gradient": outputs nobody used come in so, and inputs that
// need none may go out so. Gradients have the shape and dtype of their tensor, any strides.
using BackwardFunction = std::function<Tensors(const Tensors& output_grads)>;

struct Edge {
  std::shared_ptr<Node> node;        // the node that made this input, or
  std::shared_ptr<TensorImpl> leaf;  // a leaf that collects a gradient, or neither
  int64_t output_index = 0;
};

struct Node {
  const char* name = "";
  const char* module = nullptr;  // in which it was recorded (MemoryOwner)
  uint64_t sequence = 0;         // order of recording
  std::vector<Edge> inputs;
  std::vector<Shape> output_shapes;
  BackwardFunction backward;
  ~Node();
};

// A tensor kept for the backward pass. It does not keep the tape alive, and it notices when the
// memory was written after saving: `get` then throws AutogradError naming `op`.
class Saved {
 public:
  Saved() = default;
  Saved(const Tensor& tensor, const char* op);
  Tensor get() const;  // undefined if an undefined tensor was saved

 private:
  Tensor tensor_;
  uint64_t version_ = 0;
  const char* op_ = "";
};

bool grad_enabled();  // per thread

// True if an op on these inputs must be recorded. Ops ask before they build their closure.
bool must_record(std::initializer_list<Tensor> inputs);
bool must_record(const Tensors& inputs);

// Puts an op on the tape: `outputs` become results of it. Call only if must_record said so.
void record(const char* name, const Tensors& inputs, const Tensors& outputs,
            BackwardFunction backward);

// For backward functions that can add their share of a weight's gradient in place, which saves a
// temporary of the weight's size.
class LeafGradient {
 public:
  explicit LeafGradient(const Tensor& input);
  // The gradient to add to, contiguous: the caller adds, calls bump_version, and returns no
  // gradient for this input. Undefined if the input is no leaf or has no such gradient yet.
  Tensor get() const;

 private:
  Tensor leaf_;
};

// The same for an input that another op made, whose gradient is being summed up from all its uses.
class PendingGradient {
 public:
  explicit PendingGradient(const Tensor& input);
  // During backward: the sum so far, contiguous and nobody else's, to be added to as above.
  // Undefined if this is the first share, or its memory serves elsewhere too.
  Tensor get() const;

 private:
  std::weak_ptr<Node> node_;  // the tape keeps what it needs alive
  int64_t output_index_ = 0;
};

// While alive, nothing is recorded on this thread.
class NoGrad {
 public:
  NoGrad();
  ~NoGrad();
  NoGrad(const NoGrad&) = delete;
  NoGrad& operator=(const NoGrad&) = delete;

 private:
  bool before_;
};

// While alive, recording is on even inside a NoGrad.
class EnableGrad {
 public:
  EnableGrad();
  ~EnableGrad();
  EnableGrad(const EnableGrad&) = delete;
  EnableGrad& operator=(const EnableGrad&) = delete;

 private:
  bool before_;
};

// Points of the tape that backward tells of: it runs from the newest record to the oldest, so when
// it has passed a point, what was recorded after it is done, and the gradients of leaves that were
// used after it alone are final.
class Marks {
 public:
  // A point between the records so far and those to come.
  void add(std::function<void()> passed);

 private:
  friend class MarkedSweep;
  struct Mark {
    uint64_t sequence;  // of the next record
    std::function<void()> passed;
  };
  std::vector<Mark> marks_;
};

// Adds d(root)/d(leaf) to the `grad` of every leaf that requires one. `root_grad` may be undefined
// for a root with one element (then 1). The tape is consumed: saved tensors are freed as they are
// used. Errors: AutogradError if the root needs no gradient or the tape was consumed before.
// Each of the marks is called once when it was passed, the newest first.
void backward(const Tensor& root, const Tensor& root_grad = {}, Marks* marks = nullptr);
void backward(const Tensors& roots, const Tensors& root_grads);

// Activation checkpointing: runs `function` without recording and keeps only its inputs; the
// backward pass runs it again. `function` must compute the same result again; parameters that it
// reads directly receive their gradients. A generator that it draws from must be named, so that the
// second run sees the same numbers.
Tensors checkpoint(const std::function<Tensors(const Tensors&)>& function, const Tensors& inputs,
                   Generator* generator = nullptr);

}  // namespace xlstm::autograd
