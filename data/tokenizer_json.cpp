// Reading and writing tokenizer.json of Hugging Face, and vocab.json with merges.txt of GPT-2.
#include <algorithm>

#include "core/error.h"
#include "core/excerpt.h"
#include "core/json.h"
#include "data/bpe_tokenizer.h"
#include "data/tokenizer_steps_json.h"

namespace xlstm::data {
namespace {

using Ids = std::unordered_map<std::string_view, int32_t>;

// {"token": id, ...} to tokens by id; ids must be 0 .. n-1 in any order.
std::vector<std::string> read_vocab(const JsonField& field) {
  if (!field.json().is_object()) field.fail("got " + describe(field.json()) + ", expected object");
  const Json::Object& members = field.json().as_object();
  const int64_t n = static_cast<int64_t>(members.size());
  std::vector<std::string> vocab(members.size());
  std::vector<bool> seen(members.size(), false);
  for (const auto& [text, value] : members) {
    const auto complain = [&, &text = text, &value = value](const std::string& what) {
      field.fail("token " + excerpt(text) + ": got id " + describe(value) + ", " + what);
    };
    if (!value.is_integer()) complain("expected integer");
    const int64_t id = value.as_int();
    if (id < 0 || id >= n)
      complain("expected 0 to " + std::to_string(n - 1) + " (one id for each of the " +
               std::to_string(n) + " tokens)");
    if (seen[static_cast<size_t>(id)]) complain("which another token has too");
    seen[static_cast<size_t>(id)] = true;
    vocab[static_cast<size_t>(id)] = text;
  }
  return vocab;
}

Ids ids_of(const std::vector<std::string>& vocab) {
  Ids ids;
  ids.reserve(vocab.size());
  for (size_t id = 0; id < vocab.size(); ++id) ids.emplace(vocab[id], static_cast<int32_t>(id));
  return ids;
}

int32_t merge_part(const Ids& ids, std::string_view text, const std::string& where) {
  const auto found = ids.find(text);
  require<FormatError>(found != ids.end(), where, ": ", excerpt(text), " is not in the vocabulary");
  return found->second;
}

// "a b", where neither a nor b may hold a space.
std::pair<int32_t, int32_t> merge_of_line(const Ids& ids, std::string_view line,
                                          const std::string& where) {
  const size_t space = line.find(' ');
  require<FormatError>(space != line.npos && line.find(' ', space + 1) == line.npos, where,
                       ": got ", excerpt(line),
                       ", expected two tokens with one space between them");
  return {merge_part(ids, line.substr(0, space), where),
          merge_part(ids, line.substr(space + 1), where)};
}

std::vector<std::pair<int32_t, int32_t>> read_merges(const JsonField& field, const Ids& ids,
                                                     const std::string& source) {
  if (!field.json().is_array()) field.fail("got " + describe(field.json()) + ", expected array");
  std::vector<std::pair<int32_t, int32_t>> merges;
  for (const Json& merge : field.json().as_array()) {
    const std::string where =
        source + ": " + field.path() + "[" + std::to_string(merges.size()) + "]";
    if (merge.is_string()) {
      merges.push_back(merge_of_line(ids, merge.as_string(), where));
      continue;
    }
    const bool is_pair = merge.is_array() && merge.size() == 2 && merge.as_array()[0].is_string() &&
                         merge.as_array()[1].is_string();
    require<FormatError>(is_pair, where, ": got ", describe(merge),
                         ", expected \"a b\" or [\"a\", \"b\"]");
    merges.emplace_back(merge_part(ids, merge.as_array()[0].as_string(), where),
                        merge_part(ids, merge.as_array()[1].as_string(), where));
  }
  return merges;
}

void want_false(const JsonField& object, std::string_view key) {
  if (bool_or(object, key, false)) refuse(object.at(key));
}

// null or "": both mean that the model has none.
void want_no_text(const JsonField& object, std::string_view key) {
  if (!object.has(key) || object.at(key).is_null()) return;
  if (!object.at(key).as_string().empty()) refuse(object.at(key));
}

AddedToken read_added_token(const JsonField& field) {
  field.only_keys({"id", "content", "single_word", "lstrip", "rstrip", "normalized", "special"});
  AddedToken token;
  token.id = static_cast<int32_t>(field.at("id").as_int(0, INT32_MAX / 2));
  token.content = field.at("content").as_string();
  token.special = bool_or(field, "special", false);
  token.normalized = bool_or(field, "normalized", !token.special);
  token.single_word = bool_or(field, "single_word", false);
  token.lstrip = bool_or(field, "lstrip", false);
  token.rstrip = bool_or(field, "rstrip", false);
  return token;
}

void read_model(const JsonField& model, const std::string& source,
                TokenizerDefinition& definition) {
  model.only_keys({"type", "dropout", "unk_token", "continuing_subword_prefix",
                   "end_of_word_suffix", "fuse_unk", "byte_fallback", "ignore_merges", "vocab",
                   "merges"});
  if (model.has("type") && model.at("type").as_string() != "BPE") refuse(model.at("type"));
  want_null(model, "dropout");
  want_no_text(model, "continuing_subword_prefix");
  want_no_text(model, "end_of_word_suffix");
  want_false(model, "byte_fallback");
  definition.ignore_merges = bool_or(model, "ignore_merges", false);
  // unk_token and fuse_unk cannot matter: every byte must have a token.
  definition.vocab = read_vocab(model.at("vocab"));
  definition.merges = read_merges(model.at("merges"), ids_of(definition.vocab), source);
}

Json to_json_value(const AddedToken& token) {
  Json object = Json::object();
  object.set("id", int64_t{token.id});
  object.set("content", token.content);
  object.set("single_word", token.single_word);
  object.set("lstrip", token.lstrip);
  object.set("rstrip", token.rstrip);
  object.set("normalized", token.normalized);
  object.set("special", token.special);
  return object;
}

Json model_json(const TokenizerDefinition& definition) {
  Json model = Json::object();
  model.set("type", "BPE");
  for (const char* key :
       {"dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix"})
    model.set(key, nullptr);
  for (const char* key : {"fuse_unk", "byte_fallback"}) model.set(key, false);
  model.set("ignore_merges", definition.ignore_merges);
  Json::Object vocab;
  for (const std::string& text : definition.vocab)
    vocab.emplace_back(text, static_cast<int64_t>(vocab.size()));
  model.set("vocab", std::move(vocab));
  Json merges = Json::array();
  for (const auto& [left, right] : definition.merges)
    merges.push_back(Json::Array{definition.vocab[static_cast<size_t>(left)],
                                 definition.vocab[static_cast<size_t>(right)]});
  model.set("merges", std::move(merges));
  return model;
}

}  // namespace

Tokenizer Tokenizer::from_json(std::string_view text, const std::string& source) {
  const Json json = parse_json(text, source);
  const JsonField root(json, source);
  root.only_keys({"version", "truncation", "padding", "added_tokens", "normalizer", "pre_tokenizer",
                  "post_processor", "decoder", "model"});
  if (root.has("version") && root.at("version").as_string() != "1.0") refuse(root.at("version"));
  want_null(root, "truncation");
  want_null(root, "padding");
  TokenizerDefinition definition;
  read_steps(root, definition);
  read_model(root.at("model"), source, definition);
  if (root.has("added_tokens") && !root.at("added_tokens").is_null())
    for (const JsonField& token : root.at("added_tokens").as_array())
      definition.added.push_back(read_added_token(token));
  return Tokenizer(std::move(definition), source);
}

Tokenizer Tokenizer::from_vocab_and_merges(std::string_view vocab_json, std::string_view merges_txt,
                                           const std::string& source) {
  TokenizerDefinition definition;
  const Json json = parse_json(vocab_json, source);
  definition.vocab = read_vocab(JsonField(json, source));
  const Ids ids = ids_of(definition.vocab);
  for (size_t begin = 0, number = 1; begin < merges_txt.size(); ++number) {
    const size_t end = std::min(merges_txt.find('\n', begin), merges_txt.size());
    std::string_view line = merges_txt.substr(begin, end - begin);
    begin = end + 1;
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.starts_with("#version") || (line.empty() && begin >= merges_txt.size())) continue;
    definition.merges.push_back(
        merge_of_line(ids, line, source + ": merges, line " + std::to_string(number)));
  }
  if (const auto found = ids.find(kEndOfText); found != ids.end())
    definition.added.push_back({std::string(kEndOfText), found->second});
  return Tokenizer(std::move(definition), source);
}

