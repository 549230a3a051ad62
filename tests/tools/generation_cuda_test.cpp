// Generation on a GPU: a recorded step against steps launched one by one, rows that end apart,
// logits that cannot be sampled from.
#include <set>

#include "core/autograd.h"
#include "tests/cuda_device.h"
#include "tests/tools/tiny_run.h"
#include "tools/train/placement.h"

namespace xlstm::train {
namespace {

using test::has_cuda_device;

struct Written {
  std::vector<std::vector<int32_t>> tokens;
  std::vector<std::string> texts;
  std::vector<RowEnd> ends;
  bool operator==(const Written&) const = default;
};

Written finish(GenerationStream& stream, size_t n) {
  Written out;
  out.texts.resize(n);
  while (!stream.done())
    for (const auto& [row, text] : stream.next()) out.texts[static_cast<size_t>(row)] += text;
  for (size_t row = 0; row < n; ++row) {
    out.tokens.push_back(stream.tokens(static_cast<int64_t>(row)));
    out.ends.push_back(stream.row_end(static_cast<int64_t>(row)));
  }
  return out;
}

// A model of both kinds of blocks or of architecture B, in a precision, with its tokenizer.
struct Writer {
  explicit Writer(const std::string& precision, bool large = false, bool copies = false)
      : trainer((run.config.trainer.accelerator = "cpu", run.config), run.services()) {
    RunConfig config = run.config;
    config.trainer.accelerator = "gpu";
    config.trainer.precision = precision;
    if (large) {
      layers::XlstmLargeConfig b;
      b.embedding_dim = 64;
      b.num_heads = 2;
      b.num_blocks = 3;
      config.model = b;
    }
    std::visit([&](auto& m) { m.vocab_size = trainer.model().n_vocab(); }, config.model);
    const Placement placement = inference_placement(config.trainer);
    model = layers::make_language_model(config.model, 3, placement.parameters);
    if (copies) {
      place(*model, placement);
      add_copies(*model, placement);
    } else {
      place_for_inference(*model, placement);
    }
  }
  Written write(const std::vector<std::string>& prompts, GenerationOptions options, bool graph) {
    options.cuda_graph = graph;
    GenerationStream stream(*model, trainer.tokenizer(), prompts, options);
    return finish(stream, prompts.size());
  }

