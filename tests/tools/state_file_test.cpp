#include "tools/train/state_file.h"

#include "core/autograd.h"
#include "core/error.h"
#include "core/safetensors.h"
#include "tests/catch.h"
#include "tests/tools/tiny_run.h"
#include "tools/train/generation.h"

namespace xlstm::train {
namespace {

// A model with its tokenizer, of either architecture.
struct Writer {
  explicit Writer(bool large = false, uint64_t seed = 3) : trainer(run.config, run.services()) {
    layers::ModelConfig config = run.config.model;
    if (large) {
      layers::XlstmLargeConfig b;
      b.embedding_dim = 32;
      b.num_heads = 2;
      b.num_blocks = 2;
      config = b;
    }
    std::visit([&](auto& m) { m.vocab_size = trainer.model().n_vocab(); }, config);
    model = layers::make_language_model(config, seed);
    owner = StateOwner::of(*model, tokenizer());
  }
  const data::Tokenizer& tokenizer() const { return trainer.tokenizer(); }
  TextState read(const std::string& text, const TextState& before = {}) const {
    return read_on(*model, before, prompt_tokens(tokenizer(), text, !before.empty(), {}));
  }
  TokenIds write(const std::string& prompt, const TextState& before, double penalty = 1.2) const {
    GenerationStream stream(*model, tokenizer(), {prompt},
                            {.max_new_tokens = 15,
                             .temperature = 0.9,
                             .repetition_penalty = penalty,
                             .seed = 8,
                             .stop_at_end_of_text = false},
                            before);
    while (!stream.done()) stream.next();
    return stream.tokens(0);
  }
  std::string path(const std::string& name) const { return run.dir.path(name); }

