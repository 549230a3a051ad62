#include "core/autograd.h"

#include <algorithm>
#include <atomic>
#include <map>
#include <utility>

#include "core/grad_accumulate.h"
#include "core/op_scope.h"

namespace xlstm::autograd {
namespace {

thread_local bool recording = true;
std::atomic<uint64_t> next_sequence{1};

Edge edge_to(const Tensor& tensor) {
  Edge edge;
  if (!tensor.requires_grad()) return edge;
  if (tensor.impl()->grad_node != nullptr) {
    edge.node = tensor.impl()->grad_node;
    edge.output_index = tensor.impl()->output_index;
  } else {
    edge.leaf = tensor.shared_impl();
  }
  return edge;
}

}  // namespace

void Marks::add(std::function<void()> passed) {
  marks_.push_back({next_sequence.load(), std::move(passed)});
}

// Takes marks in the order in which a backward pass reaches them.
class MarkedSweep {
 public:
  explicit MarkedSweep(Marks* marks) : marks_(marks) {}
  // All that was recorded from `sequence` on is done.
  void done_from(uint64_t sequence) {
    while (marks_ != nullptr && !marks_->marks_.empty() &&
           marks_->marks_.back().sequence >= sequence) {
      const auto passed = std::move(marks_->marks_.back().passed);
      marks_->marks_.pop_back();
      passed();
    }
  }

 private:
  Marks* marks_;
};

namespace {

// Gradients on their way to the nodes, newest node first.
class Sweep {
 public:
  Sweep() : outer_(std::exchange(current, this)) {}
  ~Sweep() { current = outer_; }
  Sweep(const Sweep&) = delete;
  Sweep& operator=(const Sweep&) = delete;
  inline static thread_local Sweep* current = nullptr;

  // The sum waiting for an output of a node, if it may be added to in place.
  Tensor pending(const Node& node, int64_t output_index) const {
    const auto at = waiting_.find(node.sequence);
    if (at == waiting_.end()) return {};
    const Tensor& sum = at->second.grads[static_cast<size_t>(output_index)];
    return sum.defined() && owned_alone(sum) ? sum : Tensor{};
  }

  void add(const Edge& edge, Tensor grad) {
    if (!grad.defined()) return;
    if (edge.leaf != nullptr) {
      Tensor leaf(edge.leaf);
      accumulate_into_leaf(leaf, std::move(grad));
    } else if (edge.node != nullptr) {
      Waiting& waiting = waiting_[edge.node->sequence];
      waiting.node = edge.node;
      waiting.grads.resize(edge.node->output_shapes.size());
      Tensor& slot = waiting.grads[static_cast<size_t>(edge.output_index)];
      slot = slot.defined() ? sum_of_gradients(std::move(slot), grad) : std::move(grad);
    }
  }

  void run(Marks* marks = nullptr) {
    MarkedSweep marked(marks);
    while (!waiting_.empty()) {
      auto newest = std::prev(waiting_.end());
      marked.done_from(newest->first + 1);
      Waiting waiting = std::move(newest->second);
      waiting_.erase(newest);
      Node& node = *waiting.node;
      require<AutogradError>(node.backward != nullptr, node.name,
                             ": backward reached this result a second time, but the tape was "
                             "consumed by the first (run forward again)");
      const BackwardFunction backward = std::move(node.backward);
      node.backward = nullptr;
      const std::vector<Edge> inputs = std::move(node.inputs);
      node.inputs.clear();
      const auto in_module = MemoryScope::module(node.module);
      Tensors grads;
      {
        OpScope in_op(node.name, {}, true);
        in_op.add(waiting.grads);
        grads = backward(waiting.grads);
      }
      waiting.grads.clear();  // what is returned may now be held by nobody else
      const OpScope in_sums(node.name, {}, true);
      require<AutogradError>(grads.size() == inputs.size(), node.name,
                             ": backward returned the wrong number of gradients, got ",
                             grads.size(), ", expected ", inputs.size());
      for (size_t i = 0; i < inputs.size(); ++i) add(inputs[i], std::move(grads[i]));
    }
    marked.done_from(0);
  }

