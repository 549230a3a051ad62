#include "tools/train/foreign_config.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "core/error.h"
#include "core/excerpt.h"
#include "core/log.h"

namespace xlstm::train {
namespace {

// A file's values by dotted paths.
class Values {
 public:
  Values(Json& root, const std::string& source, Problems& problems)
      : root_(root), source_(source), problems_(problems) {}

  Json* find(std::string_view path) {
    Json* at = &root_;
    for (size_t begin = 0; begin <= path.size();) {
      const size_t end = std::min(path.find('.', begin), path.size());
      if (!at->is_object()) return nullptr;
      at = at->find(path.substr(begin, end - begin));
      if (at == nullptr) return nullptr;
      begin = end + 1;
    }
    return at;
  }

  // Takes the value out; nothing if it is not there.
  std::optional<Json> take(std::string_view path) {
    const size_t dot = path.rfind('.');
    Json* section = dot == std::string_view::npos ? &root_ : find(path.substr(0, dot));
    if (section == nullptr || !section->is_object()) return {};
    const std::string_view key = dot == std::string_view::npos ? path : path.substr(dot + 1);
    auto& members = section->as_object();
    const auto found =
        std::find_if(members.begin(), members.end(), [&](const auto& m) { return m.first == key; });
    if (found == members.end()) return {};
    Json value = std::move(found->second);
    members.erase(found);
    return value;
  }

  void set(std::string_view path, Json value) {
    Json* at = &root_;
    for (size_t begin = 0;;) {
      const size_t end = std::min(path.find('.', begin), path.size());
      const std::string key(path.substr(begin, end - begin));
      if (end == path.size()) {
        at->set(key, std::move(value));
        return;
      }
      Json* next = at->find(key);
      if (next == nullptr || !next->is_object()) next = &at->set(key, Json::object());
      at = next;
      begin = end + 1;
    }
  }

  void move(std::string_view from, std::string_view to) {
    if (auto value = take(from)) set(to, std::move(*value));
  }

  void fail(const std::string& path, const std::string& what) {
    problems_.origins[path] = source_;
    problems_.add(path, what);
  }

  // The members of an object that are left, each of which is unknown there.
  void refuse_rest(const std::string& path, const Json& object) {
    for (const auto& [key, value] : object.as_object()) fail(child_path(path, key), "unknown key");
  }

  const std::string& source() const { return source_; }