  TinyRun run;
  Trainer trainer;
  std::unique_ptr<layers::LanguageModel> model;
};

TEST_CASE("a recorded step writes what steps one by one write, bit for bit") {
  if (!has_cuda_device()) return;
  for (const char* precision : {"32-true", "bf16-mixed", "bf16-true", "16-mixed"})
    for (const bool large : {false, true}) {
      CAPTURE(precision, large);
      Writer writer(precision, large);
      const std::vector<std::string> prompts = {"Once upon a time there was", "The", ""};
      for (const size_t n : {size_t{1}, prompts.size()}) {
        const std::vector<std::string> some(prompts.begin(),
                                            prompts.begin() + static_cast<std::ptrdiff_t>(n));
        for (const double temperature : {0.0, 0.9}) {
          const GenerationOptions options{.max_new_tokens = 40,
                                          .temperature = temperature,
                                          .top_k = 30,
                                          .seed = 5,
                                          .stop_at_end_of_text = false};
          const Written want = writer.write(some, options, false);
          for (int i = 0; i < 3; ++i) CHECK(writer.write(some, options, true) == want);
          // Positions differ: a replay does not draw the same number again.
          if (temperature > 0)
            CHECK(std::set<int32_t>(want.tokens[0].begin(), want.tokens[0].end()).size() > 5);
        }
      }
    }
}

TEST_CASE("in float32 a GPU writes what the CPU writes") {
  if (!has_cuda_device()) return;
  Writer writer("32-true");
  const auto on_cpu = layers::make_language_model(
      [&] {
        auto config = writer.run.config.model;
        std::visit([&](auto& m) { m.vocab_size = writer.model->n_vocab(); }, config);
        return config;
      }(),
      3);
  const std::vector<std::string> prompts = {"Once upon a time", "A dog"};
  const GenerationOptions options{
      .max_new_tokens = 30, .temperature = 0.8, .seed = 2, .stop_at_end_of_text = false};
  GenerationStream stream(*on_cpu, writer.trainer.tokenizer(), prompts, options);
  CHECK(writer.write(prompts, options, true) == finish(stream, prompts.size()));
}

TEST_CASE("rows that end at different times leave the others as they would be without a graph") {
  if (!has_cuda_device()) return;
  Writer writer("32-true");
  // At a high temperature an untrained model soon draws the end of text.
  const std::vector<std::string> prompts(16, "The");
  GenerationOptions options{.max_new_tokens = 5000, .temperature = 2, .seed = 1};
  std::vector<size_t> lengths;
  for (const auto& tokens : writer.write(prompts, options, false).tokens)
    lengths.push_back(tokens.size());
  std::sort(lengths.begin(), lengths.end());
  options.max_new_tokens = static_cast<int64_t>(lengths[11]) + 1;  // enough for 12 of them
  const Written want = writer.write(prompts, options, false);
  CHECK(std::count(want.ends.begin(), want.ends.end(), RowEnd::end_of_text) >= 12);
  CHECK(std::count(want.ends.begin(), want.ends.end(), RowEnd::length) > 0);
  CHECK(writer.write(prompts, options, true) == want);
}

TEST_CASE("a recorded step draws with every option as steps one by one, and notes what was seen") {
  if (!has_cuda_device()) return;
  Writer writer("32-true");
  GenerationOptions options{.max_new_tokens = 400,
                            .temperature = 1.5,
                            .top_k = 200,
                            .top_p = 0.95,
                            .min_p = 0.001,
                            .repetition_penalty = 1.3,
                            .seed = 4,
                            .stop = {"the", "qu"}};
  options.n_samples = 6;
  const auto write = [&](bool graph) {
    options.cuda_graph = graph;
    GenerationStream stream(*writer.model, writer.trainer.tokenizer(), {"Once upon", "The"},
                            options);
    return finish(stream, 12);
  };
  const Written want = write(false);
  CHECK(write(true) == want);
  // Greedy with a strong penalty: no token comes twice while others are left.
  options = {.max_new_tokens = 40,
             .temperature = 0,
             .repetition_penalty = 1000,
             .stop_at_end_of_text = false};
  const Written greedy = writer.write({"Once"}, options, true);
  CHECK(greedy == writer.write({"Once"}, options, false));
  CHECK(std::set<int32_t>(greedy.tokens[0].begin(), greedy.tokens[0].end()).size() > 20);
}

TEST_CASE("on a GPU a stream goes on exactly where another one ended") {
  if (!has_cuda_device()) return;
  for (const char* precision : {"32-true", "bf16-true"}) {
    Writer writer(precision);
    GenerationOptions options{.max_new_tokens = 20,
                              .temperature = 0.9,
                              .repetition_penalty = 1.2,
                              .seed = 5,
                              .stop_at_end_of_text = false};
    const Written whole = writer.write({"Once upon a time"}, options, true);
    options.max_new_tokens = 8;
    GenerationStream first(*writer.model, writer.trainer.tokenizer(), {"Once upon a time"},
                           options);
    while (!first.done()) first.next();
    const TextState state = first.finish();
    options.max_new_tokens = 12;
    GenerationStream second(*writer.model, writer.trainer.tokenizer(), {""}, options, state);
    while (!second.done()) second.next();
    TokenIds both = first.tokens(0);
    both.insert(both.end(), second.tokens(0).begin(), second.tokens(0).end());
    CHECK(both == whole.tokens[0]);
  }
}

TEST_CASE("weights rounded in place write what weights with rounded copies write") {
  if (!has_cuda_device()) return;
  for (const char* precision : {"bf16-mixed", "bf16-true", "16-mixed"})
    for (const bool large : {false, true}) {
      CAPTURE(precision, large);
      const Writer rounded(precision, large);
      const Writer copied(precision, large, true);
      const auto logits = [](const Writer& writer) {
        const Tensor tokens = Tensor::from<int64_t>({5, 3, 9, 4, 100, 7}, {1, 6});
        const autograd::NoGrad no_grad;
        return writer.model->forward(tokens.to(writer.model->device())).logits.to_vector<double>();
      };
      // Vectors that are read in float32 beside copies are rounded too.
      const auto a = logits(rounded), b = logits(copied);
      double difference = 0, largest = 0;
      for (size_t i = 0; i < a.size(); ++i) {
        difference = std::max(difference, std::abs(a[i] - b[i]));
        largest = std::max(largest, std::abs(b[i]));
      }
      CHECK(difference <= 0.02 * largest);
      for (const Tensor& parameter : rounded.model->parameters())
        CHECK(((parameter.dtype() != DType::f32) ==
               (parameter.dim() == 2 || std::string(precision) == "bf16-true")));
    }
}

TEST_CASE("two texts written in turns do not disturb each other's recorded steps") {
  if (!has_cuda_device()) return;
  Writer writer("bf16-true");
  const GenerationOptions options{.max_new_tokens = 30, .seed = 5, .stop_at_end_of_text = false};
  const Written want_a = writer.write({"Once upon"}, options, false);
  const Written want_b = writer.write({"A dog", "The"}, options, false);
  GenerationStream a(*writer.model, writer.trainer.tokenizer(), {"Once upon"}, options);
  for (int i = 0; i < 6; ++i) a.next();  // recorded by now
  GenerationStream b(*writer.model, writer.trainer.tokenizer(), {"A dog", "The"}, options);
  while (!a.done() && !b.done()) {
    a.next();
    b.next();
  }
  CHECK(finish(a, 1).tokens == want_a.tokens);
  CHECK(finish(b, 2).tokens == want_b.tokens);
}

TEST_CASE("logits that cannot be sampled from end generation on a GPU with an error") {
  if (!has_cuda_device()) return;
  for (const bool graph : {false, true})
    for (const int n_before : {1, 5}) {
      CAPTURE(graph, n_before);
      Writer writer("32-true");
      GenerationStream stream(
          *writer.model, writer.trainer.tokenizer(), {"Once", "The"},
          {.max_new_tokens = 9, .stop_at_end_of_text = false, .cuda_graph = graph});
      for (int i = 0; i < n_before; ++i) stream.next();
      for (Tensor& parameter : writer.model->parameters()) parameter.fill(NAN);
      CHECK_THROWS_WITH(stream.next(), test::contains("sample: row 0 has the logit nan at id 0"));
    }
}

}  // namespace
}  // namespace xlstm::train