 private:
  struct Waiting {
    std::shared_ptr<Node> node;
    Tensors grads;
  };
  std::map<uint64_t, Waiting> waiting_;
  Sweep* outer_;  // backward inside backward: checkpoints
};

}  // namespace

// A long chain must not be destroyed by recursion: a tape of a hundred thousand steps would
// overflow the stack.
Node::~Node() {
  std::vector<std::shared_ptr<Node>> orphans;
  const auto take = [&orphans](std::vector<Edge>& edges) {
    for (Edge& edge : edges)
      if (edge.node != nullptr && edge.node.use_count() == 1)
        orphans.push_back(std::move(edge.node));
  };
  take(inputs);
  while (!orphans.empty()) {
    const std::shared_ptr<Node> node = std::move(orphans.back());
    orphans.pop_back();
    node->backward = nullptr;
    take(node->inputs);
  }
}

Saved::Saved(const Tensor& tensor, const char* op) : op_(op) {
  if (!tensor.defined()) return;
  tensor_ = tensor.detach();
  version_ = tensor.version();
}

Tensor Saved::get() const {
  require<AutogradError>(!tensor_.defined() || tensor_.version() == version_, op_,
                         ": a tensor needed for the gradient was modified in place after forward "
                         "(version ",
                         tensor_.defined() ? tensor_.version() : 0, ", expected ", version_,
                         "; clone it before changing it)");
  return tensor_;
}

bool grad_enabled() {
  return recording;
}

bool must_record(std::initializer_list<Tensor> inputs) {
  return recording && std::any_of(inputs.begin(), inputs.end(),
                                  [](const Tensor& t) { return t.requires_grad(); });
}

bool must_record(const Tensors& inputs) {
  return recording && std::any_of(inputs.begin(), inputs.end(),
                                  [](const Tensor& t) { return t.requires_grad(); });
}

void record(const char* name, const Tensors& inputs, const Tensors& outputs,
            BackwardFunction backward) {
  auto node = std::make_shared<Node>();
  node->name = name;
  node->module = MemoryOwner::current().module;
  node->sequence = next_sequence.fetch_add(1);
  node->backward = std::move(backward);
  for (const Tensor& input : inputs) node->inputs.push_back(edge_to(input));
  for (size_t i = 0; i < outputs.size(); ++i) {
    node->output_shapes.push_back(outputs[i].defined() ? outputs[i].shape() : Shape{});
    if (!outputs[i].defined()) continue;
    outputs[i].impl()->grad_node = node;
    outputs[i].impl()->output_index = static_cast<int64_t>(i);
  }
}

LeafGradient::LeafGradient(const Tensor& input) {
  if (input.requires_grad() && input.impl()->grad_node == nullptr) leaf_ = input;
}

Tensor LeafGradient::get() const {
  const Tensor grad = leaf_.defined() ? leaf_.grad() : Tensor{};
  return grad.defined() && grad.is_contiguous() ? grad : Tensor{};
}

PendingGradient::PendingGradient(const Tensor& input) {
  if (!input.defined() || input.impl()->grad_node == nullptr) return;
  node_ = input.impl()->grad_node;
  output_index_ = input.impl()->output_index;
}

Tensor PendingGradient::get() const {
  const std::shared_ptr<Node> node = node_.lock();
  return node != nullptr && Sweep::current != nullptr
             ? Sweep::current->pending(*node, output_index_)
             : Tensor{};
}

NoGrad::NoGrad() : before_(recording) {
  recording = false;
}
NoGrad::~NoGrad() {
  recording = before_;
}
EnableGrad::EnableGrad() : before_(recording) {
  recording = true;
}
EnableGrad::~EnableGrad() {
  recording = before_;
}

namespace {

void sweep_from(const Tensors& roots, const Tensors& root_grads, Marks* marks) {
  require<AutogradError>(roots.size() == root_grads.size(), "backward: one gradient per root, got ",
                         root_grads.size(), " for ", roots.size());
  NoGrad no_grad;
  Sweep sweep;
  for (size_t i = 0; i < roots.size(); ++i) {
    const Tensor& root = roots[i];
    require<AutogradError>(
        root.requires_grad(),
        "backward: the root does not depend on anything that requires a gradient");
    Tensor grad = root_grads[i];
    if (!grad.defined()) {
      require<AutogradError>(root.numel() == 1, "backward: a root of shape ",
                             to_string(root.shape()), " needs an explicit gradient");
      grad = Tensor::full(root.shape(), 1.0, root.dtype(), root.device());
    }
    require<ShapeError>(grad.shape() == root.shape() && grad.dtype() == root.dtype(),
                        "backward: gradient must look like its root, got ", to_string(grad.shape()),
                        ", expected ", to_string(root.shape()));
    require<DeviceError>(grad.device() == root.device(),
                         "backward: gradient must be where its root is, got ",
                         to_string(grad.device()), ", expected ", to_string(root.device()));
    sweep.add(edge_to(root), grad);
  }
  sweep.run(marks);
}

}  // namespace

void backward(const Tensor& root, const Tensor& root_grad, Marks* marks) {
  sweep_from({root}, {root_grad}, marks);
}

void backward(const Tensors& roots, const Tensors& root_grads) {
  sweep_from(roots, root_grads, nullptr);
}

Tensors checkpoint(const std::function<Tensors(const Tensors&)>& function, const Tensors& inputs,
                   Generator* generator) {
  if (!recording) return function(inputs);
  const Generator before = generator != nullptr ? *generator : Generator{};
  Tensors outputs;
  {
    NoGrad no_grad;
    outputs = function(inputs);
  }
  std::vector<Saved> saved;
  std::vector<bool> wants_grad;
  for (const Tensor& input : inputs) {
    saved.emplace_back(input, "checkpoint");
    wants_grad.push_back(input.requires_grad());
  }
  // Results that share an input's memory would confuse the tape with their second life as leaves.
  for (Tensor& output : outputs)
    if (output.defined()) output = output.detach();
  record("checkpoint", inputs, outputs,
         [function, saved, wants_grad, generator, before](const Tensors& output_grads) {
           Generator now;
           if (generator != nullptr) now = std::exchange(*generator, before);
           Tensors leaves;
           for (size_t i = 0; i < saved.size(); ++i) {
             Tensor leaf = saved[i].get();
             if (leaf.defined()) {
               leaf = leaf.detach();
               leaf.set_requires_grad(wants_grad[i]);
             }
             leaves.push_back(leaf);
           }
           EnableGrad enable;
           const Tensors again = function(leaves);
           if (generator != nullptr) *generator = now;
           Tensors roots, grads;
           for (size_t i = 0; i < again.size(); ++i) {
             if (!output_grads[i].defined() || !again[i].requires_grad()) continue;
             roots.push_back(again[i]);
             grads.push_back(output_grads[i]);
           }
           if (!roots.empty()) backward(roots, grads);
           Tensors input_grads;
           for (const Tensor& leaf : leaves)
             input_grads.push_back(leaf.defined() ? leaf.grad() : Tensor{});
           return input_grads;
         });
  return outputs;
}

}  // namespace xlstm::autograd
