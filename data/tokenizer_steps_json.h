// The steps of a tokenizer.json around its model: normalizer, pre_tokenizer, post_processor and
// decoder. What is not implemented is a FormatError by name.
#pragma once

#include "core/json.h"
#include "data/tokenizer_definition.h"

namespace xlstm::data {

// "<source>: <field>: got ..., which is not implemented"
[[noreturn]] void refuse(const JsonField& field);
bool bool_or(const JsonField& object, std::string_view key, bool absent);
void want_null(const JsonField& object, std::string_view key);

// Sets nfc, pretokenizer, frame and post_processor of `definition`. `root` is the whole file.
void read_steps(const JsonField& root, TokenizerDefinition& definition);

Json normalizer_json(const TokenizerDefinition& definition);
Json pre_tokenizer_json(const PretokenizerDefinition& definition);
Json post_processor_json(const TokenizerDefinition& definition);
Json decoder_json();

}  // namespace xlstm::data
