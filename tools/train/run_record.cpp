#include "tools/train/run_record.h"

#include <sys/resource.h>

#include "core/memory_owner.h"
#include "core/storage.h"
#include "tools/train/build_info.h"
#include "tools/train/config_io.h"

namespace xlstm::train {
namespace {

// "xlstm_block_stack.blocks.3.xlstm_norm.weight" belongs to "xlstm_block_stack.blocks.3", what is
// in no block to the module at the top.
std::string group_of(const std::string& name, int64_t& block) {
  constexpr std::string_view kBlocks = "blocks.";
  block = -1;
  const size_t at = name.find(kBlocks);
  if (at == std::string::npos || (at > 0 && name[at - 1] != '.'))
    return name.substr(0, name.find('.'));
  const size_t number = at + kBlocks.size(), end = name.find('.', number);
  const std::string digits = name.substr(number, end - number);
  if (digits.empty() || digits.size() > 6 || digits.find_first_not_of("0123456789") != digits.npos)
    return name.substr(0, name.find('.'));
  block = std::stoll(digits);
  return name.substr(0, end);
}

Json parameter_groups(const layers::LanguageModel& model) {
  struct Group {
    std::string name;
    int64_t block = -1, n_tensors = 0, numel = 0, bytes = 0;
  };
  std::vector<Group> groups;
  for (const auto& [name, tensor] : model.named_parameters()) {
    int64_t block = -1;
    const std::string group = group_of(name, block);
    if (groups.empty() || groups.back().name != group) groups.push_back({group, block});
    groups.back().n_tensors += 1;
    groups.back().numel += tensor.numel();
    groups.back().bytes += tensor.numel() * size_of(tensor.dtype());
  }
  const std::string map = model.layer_map();
  Json out = Json::array();
  for (const Group& group : groups) {
    Json row = Json::object();
    row.set("name", group.name);
    const bool known = group.block >= 0 && group.block < static_cast<int64_t>(map.size());
    row.set("kind", !known ? "" : map[static_cast<size_t>(group.block)] == 's' ? "sLSTM" : "mLSTM");
    row.set("tensors", group.n_tensors);
    row.set("parameters", group.numel);
    row.set("bytes", group.bytes);
    out.push_back(std::move(row));
  }
  return out;
}

}  // namespace

Json describe_run(const RunConfig& config, const std::string& folder,
                  const layers::LanguageModel& model, Device device) {
  Json about = Json::object();
  about.set("arch", model.arch());
  about.set("layer_map", model.layer_map());
  about.set("width", model.width());
  about.set("vocabulary", model.n_vocab());
  about.set("parameters", model.n_parameters());
  about.set("groups", parameter_groups(model));
  Json out = Json::object();
  out.set("name", config.trainer.name);
  out.set("folder", folder);
  out.set("model", std::move(about));
  out.set("environment", run_environment(device));
  out.set("config", run_config_to_json(config));
  return out;
}

int64_t peak_process_bytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return int64_t{1024} * usage.ru_maxrss;
}

Json memory_table(const layers::LanguageModel& model, const optim::Optimizer& optimizer,
                  Device device) {
  Json table = Json::array();
  const auto add = [&](const char* what, int64_t bytes) {
    Json row = Json::object();
    row.set("what", what);
    row.set("bytes", bytes);
    table.push_back(std::move(row));
  };
  int64_t weights = 0, copies = 0, gradients = 0;
  const auto bytes_of = [](const Tensor& t) {
    return t.defined() ? t.numel() * static_cast<int64_t>(size_of(t.dtype())) : 0;
  };
  for (const Tensor& parameter : model.parameters()) {
    const Tensor copy = parameter.low_precision();
    if (!copy.defined() || !optimizer.masters().defined()) weights += bytes_of(parameter);
    copies += bytes_of(copy);
    gradients += bytes_of(parameter.grad());
  }
  add("weights", weights + bytes_of(optimizer.masters()));
  if (copies > 0) add("16-bit copies of weights", copies);
  add("gradients", gradients);
  add("moments of the optimizer", optimizer.state_bytes());
  const MemoryStats stats = memory_stats(device);
  add("all tensors at the time of writing", stats.in_use_bytes);
  add("all tensors at most (peak)", stats.peak_bytes);
  add("the process at most, host memory", peak_process_bytes());
  return table;
}

}  // namespace xlstm::train
