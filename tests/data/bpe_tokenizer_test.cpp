#include "data/bpe_tokenizer.h"

#include <filesystem>
#include <random>

#include "core/error.h"
#include "core/json.h"
#include "data/byte_alphabet.h"
#include "tests/catch.h"
#include "tests/test_data.h"

namespace xlstm::data {
namespace {

using xlstm::test::contains;

std::string golden(const char* name) {
  return real_file_system().read_file(testing::data_path(std::string("tests/data/golden/") + name));
}

Json golden_tokenizer() {
  return parse_json(golden("bpe_tokenizer.json"), "bpe_tokenizer.json");
}

Tokenizer load(const Json& json) {
  return Tokenizer::from_json(to_text(json), "t.json");
}

std::vector<int32_t> ids_of(const Json& array) {
  std::vector<int32_t> ids;
  for (const Json& id : array.as_array()) ids.push_back(static_cast<int32_t>(id.as_int()));
  return ids;
}

void set(Json& json, std::initializer_list<const char*> path, Json value) {
  Json* at = &json;
  for (const char* key : path)
    if (key != *(path.end() - 1)) at = at->find(key);
  at->set(*(path.end() - 1), std::move(value));
}

// The error of loading the golden tokenizer after one change.
template <class Change>
std::string error_after(const Change& change) {
  Json json = golden_tokenizer();
  change(json);
  try {
    load(json);
  } catch (const FormatError& error) {
    return error.what();
  }
  return "no error";
}

std::string error_of(std::initializer_list<const char*> path, const Json& value) {
  return error_after([&](Json& json) { set(json, path, value); });
}

TEST_CASE("ids equal those of Hugging Face tokenizers") {
  const Json cases = parse_json(golden("bpe_cases.json"), "bpe_cases.json");
  const Json::Array& texts = cases.find("texts")->as_array();
  for (const char* variant : {"plain", "prefix", "whole"}) {
    Json json = golden_tokenizer();
    set(json, {"pre_tokenizer", "add_prefix_space"}, std::string_view(variant) == "prefix");
    set(json, {"pre_tokenizer", "use_regex"}, std::string_view(variant) != "whole");
    const Tokenizer tokenizer = load(json);
    const Json::Array& expected = cases.find(variant)->as_array();
    REQUIRE(expected.size() == texts.size());
    PretokenCache cache;
    for (size_t i = 0; i < texts.size(); ++i) {
      INFO(variant << ": " << describe(texts[i]));
      const std::vector<int32_t> ids = tokenizer.encode(texts[i].as_string(), true);
      CHECK(ids == ids_of(expected[i]));
      std::vector<int32_t> cached;
      tokenizer.encode(texts[i].as_string(), true, cached, cache);
      CHECK(cached == ids);
    }
  }
}

// Normalizers, patterns, digits, flags of added tokens, ignore_merges.
TEST_CASE("ids equal those of Hugging Face tokenizers with every step around the model") {
  const Json all = parse_json(golden("bpe_variants.json"), "bpe_variants.json");
  for (const Json& variant : all.find("variants")->as_array()) {
    Json json = golden_tokenizer();
    for (const char* key : {"normalizer", "pre_tokenizer", "added_tokens"})
      set(json, {key}, *variant.find(key));
    set(json, {"model", "ignore_merges"}, *variant.find("ignore_merges"));
    const Tokenizer tokenizer = load(json);
    const Tokenizer again = Tokenizer::from_json(tokenizer.to_json(), "again");
    CHECK(again.fingerprint() == tokenizer.fingerprint());
    const Json::Array& texts = variant.find("texts")->as_array();
    PretokenCache cache;
    for (size_t i = 0; i < texts.size(); ++i) {
      INFO(variant.find("name")->as_string() << ": " << describe(texts[i]));
      const std::string& text = texts[i].as_string();
      std::vector<int32_t> cached;
      again.encode(text, true, cached, cache);
      CHECK(cached == ids_of(variant.find("special")->as_array()[i]));
      CHECK(tokenizer.encode(text) == ids_of(variant.find("plain")->as_array()[i]));
    }
  }
}

TEST_CASE("a tokenizer with a pattern of its own still gives any bytes back") {
  Json json = golden_tokenizer();
  set(json, {"pre_tokenizer"},
      parse_json(R"json({"type": "Sequence", "pretokenizers": [
    {"type": "Split", "pattern": {"Regex": "\\p{Lu}?\\p{Ll}+|\\s+(?!\\S)"}, "behavior": "Isolated"},
    {"type": "ByteLevel", "add_prefix_space": false, "use_regex": false}]})json",
                 "cut"));
  const Tokenizer tokenizer = load(json);
  std::mt19937 random(6);
  for (int i = 0; i < 1000; ++i) {
    std::string bytes(random() % 60, '\0');
    for (char& c : bytes) c = static_cast<char>(random() % (i % 2 ? 256 : 128));
    REQUIRE(tokenizer.decode(tokenizer.encode(bytes)) == bytes);
  }
}

