#include "data/tokenizer_steps_json.h"

namespace xlstm::data {
namespace {

Json typed(const char* type) {
  Json object = Json::object();
  object.set("type", type);
  return object;
}

Json byte_level(bool add_prefix_space, bool use_regex) {
  Json object = typed("ByteLevel");
  object.set("add_prefix_space", add_prefix_space);
  object.set("trim_offsets", true);
  object.set("use_regex", use_regex);
  return object;
}

const std::string& type_of(const JsonField& step) {
  if (!step.json().is_object()) refuse(step);
  return step.at("type").as_string();
}

// Calls use(step) for each step of `field`: nothing for null, itself, or, with all that it holds,
// the members of a Sequence, which has them under `key`.
template <class Use>
void each_step(const JsonField& field, const char* key, const Use& use) {
  if (field.is_null()) return;
  if (type_of(field) != "Sequence") return use(field);
  field.only_keys({"type", key});
  for (const JsonField& step : field.at(key).as_array()) each_step(step, key, use);
}

void want_byte_level(const JsonField& step) {
  if (type_of(step) != "ByteLevel") refuse(step.at("type"));
  step.only_keys({"type", "add_prefix_space", "trim_offsets", "use_regex"});
}

void read_normalizer(const JsonField& field, TokenizerDefinition& definition) {
  each_step(field, "normalizers", [&definition](const JsonField& step) {
    if (type_of(step) != "NFC") refuse(step.at("type"));
    step.only_keys({"type"});
    definition.nfc = true;
  });
}

CutStep read_split(const JsonField& step) {
  step.only_keys({"type", "pattern", "behavior", "invert"});
  if (step.at("behavior").as_string() != "Isolated") refuse(step.at("behavior"));
  if (bool_or(step, "invert", false)) refuse(step.at("invert"));
  const JsonField pattern = step.at("pattern");
  pattern.only_keys({"Regex", "String"});
  if (pattern.has("Regex") && !pattern.has("String"))
    return {CutStep::Kind::regex, pattern.at("Regex").as_string()};
  return {CutStep::Kind::literal, pattern.at("String").as_string()};
}

CutStep read_digits(const JsonField& step) {
  step.only_keys({"type", "individual_digits"});
  const bool is_each_alone = bool_or(step, "individual_digits", false);
  return {is_each_alone ? CutStep::Kind::digits : CutStep::Kind::digit_runs, {}};
}

void read_pre_tokenizer(const JsonField& field, PretokenizerDefinition& definition) {
  bool is_complete = false;  // ByteLevel has been seen
  each_step(field, "pretokenizers", [&](const JsonField& step) {
    // What comes after ByteLevel would see its alphabet instead of the text.
    if (is_complete) refuse(step);
    if (type_of(step) == "Split") {
      definition.steps.push_back(read_split(step));
    } else if (type_of(step) == "Digits") {
      definition.steps.push_back(read_digits(step));
    } else {
      want_byte_level(step);
      definition.add_prefix_space = bool_or(step, "add_prefix_space", true);
      definition.use_regex = bool_or(step, "use_regex", true);
      is_complete = true;
    }
  });
  if (!is_complete)
    field.fail("got " + describe(field.json()) + ", expected ByteLevel as the last step");
}

// The tokens around a single text. (Those for pairs of texts are only kept for writing.)
TextFrame read_template(const JsonField& step) {
  step.only_keys({"type", "single", "pair", "special_tokens"});
  TextFrame frame;
  bool has_text = false;
  for (const JsonField& piece : step.at("single").as_array()) {
    piece.only_keys({"SpecialToken", "Sequence"});
    if (piece.has("Sequence")) {
      if (has_text || piece.at("Sequence").at("id").as_string() != "A") refuse(piece);
      has_text = true;
      continue;
    }
    const JsonField token = piece.at("SpecialToken").at("id");
    const JsonField ids = step.at("special_tokens").at(token.as_string()).at("ids");
    for (const JsonField& id : ids.as_array())
      (has_text ? frame.after : frame.before)
          .push_back(static_cast<int32_t>(id.as_int(0, INT32_MAX / 2)));
  }
  if (!has_text) step.at("single").fail("got no Sequence, expected the text A among the tokens");
  return frame;
}

void read_post_processor(const JsonField& field, TokenizerDefinition& definition) {
  bool has_template = false;
  each_step(field, "processors", [&](const JsonField& step) {
    if (type_of(step) != "TemplateProcessing") return want_byte_level(step);  // moves offsets only
    if (has_template) refuse(step);
    definition.frame = read_template(step);
    has_template = true;
  });
  if (has_template) definition.post_processor = to_text(field.json());
}

}  // namespace

void refuse(const JsonField& field) {
  field.fail("got " + describe(field.json()) + ", which is not implemented");
}

bool bool_or(const JsonField& object, std::string_view key, bool absent) {
  return object.has(key) ? object.at(key).as_bool() : absent;
}

void want_null(const JsonField& object, std::string_view key) {
  if (object.has(key) && !object.at(key).is_null()) refuse(object.at(key));
}

void read_steps(const JsonField& root, TokenizerDefinition& definition) {
  if (root.has("normalizer")) read_normalizer(root.at("normalizer"), definition);
  read_pre_tokenizer(root.at("pre_tokenizer"), definition.pretokenizer);
  if (root.has("post_processor")) read_post_processor(root.at("post_processor"), definition);
  want_byte_level(root.at("decoder"));
}

Json normalizer_json(const TokenizerDefinition& definition) {
  return definition.nfc ? typed("NFC") : Json();
}

Json pre_tokenizer_json(const PretokenizerDefinition& definition) {
  const Json last = byte_level(definition.add_prefix_space, definition.use_regex);
  if (definition.steps.empty()) return last;
  Json steps = Json::array();
  for (const CutStep& step : definition.steps) {
    using Kind = CutStep::Kind;
    const bool is_split = step.kind == Kind::regex || step.kind == Kind::literal;
    Json json = typed(is_split ? "Split" : "Digits");
    if (is_split) {
      Json pattern = Json::object();
      pattern.set(step.kind == Kind::regex ? "Regex" : "String", step.pattern);
      json.set("pattern", pattern);
      json.set("behavior", "Isolated");
      json.set("invert", false);
    } else {
      json.set("individual_digits", step.kind == Kind::digits);
    }
    steps.push_back(json);
  }
  steps.push_back(last);
  Json sequence = typed("Sequence");
  sequence.set("pretokenizers", steps);
  return sequence;
}

Json post_processor_json(const TokenizerDefinition& definition) {
  if (definition.post_processor.empty()) return {};
  return parse_json(definition.post_processor, "post_processor");
}

Json decoder_json() {
  return byte_level(true, true);
}

}  // namespace xlstm::data
