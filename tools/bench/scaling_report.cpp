#include "tools/bench/scaling_report.h"

#include <array>
#include <cstdio>

#include "core/error.h"

namespace xlstm::bench {
namespace {

template <class... Values>
std::string formatted(const char* pattern, Values... values) {
  std::array<char, 512> buffer{};
  std::snprintf(buffer.data(), buffer.size(), pattern, values...);
  return buffer.data();
}

constexpr std::array kHeadings = {"strategy",   "GPUs",      "step ms",       "tokens/s",  "a GPU",
                                  "efficiency", "memory GB", "comm. of step", "not hidden"};

std::array<std::string, kHeadings.size()> cells(const Prediction& p, double memory_gb) {
  const double gb = p.memory / 1e9;
  return {name_of(p.strategy),
          formatted("%lld", static_cast<long long>(p.n_gpus)),
          formatted("%.1f", p.step_ms),
          formatted("%.0f", p.tokens_per_second),
          formatted("%.0f", p.tokens_per_second / static_cast<double>(p.n_gpus)),
          formatted("%.1f %%", 100 * p.efficiency),
          formatted("%.1f%s", gb, gb > memory_gb ? " (too much)" : ""),
          formatted("%.1f %%", 100 * p.communication_ms / p.step_ms),
          formatted("%.1f %%", 100 * p.exposed_ms / p.step_ms)};
}

}  // namespace

std::string describe(const Cluster& c) {
  return formatted(
      "predicted, not measured: nodes of %lld GPUs, NVLink %.0f GB/s (bus bandwidth), network %.0f "
      "Gbit/s a GPU of which %.0f %% are reached, %s\n",
      static_cast<long long>(c.gpus_per_node), c.nvlink_gb_s, c.network_gbit_s,
      100 * c.network_efficiency, name_of(c.algorithm));
}

std::string describe(const ScalingModel& m) {
  const Workload& w = m.work;
  return formatted(
             "%s: %.0f M parameters; a GPU has %lld x %lld tokens%s and takes %.1f ms a step (%s; "
             "update %.1f of it); ",
             m.name.c_str(), w.n_parameters / 1e6, static_cast<long long>(m.batch_size),
             static_cast<long long>(m.length),
             m.n_accumulated > 1
                 ? formatted(", %lld accumulated", static_cast<long long>(m.n_accumulated)).c_str()
                 : "",
             w.compute_ms + w.update_ms, m.step_source.c_str(), w.update_ms) +
         formatted("activations %.1f GB (%s)\n", w.activation_bytes / 1e9,
                   m.activation_source.c_str());
}

std::string aligned_text(const ScalingTable& table, double memory_gb) {
  constexpr const char* kLine = "%-8s %6s %9s %11s %8s %10s %17s %13s %10s\n";
  const auto line = [](const auto& c) {
    return formatted(kLine, c[0], c[1], c[2], c[3], c[4], c[5], c[6], c[7], c[8]);
  };
  std::string text = describe(table.model) + line(kHeadings);
  for (const Prediction& p : table.rows) {
    const auto row = cells(p, memory_gb);
    std::array<const char*, kHeadings.size()> words{};
    for (size_t i = 0; i < row.size(); ++i) words[i] = row[i].c_str();
    text += line(words);
  }
  return text;
}

std::string markdown(const ScalingTable& table, double memory_gb) {
  std::string text = describe(table.model) + "\n|", rule = "|";
  for (const char* heading : kHeadings) {
    text += std::string(" ") + heading + " |";
    rule += "---|";
  }
  text += "\n" + rule + "\n";
  for (const Prediction& p : table.rows) {
    text += "|";
    for (const std::string& cell : cells(p, memory_gb)) text += " " + cell + " |";
    text += "\n";
  }
  return text;
}

Json to_json(const Cluster& c, const std::vector<ScalingTable>& tables) {
  Json cluster = Json::object();
  cluster.set("gpus_per_node", c.gpus_per_node);
  cluster.set("nvlink_gb_s", c.nvlink_gb_s);
  cluster.set("network_gbit_s", c.network_gbit_s);
  cluster.set("network_efficiency", c.network_efficiency);
  cluster.set("algorithm", name_of(c.algorithm));
  Json models = Json::array();
  for (const ScalingTable& table : tables) {
    const ScalingModel& m = table.model;
    Json model = Json::object();
    model.set("name", m.name);
    model.set("n_parameters", m.work.n_parameters);
    model.set("tokens_per_gpu", m.work.tokens);
    model.set("compute_ms", m.work.compute_ms);
    model.set("update_ms", m.work.update_ms);
    model.set("step_source", m.step_source);
    model.set("activation_bytes", m.work.activation_bytes);
    model.set("activation_source", m.activation_source);
    Json rows = Json::array();
    for (const Prediction& p : table.rows) {
      Json row = Json::object();
      row.set("strategy", name_of(p.strategy));
      row.set("gpus", p.n_gpus);
      row.set("step_ms", p.step_ms);
      row.set("tokens_per_second", p.tokens_per_second);
      row.set("efficiency", p.efficiency);
      row.set("memory_bytes", p.memory);
      row.set("communication_ms", p.communication_ms);
      row.set("exposed_ms", p.exposed_ms);
      rows.push_back(row);
    }
    model.set("rows", rows);
    models.push_back(model);
  }
  Json json = Json::object();
  json.set("predicted", true);
  json.set("cluster", cluster);
  json.set("models", models);
  return json;
}

}  // namespace xlstm::bench
