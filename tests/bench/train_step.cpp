// Times a whole training step (forward, backward, AdamW) and splits it into matrix products and the
// rest. The model is the one tests/oracle/peer_train_step.py times with PyTorch: xLSTM[7:1], 8
// blocks, width 256, 4 heads, vocabulary 4096.
//
// The linker wraps cblas_sgemm (see tests/CMakeLists.txt), so the library itself carries no timers.
#include <cblas.h>
#include <omp.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "core/autograd.h"
#include "core/ops/adamw.h"
#include "core/ops/view.h"
#include "layers/make_model.h"

namespace {

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

std::atomic<int64_t> product_nanoseconds{0}, product_flops{0};

}  // namespace

extern "C" {
void __real_cblas_sgemm(CBLAS_LAYOUT, CBLAS_TRANSPOSE, CBLAS_TRANSPOSE, blasint, blasint, blasint,
                        float, const float*, blasint, const float*, blasint, float, float*,
                        blasint);
void __wrap_cblas_sgemm(CBLAS_LAYOUT layout, CBLAS_TRANSPOSE ta, CBLAS_TRANSPOSE tb, blasint m,
                        blasint n, blasint k, float alpha, const float* a, blasint lda,
                        const float* b, blasint ldb, float beta, float* c, blasint ldc) {
  const double start = now();
  __real_cblas_sgemm(layout, ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
  product_nanoseconds += static_cast<int64_t>(1e9 * (now() - start));
  product_flops += int64_t{2} * m * n * k;
}
}

namespace xlstm {
namespace {

// What OpenBLAS reaches on this machine, now, with as many threads: one large product on each.
double peak_gflops(int threads) {
  constexpr int n = 1024;
  double best = 0;
  for (int repeat = 0; repeat < 5; ++repeat) {
    const double start = now();
#pragma omp parallel num_threads(threads)
    {
      thread_local std::vector<float> a(n * n, 1.0f), b(n * n, 1.0f), c(n * n, 0.0f);
      __real_cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, n, n, n, 1, a.data(), n, b.data(),
                         n, 0, c.data(), n);
    }
    if (repeat > 0) best = std::max(best, 2.0 * n * n * n * threads / (now() - start) / 1e9);
  }
  return best;
}

int64_t argument(int argc, char** argv, const std::string& name, int64_t fallback) {
  for (int i = 1; i + 1 < argc; ++i)
    if (argv[i] == "--" + name) return std::atoll(argv[i + 1]);
  return fallback;
}

int run(int argc, char** argv) {
  const int threads = static_cast<int>(argument(argc, argv, "threads", omp_get_num_procs()));
  const int64_t batch = argument(argc, argv, "batch", 8),
                time = argument(argc, argv, "context", 256);
  const int64_t steps = argument(argc, argv, "steps", 10);
  omp_set_num_threads(threads);

  layers::XlstmModelConfig config;
  config.vocab_size = 4096;
  config.embedding_dim = 256;
  config.num_blocks = 8;
  config.signature = {7, 1};
  const auto model = layers::make_language_model(config, 1);
  layers::ParameterArena arena(*model);
  Tensor moment1 = Tensor::zeros(arena.weights().shape()), moment2 = moment1.clone();

  Generator generator{3, 0};
  Tensor uniform = Tensor::empty({batch, time + 1});
  fill_uniform(uniform, 0, 4096, generator);
  Tensor tokens = Tensor::empty({batch, time + 1}, DType::i64);
  tokens.copy_from(uniform);
  const Tensor inputs = ops::contiguous(ops::slice(tokens, 1, 0, time));
  const Tensor targets = ops::contiguous(ops::slice(tokens, 1, 1, time + 1));

  double best = 1e30, best_products = 0, loss = 0;
  int64_t flops = 0;
  for (int64_t step = 1; step <= steps; ++step) {
    product_nanoseconds = product_flops = 0;
    const double start = now();
    arena.zero_grad();
    layers::HiddenOutput out = model->forward_hidden(inputs, {}, {}, {.training = true});
    const Tensor value = model->loss(out.hidden, targets);
    autograd::backward(value);
    ops::adamw_update(arena.weights(), arena.gradients(), moment1, moment2,
                      {.lr = 1e-3, .weight_decay = 0.01, .step = step});
    const double seconds = now() - start;
    loss = value.item();
    if (step > 1 && seconds < best) {
      best = seconds;
      best_products = 1e-9 * static_cast<double>(product_nanoseconds) / threads;
      flops = product_flops;
    }
  }
  const double peak = peak_gflops(threads);
  const double rate = static_cast<double>(flops) / best_products / threads / 1e9;
  std::printf(
      "xlstm.cu %d threads, batch %lld, context %lld: %.1f ms per step (best of %lld), %.2f M "
      "parameters, "
      "loss %.4f\n  matrix products %.1f ms = %.1f %% of the step, %.2f GFLOP at %.1f GFLOP/s per "
      "thread "
      "= %.0f %% of OpenBLAS's own %.1f\n  everything else %.1f ms; peak memory of tensors %.1f "
      "MB\n",
      threads, static_cast<long long>(batch), static_cast<long long>(time), best * 1e3,
      static_cast<long long>(steps - 1), static_cast<double>(model->n_parameters()) / 1e6, loss,
      best_products * 1e3, 100 * best_products / best, static_cast<double>(flops) / 1e9, rate,
      100 * rate * threads / peak, peak / threads, (best - best_products) * 1e3,
      static_cast<double>(memory_stats().peak_bytes) / 1e6);
  return 0;
}

}  // namespace
}  // namespace xlstm

int main(int argc, char** argv) {
  return xlstm::run(argc, argv);
}