  TinyRun run;
  Trainer trainer;
  std::unique_ptr<layers::LanguageModel> model;
  StateOwner owner;
};

std::string bytes_of(const TextState& text) {
  std::string bytes;
  for (const auto& [name, tensor] : text.state.named_tensors())
    bytes.append(static_cast<const char*>(tensor.clone().raw()),
                 static_cast<size_t>(tensor.numel() * size_of(tensor.dtype())));
  bytes.append(static_cast<const char*>(text.logits.clone().raw()),
               static_cast<size_t>(text.logits.numel() * size_of(text.logits.dtype())));
  bytes.append(text.seen.begin(), text.seen.end());
  return bytes;
}

TEST_CASE("a state comes back from its file bit for bit") {
  for (const bool large : {false, true}) {
    const Writer writer(large);
    const TextState text = writer.read("Once upon a time there was a dog");
    save_text_state(writer.path("s"), text, writer.owner);
    const TextState back = load_text_state(writer.path("s"), *writer.model, writer.owner);
    CHECK((bytes_of(back) == bytes_of(text)));
    CHECK(back.n_read == text.n_read);
    CHECK(back.n_drawn == 0);
    // Going on from the file, from the state, and with the whole prompt is the same.
    CHECK(writer.write("", back) == writer.write("", text));
    CHECK(writer.write("", back) == writer.write("Once upon a time there was a dog", {}));
    CHECK(writer.write(" and a cat", back) == writer.write(" and a cat", text));
    // A state can be forked many times: nobody writes into it.
    CHECK((bytes_of(back) == bytes_of(text)));
  }
}

TEST_CASE("a text cut where it is read in pieces anyway is the same bits as in one go") {
  for (const bool large : {false, true}) {
    const Writer writer(large);
    TokenIds ids;
    for (int64_t t = 0; t < kReadTokens + 70; ++t)
      ids.push_back(static_cast<int32_t>((t * t + 3 * t) % writer.tokenizer().n_vocab()));
    const TextState whole = read_on(*writer.model, {}, ids);
    const TokenIds a(ids.begin(), ids.begin() + kReadTokens),
        b(ids.begin() + kReadTokens, ids.end());
    save_text_state(writer.path("s"), read_on(*writer.model, {}, a), writer.owner);
    const TextState parts =
        read_on(*writer.model, load_text_state(writer.path("s"), *writer.model, writer.owner), b);
    CHECK((bytes_of(parts) == bytes_of(whole)));
    // Elsewhere it is the same but for rounding.
    const TokenIds c(ids.begin(), ids.begin() + 333), d(ids.begin() + 333, ids.end());
    const TextState other = read_on(*writer.model, read_on(*writer.model, {}, c), d);
    CHECK(other.n_read == whole.n_read);
    CHECK(other.seen == whole.seen);
    const auto got = other.logits.to_vector<double>(), want = whole.logits.to_vector<double>();
    for (size_t v = 0; v < want.size(); ++v) CHECK(got[v] == Approx(want[v]).margin(1e-4));
  }
}

TEST_CASE("a state file has one size, whatever was read") {
  const Writer writer;
  std::vector<size_t> sizes;
  for (const int n : {1, 10, 3000}) {
    TokenIds ids(static_cast<size_t>(n), 5);
    TextState text = read_on(*writer.model, {}, ids);
    // Counts are text: with as many digits they are as long.
    text.n_read = text.n_drawn = 7;
    save_text_state(writer.path("s"), text, writer.owner);
    sizes.push_back(real_file_system().read_file(writer.path("s")).size());
  }
  CHECK(sizes[0] == sizes[1]);
  CHECK(sizes[0] == sizes[2]);
}

TEST_CASE("the state of another model or tokenizer is refused") {
  const Writer writer, other_weights(false, 4), other_model(true);
  save_text_state(writer.path("s"), writer.read("Once"), writer.owner);
  const auto refusal = [&](const Writer& reader, const StateOwner& owner) -> std::string {
    try {
      load_text_state(writer.path("s"), *reader.model, owner);
    } catch (const FormatError& error) {
      return error.what();
    }
    return "accepted";
  };
  CHECK(refusal(writer, writer.owner) == "accepted");
  CHECK_THAT(refusal(other_weights, other_weights.owner), test::contains("other weights") &&
                                                              test::contains("got weights") &&
                                                              test::contains("expected"));
  CHECK_THAT(refusal(other_model, other_model.owner), test::contains("another configuration"));
  StateOwner owner = writer.owner;
  owner.tokenizer = "0123456789abcdef";
  CHECK_THAT(refusal(writer, owner), test::contains("another tokenizer"));
  // One step of training is another model.
  Writer trained;
  const StateOwner before = StateOwner::of(trained.trainer.model(), trained.tokenizer());
  trained.trainer.step();
  CHECK(StateOwner::of(trained.trainer.model(), trained.tokenizer()).weights != before.weights);
}

TEST_CASE("every damaged byte of a state file is found") {
  const Writer writer;
  save_text_state(writer.path("s"), writer.read("Once upon a time"), writer.owner);
  const std::string good = real_file_system().read_file(writer.path("s"));
  size_t n_refused = 0, n_tried = 0;
  for (size_t at = 0; at < good.size(); at += at < 1500 ? 1 : 97) {
    std::string bad = good;
    bad[at] = static_cast<char>(bad[at] ^ 1);
    real_file_system().write_file(writer.path("bad"), bad);
    ++n_tried;
    try {
      // A byte of the header's padding may be another white space: then nothing was lost.
      const TextState text = load_text_state(writer.path("bad"), *writer.model, writer.owner);
      INFO(at);
      CHECK((bytes_of(text) ==
             bytes_of(load_text_state(writer.path("s"), *writer.model, writer.owner))));
    } catch (const FormatError&) {
      ++n_refused;
    }
  }
  CHECK(n_refused >= n_tried - 8);
  for (const size_t size : {size_t{0}, size_t{7}, size_t{100}, good.size() - 1}) {
    real_file_system().write_file(writer.path("bad"), good.substr(0, size));
    CHECK_THROWS_AS(load_text_state(writer.path("bad"), *writer.model, writer.owner), FormatError);
  }
  CHECK_THROWS_AS(load_text_state(writer.path("none"), *writer.model, writer.owner), FileError);
}

TEST_CASE("files that only look like states are refused by what is wrong with them") {
  const Writer writer;
  save_text_state(writer.path("s"), writer.read("Once"), writer.owner);
  const SafetensorsFile file = SafetensorsFile::open(writer.path("s"));
  const auto refusal = [&](auto change) -> std::string {
    StringMap metadata = file.metadata();
    NamedTensors tensors = file.load_all();
    change(metadata, tensors);
    write_safetensors(writer.path("bad"), tensors, metadata);
    try {
      load_text_state(writer.path("bad"), *writer.model, writer.owner);
    } catch (const FormatError& error) {
      return error.what();
    }
    return "accepted";
  };
  const auto with = [&](const char* key, const char* value) {
    return refusal([&](StringMap& metadata, NamedTensors&) { metadata[key] = value; });
  };
  CHECK(refusal([](auto&, auto&) {}) == "accepted");
  CHECK_THAT(refusal([](StringMap& m, NamedTensors&) { m.clear(); }), test::contains("format"));
  CHECK_THAT(with("format", "pt"), test::contains("\"pt\""));
  CHECK_THAT(with("version", "2"), test::contains("version 2"));
  CHECK_THAT(with("version", "x"), test::contains("whole number"));
  CHECK_THAT(with("n_read", "0"), test::contains("n_read"));
  CHECK_THAT(with("n_read", "-3"), test::contains("n_read"));
  CHECK_THAT(with("n_drawn", "99"), test::contains("damaged"));
  CHECK_THAT(refusal([](auto&, NamedTensors& t) { t.pop_back(); }), test::contains("bad"));
  CHECK_THAT(refusal([](auto&, NamedTensors& t) { t.emplace_back("more", Tensor::zeros({1})); }),
             test::contains("tensors"));
  CHECK_THAT(refusal([](auto&, NamedTensors& t) {
               for (auto& [name, tensor] : t)
                 if (name == "logits") tensor = Tensor::zeros({2, 3});
             }),
             test::contains("logits"));
  CHECK_THAT(refusal([](auto&, NamedTensors& t) {
               for (auto& [name, tensor] : t)
                 if (name == "seen") tensor = Tensor::zeros(tensor.shape());
             }),
             test::contains("seen"));
  CHECK_THROWS_AS(save_text_state(writer.path("e"), {}, writer.owner), ConfigError);
}

}  // namespace
}  // namespace xlstm::train
