// The tokenizer as a program that peer_tokenizer.py talks to. Texts and ids come and go as records:
// a uint32 that says how many bytes follow, and these.
//
//   oracle_tokenizer encode FILE 0|1   texts to ids (int32); 1 allows special tokens
//   oracle_tokenizer decode FILE       ids to text
//   oracle_tokenizer nfc               texts to normalized texts
//   oracle_tokenizer time FILE TEXT    prints the MB/s of one thread that encodes a text file
//   oracle_tokenizer train TEXT N MIN OUT   trains N tokens on a text file, prints the seconds
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <iostream>

#include "core/error.h"
#include "core/json.h"
#include "data/bpe_trainer.h"
#include "data/nfc.h"
#include "data/stream_decoder.h"

namespace {

using xlstm::data::Tokenizer;

bool read_record(std::string& bytes) {
  uint32_t n = 0;
  if (std::fread(&n, sizeof n, 1, stdin) != 1) return false;
  bytes.resize(n);
  return std::fread(bytes.data(), 1, n, stdin) == n;
}

void write_record(const void* bytes, size_t n_bytes) {
  const uint32_t n = static_cast<uint32_t>(n_bytes);
  std::fwrite(&n, sizeof n, 1, stdout);
  std::fwrite(bytes, 1, n_bytes, stdout);
}

double seconds_since(std::chrono::steady_clock::time_point begin) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

void encode(const std::string& path, bool allow_special) {
  const Tokenizer tokenizer = Tokenizer::load(path);
  xlstm::data::PretokenCache cache;
  std::vector<int32_t> ids;
  for (std::string text; read_record(text);) {
    ids.clear();
    tokenizer.encode(text, allow_special, ids, cache);
    write_record(ids.data(), ids.size() * sizeof(int32_t));
  }
}

void decode(const std::string& path) {
  const Tokenizer tokenizer = Tokenizer::load(path);
  for (std::string record; read_record(record);) {
    std::vector<int32_t> ids(record.size() / sizeof(int32_t));
    std::copy_n(record.data(), ids.size() * sizeof(int32_t), reinterpret_cast<char*>(ids.data()));
    const std::string text = xlstm::data::lossy_utf8(tokenizer.decode(ids));
    write_record(text.data(), text.size());
  }
}

void normalize() {
  std::string storage;
  for (std::string text; read_record(text);) {
    const std::string_view normal = xlstm::data::to_nfc(text, storage);
    write_record(normal.data(), normal.size());
  }
}

void time(const std::string& path, const std::string& text_path) {
  const Tokenizer tokenizer = Tokenizer::load(path);
  const std::string text = xlstm::real_file_system().read_file(text_path);
  xlstm::data::PretokenCache cache;
  std::vector<int32_t> ids;
  double best = 1e9;
  for (int i = 0; i < 10; ++i) {
    ids.clear();
    const auto begin = std::chrono::steady_clock::now();
    tokenizer.encode(text, false, ids, cache);
    best = std::min(best, seconds_since(begin));
  }
  std::printf("%.1f\n", static_cast<double>(text.size()) / best / 1e6);
}

void train(const std::string& text_path, int64_t n_vocab, int64_t min_frequency,
           const std::string& out) {
  const std::string text = xlstm::real_file_system().read_file(text_path);
  const auto begin = std::chrono::steady_clock::now();
  xlstm::data::BpeTrainer trainer({.n_vocab = n_vocab, .min_frequency = min_frequency});
  trainer.add_text(text);
  const Tokenizer tokenizer = trainer.train();
  std::printf("%.3f\n", seconds_since(begin));
  tokenizer.save(out);
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> args(argv + 1, argv + argc);
  const std::string what = args.empty() ? "" : args[0];
  try {
    if (what == "encode" && args.size() == 3) {
      encode(args[1], args[2] == "1");
    } else if (what == "decode" && args.size() == 2) {
      decode(args[1]);
    } else if (what == "nfc" && args.size() == 1) {
      normalize();
    } else if (what == "time" && args.size() == 3) {
      time(args[1], args[2]);
    } else if (what == "train" && args.size() == 5) {
      train(args[1], std::atoll(args[2].c_str()), std::atoll(args[3].c_str()), args[4]);
    } else {
      std::cerr << "oracle_tokenizer: got wrong arguments, expected those in its head comment\n";
      return 2;
    }
  } catch (const std::exception& error) {
    std::cerr << error.what() << "\n";
    return 1;
  }
  return 0;
}