TEST_CASE("tokens around a text come from the template, on request") {
  Json json = golden_tokenizer();
  const Json post = parse_json(R"({"type": "Sequence", "processors": [
    {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": false, "use_regex": true},
    {"type": "TemplateProcessing",
     "single": [{"SpecialToken": {"id": "<b>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
                {"SpecialToken": {"id": "<|endoftext|>", "type_id": 0}}],
     "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
     "special_tokens": {"<b>": {"id": "<b>", "ids": [5, 6], "tokens": ["x", "y"]},
       "<|endoftext|>": {"id": "<|endoftext|>", "ids": [0], "tokens": ["<|endoftext|>"]}}}]})",
                               "post");
  set(json, {"post_processor"}, post);
  const Tokenizer tokenizer = load(json);
  const std::vector<int32_t> ids = tokenizer.encode("a");
  REQUIRE(ids.size() == 1);
  CHECK(tokenizer.framed(ids) == std::vector<int32_t>{5, 6, ids[0], 0});
  CHECK(load(golden_tokenizer()).framed(ids) == ids);
  CHECK(*parse_json(tokenizer.to_json(), "again").find("post_processor") == post);
  json.find("post_processor")
      ->find("processors")
      ->as_array()[1]
      .find("special_tokens")
      ->find("<b>")
      ->set("ids", Json::Array{420});
  CHECK_THROWS_WITH(load(json), contains("post_processor adds token 420"));
}

TEST_CASE("any bytes come back exactly") {
  const Tokenizer tokenizer = load(golden_tokenizer());
  std::mt19937 random(5);
  PretokenCache cache;
  for (int i = 0; i < 2000; ++i) {
    std::string bytes(random() % 200, '\0');
    const auto limit = i % 2 ? 256 : 128;
    for (char& c : bytes) c = static_cast<char>(random() % limit);
    std::vector<int32_t> ids;
    tokenizer.encode(bytes, false, ids, cache);
    REQUIRE(tokenizer.decode(ids) == bytes);
    REQUIRE(tokenizer.encode(bytes) == ids);
  }
  const std::string big = [] {
    std::string text;
    for (int i = 0; i < 2000; ++i) text += golden("bpe_text.txt").substr(0, 40);
    return text;
  }();
  CHECK(tokenizer.decode(tokenizer.encode(big)) == big);  // long enough for its own cache
}

TEST_CASE("special tokens are text unless they are allowed") {
  const Tokenizer tokenizer = load(golden_tokenizer());
  const std::string text = "a<|endoftext|>b";
  const std::vector<int32_t> allowed = tokenizer.encode(text, true), plain = tokenizer.encode(text);
  CHECK(allowed.size() == 3);
  CHECK(allowed[1] == tokenizer.end_of_text());
  CHECK(std::count(plain.begin(), plain.end(), tokenizer.end_of_text()) == 0);
  CHECK(tokenizer.decode(plain) == text);
  CHECK(tokenizer.decode(allowed) == text);
  CHECK(tokenizer.decode(allowed, true) == "ab");
}

