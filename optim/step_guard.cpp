#include "optim/step_guard.h"

#include <cmath>
#include <sstream>

namespace xlstm::optim {
namespace {

constexpr size_t kNamedTensors = 5;  // tensors that a report lists

template <class T>
void scan(const T* x, int64_t n, BadGradient& bad) {
  for (int64_t i = 0; i < n; ++i) {
    if (std::isfinite(x[i])) continue;
    if (bad.count++ == 0) {
      bad.first_index = i;
      bad.value = static_cast<double>(x[i]);
    }
  }
}

std::string make_report(double loss, double gradient_norm, const Parameters& parameters) {
  std::ostringstream out;
  out << "loss " << loss << ", gradient norm " << gradient_norm;
  const std::vector<BadGradient> bad = find_bad_gradients(parameters);
  if (bad.empty()) {
    out << (std::isfinite(gradient_norm) ? "; every gradient is finite"
                                         : "; every gradient is finite, their squares overflow");
    return out.str();
  }
  out << "; not finite in " << bad.size() << " of " << parameters.size() << " gradients:";
  for (size_t i = 0; i < bad.size() && i < kNamedTensors; ++i)
    out << (i == 0 ? " " : ", ") << bad[i].name << "[" << bad[i].first_index
        << "] = " << bad[i].value << " (" << bad[i].count << " such)";
  if (bad.size() > kNamedTensors) out << ", ...";
  return out.str();
}

}  // namespace

std::vector<BadGradient> find_bad_gradients(const Parameters& parameters) {
  std::vector<BadGradient> found;
  for (const Parameter& parameter : parameters) {
    Tensor grad = parameter.value.grad();
    if (!grad.defined()) continue;
    if (!grad.is_contiguous()) grad = grad.clone();
    BadGradient bad{parameter.name};
    if (grad.dtype() == DType::f32) {
      scan(grad.data<float>(), grad.numel(), bad);
    } else {
      scan(grad.data<double>(), grad.numel(), bad);
    }
    if (bad.count > 0) found.push_back(bad);
  }
  return found;
}

StepGuard::StepGuard(int64_t max_in_a_row) : max_in_a_row_(max_in_a_row) {
  require<ConfigError>(max_in_a_row >= 1,
                       "step guard: the number of skips that end a run must be at least 1, got ",
                       max_in_a_row);
}

bool StepGuard::allows(double loss, double gradient_norm, const Parameters& parameters) {
  if (std::isfinite(loss) && std::isfinite(gradient_norm)) {
    n_in_a_row_ = 0;
    return true;
  }
  ++n_skipped_;
  ++n_in_a_row_;
  report_ = make_report(loss, gradient_norm, parameters);
  stop_if_too_many();
  return false;
}

void StepGuard::stop_if_too_many() const {
  require<NonFiniteError>(n_in_a_row_ < max_in_a_row_, "training stopped: ", n_in_a_row_,
                          " updates in a row were not finite, the last with ", report_,
                          " (lower the learning rate, clip gradients or look at the data)");
}

void StepGuard::learn(bool skipped, double loss, double gradient_norm, int64_t n_skipped,
                      int64_t n_in_a_row) {
  n_skipped_ = n_skipped;
  n_in_a_row_ = n_in_a_row;
  if (!skipped) return;
  report_ = detail::concat("loss ", loss, ", gradient norm ", gradient_norm);
  stop_if_too_many();
}

void StepGuard::restore(int64_t n_skipped, int64_t n_in_a_row) {
  require<FormatError>(n_in_a_row >= 0 && n_in_a_row <= n_skipped,
                       "step guard: impossible counters, got ", n_skipped, " skipped and ",
                       n_in_a_row, " in a row");
  n_skipped_ = n_skipped;
  n_in_a_row_ = n_in_a_row;
}

}  // namespace xlstm::optim
