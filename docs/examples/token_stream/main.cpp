// Text from a trained model, printed while it is made: token_stream CHECKPOINT [PROMPT]
// CHECKPOINT is a run folder, a checkpoint folder in it, or a folder with weights and a config.
#include <cstdio>
#include <string>

#include "core/error.h"
#include "tools/train/generation.h"
#include "tools/train/saved_model.h"

using namespace xlstm;

static void stream_text(const std::string& checkpoint, const std::string& prompt) {
  const train::SavedModel saved = train::load_saved_model({.ckpt_path = checkpoint});
  const data::Tokenizer tokenizer = train::load_tokenizer_of(saved, "");

  std::fputs(prompt.c_str(), stdout);
  train::GenerationStream stream(*saved.model, tokenizer, {prompt},
                                 {.max_new_tokens = 200, .temperature = 0.8, .top_k = 50});
  while (!stream.done()) {
    for (const auto& [row, text] : stream.next())  // one row per prompt; here only row 0
      std::fputs(text.c_str(), stdout);
    std::fflush(stdout);
  }
  std::fputs("\n", stdout);
}

int main(int argc, char** argv) {
  if (argc < 2 || argc > 3) {
    std::fprintf(stderr, "usage: token_stream CHECKPOINT [PROMPT]\n");
    return 2;
  }
  try {
    stream_text(argv[1], argc == 3 ? argv[2] : "Once upon a time");
  } catch (const Error& error) {
    std::fprintf(stderr, "token_stream: %s\n", error.what());
    return 1;
  }
}