TEST_CASE("of several added tokens the longest at the leftmost place wins") {
  TokenizerDefinition definition = load(golden_tokenizer()).definition();
  auto add = [&definition, next = static_cast<int32_t>(definition.vocab.size())](
                 const char* text, bool special, bool normalized) mutable {
    definition.added.push_back(
        {.content = text, .id = next++, .special = special, .normalized = normalized});
  };
  add("<x>", true, false);
  add("<x>y", true, false);
  add("  ", false, true);
  add("é<x", false, true);  // overlaps with <x>, which is searched first
  const Tokenizer tokenizer(definition);
  const auto texts_of = [&tokenizer](std::string_view text, bool allow_special) {
    std::vector<std::string> texts;
    for (const int32_t id : tokenizer.encode(text, allow_special))
      texts.push_back(tokenizer.bytes_of(id));
    return texts;
  };
  using Texts = std::vector<std::string>;
  CHECK(texts_of("<x>y<x>z", true) == Texts{"<x>y", "<x>", "z"});
  CHECK(texts_of("é<x>", true) == Texts{"\xC3", "\xA9", "<x>"});
  CHECK(texts_of("é<x>", false) == Texts{"é<x", ">"});
  CHECK(texts_of("z   z", false) == Texts{"z", "  ", " ", "z"});
}

TEST_CASE("tokenizer.json is written as Hugging Face writes it, and read back the same") {
  const Tokenizer tokenizer = Tokenizer::from_json(golden("bpe_tokenizer.json"), "golden");
  CHECK(tokenizer.to_json() == golden("bpe_tokenizer.json"));
  const Tokenizer again = Tokenizer::from_json(tokenizer.to_json(), "again");
  CHECK(again.fingerprint() == tokenizer.fingerprint());
  CHECK(again.n_vocab() == 420);
}

TEST_CASE("merges as strings, and vocab.json with merges.txt, mean the same") {
  Json json = golden_tokenizer();
  const Tokenizer tokenizer = load(json);
  Json strings = Json::array();
  std::string lines = "#version: 0.2\n";
  for (const Json& merge : json.find("model")->find("merges")->as_array()) {
    strings.push_back(merge.as_array()[0].as_string() + " " + merge.as_array()[1].as_string());
    lines += strings.as_array().back().as_string() + "\n";
  }
  const std::string vocab = to_text(*json.find("model")->find("vocab"));
  set(json, {"model", "merges"}, strings);
  CHECK(load(json).fingerprint() == tokenizer.fingerprint());
  const Tokenizer gpt2 = Tokenizer::from_vocab_and_merges(vocab, lines, "gpt2");
  CHECK(gpt2.fingerprint() == tokenizer.fingerprint());
  CHECK_THROWS_WITH(Tokenizer::from_vocab_and_merges(vocab, "a b c\n", "gpt2"),
                    contains("merges, line 1"));
  CHECK_THROWS_WITH(Tokenizer::from_vocab_and_merges(vocab, "t zzz\n", "gpt2"),
                    contains("\"zzz\" is not in the vocabulary"));
}