Tokenizer Tokenizer::load(const std::string& path, const FileSystem& files) {
  if (!files.is_dir(path)) return from_json(files.read_file(path), path);
  const std::string json = join_path(path, "tokenizer.json");
  if (files.exists(json)) return from_json(files.read_file(json), json);
  const std::string vocab = join_path(path, "vocab.json"), merges = join_path(path, "merges.txt");
  require<FileError>(files.exists(vocab) && files.exists(merges), path,
                     ": no tokenizer here, expected tokenizer.json, or vocab.json and merges.txt");
  return from_vocab_and_merges(files.read_file(vocab), files.read_file(merges), path);
}

std::string Tokenizer::to_json() const {
  Json root = Json::object();
  root.set("version", "1.0");
  root.set("truncation", nullptr);
  root.set("padding", nullptr);
  Json added = Json::array();
  for (const AddedToken& token : definition_.added) added.push_back(to_json_value(token));
  root.set("added_tokens", std::move(added));
  root.set("normalizer", normalizer_json(definition_));
  root.set("pre_tokenizer", pre_tokenizer_json(definition_.pretokenizer));
  root.set("post_processor", post_processor_json(definition_));
  root.set("decoder", decoder_json());
  root.set("model", model_json(definition_));
  return to_text(root, 2) + "\n";
}

void Tokenizer::save(const std::string& path, FileSystem& files) const {
  files.write_file(path, to_json());
}

}  // namespace xlstm::data
