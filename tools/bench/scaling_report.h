// Predictions as text, Markdown and JSON.
#pragma once

#include <string>
#include <vector>

#include "core/json.h"
#include "tools/bench/scaling_model.h"

namespace xlstm::bench {

struct ScalingTable {
  ScalingModel model;
  std::vector<Prediction> rows;
};

std::string describe(const Cluster& cluster);
std::string describe(const ScalingModel& model);
// memory_gb: what one GPU has.
std::string aligned_text(const ScalingTable& table, double memory_gb);
std::string markdown(const ScalingTable& table, double memory_gb);
Json to_json(const Cluster& cluster, const std::vector<ScalingTable>& tables);

}  // namespace xlstm::bench