TEST_CASE("fields that change ids and are not implemented are refused by name") {
  const auto step = [](const char* text) { return parse_json(text, "step"); };
  const Json nfkc = step(R"({"type": "NFKC"})");
  CHECK_THAT(error_of({"normalizer"}, nfkc), contains("t.json: normalizer"));
  CHECK_THAT(
      error_of(
          {"normalizer"},
          step(R"({"type": "Sequence", "normalizers": [{"type": "NFC"}, {"type": "Lowercase"}]})")),
      contains("t.json: normalizer.normalizers[1]"));
  CHECK_THAT(error_of({"truncation"}, nfkc), contains("truncation"));
  CHECK_THAT(error_of({"padding"}, nfkc), contains("padding"));
  CHECK_THAT(error_of({"pre_tokenizer"}, nfkc), contains("pre_tokenizer"));
  CHECK_THAT(error_of({"pre_tokenizer"}, nullptr), contains("pre_tokenizer"));
  CHECK_THAT(error_of({"post_processor"}, nfkc), contains("post_processor"));
  CHECK_THAT(error_of({"decoder"}, nullptr), contains("decoder"));
  CHECK_THAT(error_of({"version"}, "2.0"), contains("version"));
  CHECK_THAT(error_of({"new_field"}, 1), contains("new_field"));
  CHECK_THAT(error_of({"model", "type"}, "Unigram"), contains("model.type"));
  CHECK_THAT(error_of({"model", "dropout"}, 0.1), contains("model.dropout"));
  CHECK_THAT(error_of({"model", "continuing_subword_prefix"}, "##"), contains("continuing"));
  CHECK_THAT(error_of({"model", "end_of_word_suffix"}, "</w>"), contains("end_of_word_suffix"));
  CHECK_THAT(error_of({"model", "byte_fallback"}, true), contains("model.byte_fallback"));
}

// The error of a pre_tokenizer that is a Sequence of `steps`.
std::string cut_error(const std::string& steps) {
  return error_of(
      {"pre_tokenizer"},
      parse_json("{\"type\": \"Sequence\", \"pretokenizers\": [" + steps + "]}", "cut"));
}

TEST_CASE("steps of a pre_tokenizer that are not implemented are refused by name") {
  const std::string last = R"({"type": "ByteLevel"})", digits = R"({"type": "Digits"})";
  const auto split = [&last](const std::string& rest) {
    return R"({"type": "Split", )" + rest + "}, " + last;
  };
  CHECK_THAT(cut_error(digits + ", " + last), contains("no error"));
  CHECK_THAT(cut_error(digits), contains("expected ByteLevel as the last step"));
  CHECK_THAT(cut_error(last + ", " + digits), contains("pretokenizers[1]"));
  CHECK_THAT(cut_error(R"({"type": "Metaspace"}, )" + last), contains("Metaspace"));
  CHECK_THAT(cut_error(split(R"("pattern": {"Regex": "a"}, "behavior": "Removed")")),
             contains("behavior: got string \"Removed\""));
  CHECK_THAT(
      cut_error(split(R"("pattern": {"Regex": "a"}, "behavior": "Isolated", "invert": true)")),
      contains("invert"));
  CHECK_THAT(cut_error(split(R"("pattern": {"String": ""}, "behavior": "Isolated")")),
             contains("empty String"));
  CHECK_THAT(cut_error(split(R"("pattern": {"Regex": "a\\b"}, "behavior": "Isolated")")),
             contains("t.json: pre_tokenizer: pattern"));
}

