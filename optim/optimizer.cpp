#include "optim/optimizer.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <utility>

namespace xlstm::optim {
namespace {

void require_range(bool ok, const char* what, double value, const char* expected) {
  require<ConfigError>(ok, "optimizer: ", what, " must be ", expected, ", got ", value);
}

bool fraction(double x) {
  return x >= 0 && x < 1;
}

bool finite_not_negative(double x) {
  return std::isfinite(x) && x >= 0;
}

std::vector<std::string> sgd_slots(const SgdConfig& config) {
  if (config.momentum == 0) return {};
  return {"velocity"};
}

}  // namespace

Optimizer::Optimizer(Parameters parameters, std::vector<std::string> slot_names,
                     std::optional<std::vector<Range>> shard)
    : parameters_(std::move(parameters)),
      slot_names_(std::move(slot_names)),
      shard_(std::move(shard)) {
  check_parameters(parameters_);
  if (shard_) {
    make_shard_slots();
  } else {
    make_slots();
  }
}

namespace {

// The flat view of `n` elements that begins where `first` does.
Tensor flat_from(const Tensor& first, int64_t n) {
  return first.strided_view({n}, {1});
}

Tensor part_of(const Tensor& flat, int64_t begin, int64_t n) {
  return flat.strided_view({n}, {1}, begin);
}

int64_t place_of(const Tensor& t) {
  return t.impl()->offset;
}

// Whether `next` lies as far behind `first` as `distance` says, in the same memory.
bool lies_behind(const Tensor& first, const Tensor& next, int64_t distance) {
  return first.defined() == next.defined() &&
         (!first.defined() ||
          (first.impl()->storage == next.impl()->storage && next.is_contiguous() &&
           first.dtype() == next.dtype() && place_of(next) - place_of(first) == distance));
}

}  // namespace

void Optimizer::make_slots() {
  const MemoryScope scope(MemoryCategory::optimizer);
  struct Range {
    int64_t begin = 0, end = 0;
    Tensors flat;  // one a slot
  };
  std::map<const Storage*, Range> ranges;
  for (const Parameter& parameter : parameters_) {
    const int64_t begin = place_of(parameter.value), end = begin + parameter.value.numel();
    const auto [at, is_new] =
        ranges.try_emplace(parameter.value.impl()->storage.get(), Range{begin, end, {}});
    at->second.begin = std::min(at->second.begin, begin);
    at->second.end = std::max(at->second.end, end);
  }
  for (const Parameter& parameter : parameters_) {
    const Tensor& value = parameter.value;
    Range& range = ranges.at(value.impl()->storage.get());
    Tensors& slots = slots_.emplace_back();
    for (size_t s = 0; s < slot_names_.size(); ++s) {
      if (range.flat.size() <= s)
        range.flat.push_back(
            Tensor::zeros({range.end - range.begin}, value.dtype(), value.device()));
      slots.push_back(range.flat[s].strided_view(value.shape(), contiguous_strides(value.shape()),
                                                 place_of(value) - range.begin));
    }
  }
}

void Optimizer::make_shard_slots() {
  const MemoryScope scope(MemoryCategory::optimizer);
  for (const Parameter& p : parameters_) {
    const Tensor grad = p.value.grad(), first = parameters_.front().value.grad();
    require<ConfigError>(grad.defined() && grad.impl()->storage == first.impl()->storage,
                         "optimizer: a shard is of parameters whose gradients lie in one flat "
                         "memory, got ",
                         p.name, grad.defined() ? " elsewhere" : " without a gradient",
                         ", expected a parameter arena");
  }
  int64_t n = 0;
  for (const Range& part : *shard_) n += part.end - part.begin;
  if (parameters_.empty()) return;
  const Tensor& like = parameters_.front().value;
  for (size_t s = 0; s < slot_names_.size(); ++s)
    shard_slots_.push_back(Tensor::zeros({n}, like.dtype(), like.device()));
}

void Optimizer::shard_masters(int64_t n_copied) {
  require<ConfigError>(shard_.has_value() && !parameters_.empty(),
                       "optimizer: masters, got no shard, expected parts to keep them in");
  int64_t n = 0;
  for (const Range& part : *shard_)
    n += std::max<int64_t>(0, std::min(part.end, n_copied) - part.begin);
  const Tensor& like = parameters_.front().value;
  const MemoryScope scope(MemoryCategory::weights);
  const Tensor masters =
      masters_.defined() ? masters_ : Tensor::zeros({n}, like.dtype(), like.device());
  masters_ = {};
  const std::vector<Piece> from = pieces();
  masters_ = masters;
  std::vector<Piece> to = pieces();
  for (size_t i = 0; i < to.size(); ++i)
    if (to[i].copy.defined()) to[i].value.copy_from(from[i].value);
}

std::vector<Optimizer::Piece> Optimizer::pieces() const {
  const std::vector<Piece> whole = whole_pieces();
  if (!shard_) return whole;
  std::vector<Piece> pieces;
  int64_t before = 0;  // elements of the shard's parts so far
  for (const Range& part : *shard_) {
    for (Piece& mine : cut(whole, part)) {
      const int64_t place = before + place_of(mine.grad) - part.begin, n = mine.value.numel();
      for (const Tensor& slot : shard_slots_) mine.slots.push_back(part_of(slot, place, n));
      if (masters_.defined() && mine.copy.defined()) mine.value = part_of(masters_, place, n);
      pieces.push_back(std::move(mine));
    }
    before += part.end - part.begin;
  }
  return pieces;
}

std::vector<Optimizer::Piece> Optimizer::cut(const std::vector<Piece>& whole, const Range& range) {
  std::vector<Piece> pieces;
  for (const Piece& piece : whole) {
    const int64_t n = piece.value.numel(), begin = place_of(piece.grad);
    const int64_t from = std::max(begin, range.begin), to = std::min(begin + n, range.end);
    if (from >= to) continue;
    const auto within = [&](const Tensor& t) {
      return t.defined() ? part_of(flat_from(t, n), from - begin, to - from) : t;
    };
    Piece& mine = pieces.emplace_back();
    mine.value = within(piece.value);
    mine.grad = within(piece.grad);
    mine.copy = within(piece.copy);
    for (const Tensor& slot : piece.slots) mine.slots.push_back(within(slot));
    mine.decay = piece.decay;
  }
  return pieces;
}

std::vector<Optimizer::Piece> Optimizer::whole_pieces() const {
  std::vector<Piece> pieces;
  int64_t numel = 0;  // of the last piece, gaps included
  for (size_t i = 0; i < parameters_.size(); ++i) {
    const Parameter& p = parameters_[i];
    const Tensor grad = p.value.grad(), copy = p.value.low_precision();
    if (!grad.defined()) continue;
    if (!pieces.empty() && pieces.back().grad.is_contiguous()) {
      Piece& last = pieces.back();
      const int64_t start = (numel + kFlatAlignment - 1) / kFlatAlignment * kFlatAlignment;
      bool follows = last.decay == p.decay && lies_behind(last.value, p.value, start) &&
                     lies_behind(last.grad, grad, start) && lies_behind(last.copy, copy, start);
      for (size_t s = 0; s < last.slots.size(); ++s)
        follows = follows && lies_behind(last.slots[s], slots_[i][s], start);
      if (follows) {
        numel = start + p.value.numel();
        last.value = flat_from(last.value, numel);
        last.grad = flat_from(last.grad, numel);
        if (copy.defined()) last.copy = flat_from(last.copy, numel);
        for (Tensor& slot : last.slots) slot = flat_from(slot, numel);
        continue;
      }
    }
    pieces.push_back({p.value, grad, copy, shard_ ? Tensors{} : slots_[i], p.decay});
    numel = p.value.numel();
  }
  return pieces;
}

Tensors Optimizer::flat_gradients() const {
  Tensors gradients;
  for (const Piece& piece : pieces()) gradients.push_back(piece.grad);
  return gradients;
}

void Optimizer::step_on_device(const ops::UpdateScalars& scalars) {
  const auto scope = MemoryScope::op("optimizer step");
  for (const Piece& piece : pieces()) update(piece, {1, 0, 1, scalars});
}

void Optimizer::step_on_device(const ops::UpdateScalars& scalars, const Range& range) {
  const auto scope = MemoryScope::op("optimizer step");
  for (const Piece& piece : cut(pieces(), range)) update(piece, {1, 0, 1, scalars});
}

void Optimizer::step(double lr, double grad_scale) {
  const auto scope = MemoryScope::op("optimizer step");
  require_range(finite_not_negative(lr), "the learning rate", lr, "finite and not negative");
  require_range(std::isfinite(grad_scale), "the gradient scale", grad_scale, "finite");
  ++step_count_;
  for (const Piece& piece : pieces()) update(piece, {step_count_, lr, grad_scale, {}});
}

NamedTensors Optimizer::state() const {
  require<ConfigError>(!shard_ || slot_names_.empty(),
                       "optimizer: the state of a shard is no whole state, expected "
                       "DataParallel::gathered_state");
  NamedTensors out;
  for (size_t s = 0; s < slot_names_.size(); ++s)
    for (size_t i = 0; i < parameters_.size(); ++i)
      out.emplace_back(slot_names_[s] + "." + parameters_[i].name, slots_[i][s]);
  return out;
}

int64_t Optimizer::state_bytes() const {
  int64_t n = 0;
  for (const Tensor& slot : shard_slots_) n += slot.numel() * size_of(slot.dtype());
  for (const Tensors& slots : slots_)
    for (const Tensor& slot : slots) n += slot.numel() * size_of(slot.dtype());
  return n;
}

void Optimizer::load_state(const NamedTensors& state, int64_t step_count) {
  require<FormatError>(step_count >= 0,
                       "optimizer state: the step count must not be negative, got ", step_count);
  std::map<std::string, Tensor> given;
  for (const auto& [name, tensor] : state)
    require<FormatError>(given.emplace(name, tensor).second, "optimizer state: ", name,
                         " appears twice");
  // Where each belongs: the parameter's number, and the slot's.
  struct Place {
    size_t parameter, slot;
  };
  std::map<std::string, Place> places;
  for (size_t i = 0; i < slot_names_.size(); ++i)
    for (size_t p = 0; p < parameters_.size(); ++p)
      places.emplace(slot_names_[i] + "." + parameters_[p].name, Place{p, i});
  for (const auto& [name, place] : places) {
    const auto found = given.find(name);
    require<FormatError>(found != given.end() && found->second.defined(), "optimizer state: ", name,
                         " is missing (saved by another optimizer or for another model?)");
    const Tensor &saved = found->second, &like = parameters_[place.parameter].value;
    require<FormatError>(saved.shape() == like.shape() && saved.dtype() == like.dtype(),
                         "optimizer state: ", name, " differs, got ", to_string(saved.shape()), " ",
                         name_of(saved.dtype()), ", expected ", to_string(like.shape()), " ",
                         name_of(like.dtype()));
  }
  for (const auto& [name, tensor] : given)
    require<FormatError>(places.count(name) == 1, "optimizer state: unknown tensor ", name,
                         " (saved by another optimizer or for another model?)");
  for (const auto& [name, place] : places) load_slot(place.parameter, place.slot, given.at(name));
  step_count_ = step_count;
}

void Optimizer::load_slot(size_t parameter, size_t slot, const Tensor& saved) {
  if (!shard_) {
    slots_[parameter][slot].copy_from(saved);
    return;
  }
  const Tensor& value = parameters_[parameter].value;
  const Tensor flat = flat_from(saved.is_contiguous() ? saved : saved.clone(), saved.numel());
  const int64_t begin = place_of(value.grad()), end = begin + value.numel();
  int64_t before = 0;
  for (const Range& part : *shard_) {
    const int64_t from = std::max(begin, part.begin), to = std::min(end, part.end);
    if (from < to)
      part_of(shard_slots_[slot], before + from - part.begin, to - from)
          .copy_from(part_of(flat, from - begin, to - from));
    before += part.end - part.begin;
  }
}

void AdamWConfig::validate() const {
  require_range(fraction(beta1), "beta1", beta1, "in [0, 1)");
  require_range(fraction(beta2), "beta2", beta2, "in [0, 1)");
  require_range(finite_not_negative(eps), "eps", eps, "finite and not negative");
  require_range(finite_not_negative(weight_decay), "weight decay", weight_decay,
                "finite and not negative");
}

AdamW::AdamW(Parameters parameters, const AdamWConfig& config,
             std::optional<std::vector<Range>> shard)
    : Optimizer(std::move(parameters), {"moment1", "moment2"}, std::move(shard)), config_(config) {
  config_.validate();
}

void AdamW::update(const Piece& piece, const Step& step) {
  ops::adamw_update(piece.value, piece.grad, piece.slots[0], piece.slots[1],
                    {.lr = step.lr,
                     .beta1 = config_.beta1,
                     .beta2 = config_.beta2,
                     .eps = config_.eps,
                     .weight_decay = piece.decay ? config_.weight_decay : 0,
                     .step = step.count,
                     .grad_scale = step.grad_scale,
                     .on_device = step.on_device,
                     .copy = piece.copy});
}

void SgdConfig::validate() const {
  require_range(fraction(momentum), "momentum", momentum, "in [0, 1)");
  require_range(finite_not_negative(weight_decay), "weight decay", weight_decay,
                "finite and not negative");
  require<ConfigError>(!nesterov || momentum > 0,
                       "optimizer: nesterov needs a momentum above 0, got ", momentum);
}

Sgd::Sgd(Parameters parameters, const SgdConfig& config, std::optional<std::vector<Range>> shard)
    : Optimizer(std::move(parameters), sgd_slots(config), std::move(shard)), config_(config) {
  config_.validate();
}

void Sgd::update(const Piece& piece, const Step& step) {
  ops::sgd_update(piece.value, piece.grad, piece.slots.empty() ? Tensor{} : piece.slots[0],
                  {.lr = step.lr,
                   .momentum = config_.momentum,
                   .weight_decay = piece.decay ? config_.weight_decay : 0,
                   .grad_scale = step.grad_scale,
                   .nesterov = config_.nesterov,
                   .on_device = step.on_device,
                   .copy = piece.copy});
}

}  // namespace xlstm::optim
