// docs/configuration.md, from the table of keys and the defaults in the structs.
#include "core/error.h"
#include "tools/train/config_io.h"
#include "tools/train/config_table.h"
#include "tools/train/yaml.h"

namespace xlstm::train {
namespace {

std::string allowed_text(const KeyRule& rule) {
  if (!rule.choices.empty()) {
    std::string text;
    for (const std::string_view choice : rule.choices)
      text += (text.empty() ? "`" : ", `") + std::string(choice) + "`";
    return text;
  }
  constexpr double kNoLimit = 1e15;
  if (rule.min < -kNoLimit) return "";
  if (rule.max >= kNoLimit) return "≥ " + number_text(rule.min);
  return number_text(rule.min) + " … " + number_text(rule.max);
}

std::string default_text(const Json& value) {
  if (value.is_string() && value.as_string().empty()) return "`\"\"`";
  std::string text = to_yaml(value);
  text.pop_back();
  return "`" + text + "`";
}

void append_row(std::string& page, const std::string& key, const KeyRule& rule, const Json& value) {
  page += "| `" + key + "` | " + default_text(value) + " | " + allowed_text(rule) + " | " +
          std::string(rule.text) + " |\n";
}

// One row for every leaf of `defaults`. Keys are shown from `shown` on and looked up at `rules`.
void append_rows(std::string& page, const Json& defaults, const std::string& shown,
                 const std::string& rules) {
  for (const auto& [key, value] : defaults.as_object()) {
    const std::string path = rules + "." + key;
    const std::string name = shown + "." + key;
    const KeyRule* rule = find_rule(path);
    if (value.is_object()) {
      if (rule != nullptr) page += "| `" + name + "` | | | " + std::string(rule->text) + " |\n";
      append_rows(page, value, name, path);
    } else {
      require<Error>(rule != nullptr, "configuration key without an explanation: ", path);
      append_row(page, name, *rule, value);
    }
  }
}

constexpr char kHead[] = "| key | default | allowed | meaning |\n|---|---|---|---|\n";

constexpr char kIntroduction[] = R"(# Configuration

*This page is made from the program: `XLSTM_UPDATE_DOCS=1 build/cpu/tests/test_tools_config` writes it anew.*

A run is described by one configuration. It is put together from files and the command line:

<!-- prepare: echo 'trainer: {name: mine}' | tee base.yaml > mine.yaml -->
<!-- run: s|base.yaml --config mine.yaml|& $tiny|; s|max_steps 500|max_steps 2| -->

    xlstm fit --config base.yaml --config mine.yaml --trainer.max_steps 500 --optimizer.lr=3e-4

- Files are YAML or JSON. Of several, the later wins, key by key; the command line wins over all.
- Every key is an option: `--section.key value` or `--section.key=value`. Values are written as in YAML:
  `--optimizer.betas "[0.9, 0.99]"`, `--model.slstm_block.feedforward null`.
- What nobody sets has the default below. `--print_config` prints the whole effective configuration;
  `--check` stops after checking it. The same is written to the run folder and into each checkpoint.
- Nothing is guessed: an unknown key, a wrong type, a value out of range or a contradiction between keys is
  an error, and all errors are reported together, before anything is computed or written. Scalars follow
  YAML 1.2: `1e-4` is a number, `yes` is a text and not `true`.

)";

void append_model(std::string& page) {
  page += "## model\n\n`model.arch` chooses the architecture, and with it the other keys.\n\n";
  page += kHead;
  append_row(page, "model.arch", *find_rule("model.arch"), Json("xlstm"));
  for (const char* arch : {"xlstm", "xlstm_large"}) {
    RunConfig config;
    if (std::string_view(arch) == "xlstm_large") config.model = layers::XlstmLargeConfig{};
    const Json whole = run_config_to_json(config);
    Json keys;
    for (const auto& [key, value] : whole.find("model")->as_object())
      if (key != "arch") keys.set(key, value);
    page += "\n### `arch: " + std::string(arch) + "`\n\n" + kHead;
    append_rows(page, keys, "model", arch);
  }
  page += "\n";
}

}  // namespace

std::string configuration_page() {
  std::string page = kIntroduction;
  const Json defaults = run_config_to_json(RunConfig{});
  page += std::string("## The run\n\n") + kHead;
  for (const auto& [key, value] : defaults.as_object())
    if (!value.is_object()) append_row(page, key, *find_rule(key), value);
  page += "\n";
  for (const auto& [section, keys] : defaults.as_object()) {
    if (section == "model") {
      append_model(page);
    } else if (keys.is_object()) {
      page += "## " + section + "\n\n" + kHead;
      append_rows(page, keys, section, section);
      page += "\n";
    }
  }
  page += "## Names that other programs use\n\nThese are understood:\n\n";
  page += "| key | here | |\n|---|---|---|\n";
  for (const KeyAlias& alias : key_aliases())
    page += "| `" + std::string(alias.path) + "` | " +
            (alias.target.empty() ? "no effect" : "`" + std::string(alias.target) + "`") + " | " +
            std::string(alias.why) + " |\n";
  page +=
      "| `optimizer.class_path`, `optimizer.init_args` | `optimizer` | for `torch.optim.AdamW` "
      "and `torch.optim.SGD` |\n"
      "| `trainer.callbacks` | `checkpoint`, `early_stopping` | `ModelCheckpoint`, "
      "`EarlyStopping` and `LearningRateMonitor` with their arguments |\n"
      "| `trainer.gradient_clip_algorithm` | no effect | `norm`, the only one |\n"
      "| `model.inp_dim`, `head_num`, `head_dim`, `p_factor`, `ker_size`, `inference_kw`, "
      "`tokenizer` | `model`, `sample`, `data` | the names of \"xLSTM in easy PyTorch\", see "
      "[coming_from_lightning.md](coming_from_lightning.md) |\n";
  page += "\nThese would change the outcome and are refused by name:\n\n| key | |\n|---|---|\n";
  for (const RefusedKey& refused : refused_keys())
    page += "| `" + std::string(refused.path) + "` | " + std::string(refused.why) + " |\n";
  return page;
}

}  // namespace xlstm::train