TEST_CASE("a damaged or hostile tokenizer.json is a FormatError") {
  const auto vocab_error = [](const Json& value) {
    return error_of({"model", "vocab", "the"}, value);
  };
  for (const Json& id : {Json(-1), Json(int64_t{1} << 40), Json(1000), Json(1.5), Json("1"),
                         Json(nullptr), Json(Json::array()), Json(3)})
    CHECK_THAT(vocab_error(id), contains("token \"the\": got id"));
  CHECK_THAT(error_of({"model", "vocab"}, Json::array()), contains("expected object"));
  CHECK_THAT(error_of({"model", "vocab"}, Json::object()), contains("not in the vocabulary"));
  CHECK_THAT(error_of({"model", "merges"}, 3), contains("expected array"));
  for (const Json& merge :
       {Json(3), Json("ab"), Json("a b c"), Json("a nosuchtoken"), Json(Json::Array{"a"}),
        Json(Json::Array{"a", 1}), Json(Json::Array{"a", "b", "c"}), Json("é Ġz")})
    CHECK_THAT(error_of({"model", "merges"}, Json(Json::Array{merge})),
               contains("model.merges[0]") || contains("merge 0 makes"));
  CHECK_THAT(error_of({"model"}, Json::object()), contains("vocab"));
  CHECK_THAT(error_of({"added_tokens"}, 1), contains("added_tokens"));
  const auto added_error = [](const char* content, const Json& id) {
    return error_after([&](Json& json) {
      Json token = json.find("added_tokens")->as_array()[0];
      token.set("content", content);
      token.set("id", id);
      json.find("added_tokens")->push_back(token);
    });
  };
  CHECK_THAT(added_error("<new>", 420), contains("no error"));
  CHECK_THAT(added_error("<new>", 421), contains("expected 420"));
  CHECK_THAT(added_error("<new>", 5), contains("expected 420"));
  CHECK_THAT(added_error("<new>", -1), contains("id"));
  CHECK_THAT(added_error("<new>", int64_t{1} << 32), contains("id"));
  CHECK_THAT(added_error("a", 420), contains("as in the vocabulary"));
  CHECK_THAT(added_error("", 420), contains("empty"));
  CHECK_THAT(added_error("<|endoftext|>", 0), contains("twice"));
  for (const char* text : {"", "{", "[]", "null", "{}", "{\"model\":{}}", "\xff"})
    CHECK_THROWS_AS(Tokenizer::from_json(text, "t.json"), FormatError);
  const std::string whole = golden("bpe_tokenizer.json");
  for (size_t n = 0; n < whole.size() - 2; n += 97)
    CHECK_THROWS_AS(Tokenizer::from_json(whole.substr(0, n), "t.json"), FormatError);
}

TEST_CASE("a byte may lack a token only if UTF-8 never has it") {
  const auto without = [](uint8_t byte) {
    TokenizerDefinition definition = load(golden_tokenizer()).definition();
    const char c = static_cast<char>(byte);
    for (std::string& text : definition.vocab)
      if (text == bytes_to_text({&c, 1})) text = "no longer a byte";
    return definition;
  };
  CHECK_THROWS_WITH(Tokenizer(without(0x80), "t"), contains("no token for byte 128"));
  const Tokenizer tokenizer(without(0xFF), "t");
  CHECK(tokenizer.decode(tokenizer.encode("h\xC3\xA9")) == "h\xC3\xA9");
  CHECK_THROWS_WITH(tokenizer.encode("a\xFF"), contains("byte 255"));
}

TEST_CASE("ids outside the vocabulary and a missing end of text are reported") {
  Json json = golden_tokenizer();
  const Tokenizer tokenizer = load(json);
  for (const int32_t id : {-1, 420, INT32_MAX})
    CHECK_THROWS_AS(tokenizer.decode(std::vector<int32_t>{id}), ConfigError);
  json.set("added_tokens", Json::array());
  const Tokenizer plain = load(json);
  CHECK_FALSE(plain.has_end_of_text());
  CHECK_THROWS_AS(plain.end_of_text(), ConfigError);
}

TEST_CASE("a tokenizer is found in a file and in a folder") {
  FileSystem& files = real_file_system();
  const std::string dir = FileSystem::temporary_name(
      (std::filesystem::temp_directory_path() / "xlstm_tokenizer").string());
  files.make_dirs(dir);
  CHECK_THROWS_WITH(Tokenizer::load(dir), contains("no tokenizer here"));
  CHECK_THROWS_AS(Tokenizer::load(join_path(dir, "absent.json")), FileError);
  const Tokenizer tokenizer = load(golden_tokenizer());
  tokenizer.save(join_path(dir, "tokenizer.json"));
  CHECK(Tokenizer::load(dir).fingerprint() == tokenizer.fingerprint());
  CHECK(Tokenizer::load(join_path(dir, "tokenizer.json")).fingerprint() == tokenizer.fingerprint());
  files.remove_all(dir);
}

}  // namespace
}  // namespace xlstm::data