 private:
  Json& root_;
  const std::string& source_;
  Problems& problems_;
};

std::string last_part(const std::string& class_path) {
  return class_path.substr(class_path.rfind('.') + 1);
}

// ---- LightningCLI ----

void translate_precision(Values& values) {
  const Json* precision = values.find("trainer.precision");
  if (precision == nullptr) return;
  const std::string text = precision->is_integer()  ? std::to_string(precision->as_int())
                           : precision->is_string() ? precision->as_string()
                                                    : "";
  if (text == "32" || text == "64") values.set("trainer.precision", text + "-true");
  if (text == "16" || text == "bf16") values.set("trainer.precision", text + "-mixed");
}

void translate_strategy(Values& values) {
  const Json* strategy = values.find("trainer.strategy");
  if (strategy != nullptr && strategy->is_string() &&
      strategy->as_string().starts_with("ddp_find_unused_parameters"))
    values.set("trainer.strategy", "ddp");
}

void translate_clip_algorithm(Values& values) {
  const auto algorithm = values.take("trainer.gradient_clip_algorithm");
  if (algorithm &&
      !(algorithm->is_null() || (algorithm->is_string() && algorithm->as_string() == "norm")))
    values.fail("trainer.gradient_clip_algorithm",
                "got " + describe(*algorithm) + ", expected norm (clipping is by norm)");
}

// {class_path: torch.optim.AdamW, init_args: {lr: ...}}
void translate_optimizer(Values& values) {
  const auto class_path = values.take("optimizer.class_path");
  if (!class_path) return;
  if (const auto arguments = values.take("optimizer.init_args");
      arguments && arguments->is_object())
    for (const auto& [key, value] : arguments->as_object()) values.set("optimizer." + key, value);
  const std::string name = class_path->is_string() ? class_path->as_string() : "";
  if (name.ends_with("AdamW")) {
    values.set("optimizer.name", "adamw");
  } else if (name.ends_with("SGD")) {
    values.set("optimizer.name", "sgd");
  } else {
    values.fail("optimizer.class_path",
                "got " + describe(*class_path) + ", expected torch.optim.AdamW or torch.optim.SGD");
  }
}

// The arguments of a callback: each goes to a key here, has no effect, or is unknown.
struct CallbackKey {
  std::string_view name, target;  // no target: no effect
};

void translate_callback(Values& values, const std::string& path, const Json& callback) {
  const Json* class_path = callback.is_object() ? callback.find("class_path") : nullptr;
  if (class_path == nullptr || !class_path->is_string())
    return values.fail(path,
                       "got " + describe(callback) + ", expected class_path and perhaps init_args");
  static const std::vector<CallbackKey> kCheckpoint = {
      {"monitor", "checkpoint.monitor"},
      {"mode", "checkpoint.mode"},
      {"save_top_k", "checkpoint.save_top_k"},
      {"every_n_train_steps", "checkpoint.every_n_train_steps"},
      {"save_last", ""},  // the newest is always kept
      {"filename", ""},
      {"auto_insert_metric_name", ""},
      {"verbose", ""}};
  static const std::vector<CallbackKey> kEarly = {{"monitor", "early_stopping.monitor"},
                                                  {"mode", "early_stopping.mode"},
                                                  {"patience", "early_stopping.patience"},
                                                  {"min_delta", "early_stopping.min_delta"},
                                                  {"check_finite", ""},
                                                  {"verbose", ""}};
  static const std::vector<CallbackKey> kRate = {{"logging_interval", ""}};
  const std::string name = last_part(class_path->as_string());
  const auto* keys = name == "ModelCheckpoint"       ? &kCheckpoint
                     : name == "EarlyStopping"       ? &kEarly
                     : name == "LearningRateMonitor" ? &kRate
                                                     : nullptr;
  if (keys == nullptr)
    return values.fail(path + ".class_path",
                       "not supported: got " + excerpt(class_path->as_string()) +
                           ", expected ModelCheckpoint, EarlyStopping or LearningRateMonitor");
  if (name == "EarlyStopping") values.set("early_stopping.patience", 3);  // Lightning's default
  const Json* arguments = callback.find("init_args");
  if (arguments == nullptr || !arguments->is_object()) return;
  for (const auto& [key, value] : arguments->as_object()) {
    const auto known = std::find_if(keys->begin(), keys->end(),
                                    [&](const CallbackKey& k) { return k.name == key; });
    if (known == keys->end()) {
      values.fail(path + ".init_args." + key, "not supported");
    } else if (!known->target.empty() && !value.is_null()) {
      values.set(known->target, value);
    }
  }
}

void translate_callbacks(Values& values) {
  const auto callbacks = values.take("trainer.callbacks");
  if (!callbacks || callbacks->is_null()) return;
  if (callbacks->is_object()) return translate_callback(values, "trainer.callbacks", *callbacks);
  if (!callbacks->is_array())
    return values.fail("trainer.callbacks",
                       "got " + describe(*callbacks) + ", expected a list of callbacks");
  size_t i = 0;
  for (const Json& callback : callbacks->as_array())
    translate_callback(values, detail::concat("trainer.callbacks[", i++, "]"), callback);
}

// ---- "xLSTM in easy PyTorch" ----

// Its first layout has sections of its own; where they lead in the second, which is LightningCLI's.
void translate_sections(Values& values) {
  if (values.find("llm") == nullptr) return;
  for (const char* key : {"prompt", "token_lim", "use_top_k", "temperature"})
    values.move(std::string("llm.") + key, std::string("model.inference_kw.") + key);
  const auto section = [&](const std::string& from, const std::string& to) {
    if (const auto all = values.take(from); all && all->is_object())
      for (const auto& [key, value] : all->as_object()) values.set(child_path(to, key), value);
  };
  section("llm", "model");
  if (const auto tokenizer = values.take("tokenizer")) values.set("model.tokenizer", *tokenizer);
  section("dataset", "data");
  values.move("train.batch_size", "data.batch_size");
  section("train", "trainer");
  values.move("log.log_dir", "trainer.default_root_dir");
  values.move("log.run_name", "trainer.name");
  section("ckpt", "checkpoint");
  for (const char* key : {"misc.resume", "log.version"})
    if (const auto value = values.take(key); value && !value->is_null())
      values.fail(key, "not supported: got " + describe(*value) +
                           ", expected null (continue with --ckpt_path)");
  for (const char* key : {"misc", "log"})
    if (const auto rest = values.take(key); rest && rest->is_object())
      values.refuse_rest(key, *rest);
}

// {class_path, init_args: {pretrained_model_name_or_path}}, {name, special_tokens} or a name.
void translate_tokenizer(Values& values, const std::string& path) {
  const Json* given = values.find(path);
  if (given == nullptr || !given->is_object()) {
    if (path == "model.tokenizer") values.move(path, "data.tokenizer");
    return;
  }
  std::optional<Json> name;
  for (const char* key : {".name", ".init_args.pretrained_model_name_or_path",
                          ".init_args.name_or_path", ".pretrained_model_name_or_path"})
    if (auto value = values.take(path + key)) name = std::move(value);
  for (const char* key : {".special_tokens", ".init_args.special_tokens", ".init_args.pad_token"})
    if (const auto dropped = values.take(path + key); dropped && !dropped->is_null())
      log_warning(values.source(), ": ", path, key,
                  ": dropped, an added padding token has no id inside the vocabulary, and "
                  "sequences here are never padded");
  const auto rest = values.take(path);
  if (!name || !name->is_string())
    return values.fail(path, "got " + describe(*rest) + ", expected the name of a tokenizer");
  values.set("data.tokenizer", std::move(*name));
}

void translate_heads(Values& values) {
  const auto heads = values.take("model.head_num"), dim = values.take("model.head_dim");
  const Json* width = values.find("model.embedding_dim");
  if (heads) {
    values.set("model.mlstm_block.mlstm.num_heads", *heads);
    values.set("model.slstm_block.slstm.num_heads", *heads);
  }
  if (!dim) return;
  if (!heads || width == nullptr || !heads->is_integer() || !width->is_integer() ||
      !dim->is_integer())
    return values.fail("model.head_dim", "needs head_num and inp_dim beside it, all integers");
  if (heads->as_int() < 1 || dim->as_int() * heads->as_int() != width->as_int())
    values.fail("model.head_dim", detail::concat("got ", dim->as_int(),
                                                 ", expected inp_dim / "
                                                 "head_num = ",
                                                 width->as_int(), " / ", heads->as_int(),
                                                 " (heads share the width of the stream)"));
}

void translate_factors(Values& values) {
  const auto factors = values.take("model.p_factor");
  if (!factors) return;
  if (!factors->is_array() || factors->as_array().size() != 2)
    return values.fail("model.p_factor", "got " + describe(*factors) +
                                             ", expected two, of mLSTM and of sLSTM blocks");
  values.set("model.mlstm_block.mlstm.proj_factor", factors->as_array()[0]);
  values.set("model.slstm_block.feedforward.proj_factor", factors->as_array()[1]);
}

void translate_didactic(Values& values) {
  translate_sections(values);
  values.move("model.inp_dim", "model.embedding_dim");
  translate_heads(values);
  translate_factors(values);
  if (const auto taps = values.take("model.ker_size")) {
    values.set("model.mlstm_block.mlstm.conv1d_kernel_size", *taps);
    values.set("model.slstm_block.slstm.conv1d_kernel_size", *taps);
  }
  values.move("model.inference_kw.prompt", "sample.prompts");
  values.move("model.inference_kw.token_lim", "sample.max_new_tokens");
  values.move("model.inference_kw.use_top_k", "sample.top_k");
  values.move("model.inference_kw.temperature", "sample.temperature");
  if (const auto rest = values.take("model.inference_kw"); rest && rest->is_object())
    values.refuse_rest("model.inference_kw", *rest);
  translate_tokenizer(values, "model.tokenizer");
  translate_tokenizer(values, "data.tokenizer");
  static_cast<void>(values.take("data.read_chunk"));       // texts are read as a whole
  static_cast<void>(values.take("checkpoint.save_last"));  // the newest is always kept
}

}  // namespace

void translate_foreign_config(Json& root, const std::string& source, Problems& problems) {
  Values values(root, source, problems);
  translate_didactic(values);
  translate_callbacks(values);
  translate_optimizer(values);
  translate_precision(values);
  translate_strategy(values);
  translate_clip_algorithm(values);
}

}  // namespace xlstm::train
