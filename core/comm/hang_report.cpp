#include "core/comm/hang_report.h"

#include <algorithm>
#include <map>
#include <sstream>

#include "core/error.h"
#include "core/json.h"

namespace xlstm::comm {
namespace {

constexpr int64_t kMaxRecordBytes = int64_t{1} << 20;
constexpr int64_t kMostRanks = int64_t{1} << 20;
constexpr int64_t kNamedRanks = 16;  // that are missing

// One rank, and the call that it could not end.
struct Rank {
  int64_t rank = 0, size = 1, step = 0, ended = 0;
  std::string host, name, kind;
  int64_t bytes = 0;
  double age = 0;
  bool has_call = false;
};

Rank read(const std::string& path, const FileSystem& files) {
  const Json json = parse_json(files.read_file(path, kMaxRecordBytes), path);
  const JsonField field(json, path);
  Rank r;
  r.size = field.at("size").as_int(1, kMostRanks);
  r.rank = field.at("rank").as_int(0, r.size - 1);
  r.step = field.at("step").as_int(0);
  r.ended = field.at("ended").as_int(0);
  r.host = field.at("host").as_string();
  for (const Json& row : field.at("calls").json().as_array()) {
    const JsonField call(row, path);
    if (call.at("sequence").as_int(1) - 1 != r.ended) continue;
    r.has_call = true;
    r.name = call.at("name").as_string();
    r.kind = call.at("kind").as_string();
    r.bytes = call.at("bytes").as_int(0);
    r.step = call.at("step").as_int(0);
    r.age = call.at("age_s").as_double(0);
  }
  return r;
}

std::string call_of(const Rank& r) {
  return r.has_call ? r.kind + " \"" + r.name + "\" of " + std::to_string(r.bytes) + " bytes"
                    : "no call";
}

}  // namespace

std::string hang_report(const std::string& folder, const FileSystem& files) {
  std::map<int64_t, Rank> ranks;
  int64_t size = 0;
  for (const std::string& name : files.list(folder)) {
    if (!name.starts_with("hang-rank") || !name.ends_with(".json")) continue;
    const Rank rank = read(join_path(folder, name), files);
    size = std::max(size, rank.size);
    ranks[rank.rank] = rank;
  }
  require<FileError>(!ranks.empty(), folder, ": holds no record of a job that hung, expected ",
                     "hang-rank0.json or others");
  std::ostringstream out;
  int64_t least = ranks.begin()->second.ended, most = least;
  std::map<std::string, int64_t> calls;  // how many ranks wait in which call
  for (const auto& [number, r] : ranks) {
    out << "rank " << number << " of " << size << " on " << r.host << ", step " << r.step
        << ": ended call " << r.ended << ", then waited in " << call_of(r) << "\n";
    least = std::min(least, r.ended);
    most = std::max(most, r.ended);
    ++calls[call_of(r)];
  }
  // The suspects.
  int64_t n_missing = 0;
  for (int64_t number = 0; number < size; ++number)
    if (!ranks.contains(number) && ++n_missing <= kNamedRanks)
      out << "rank " << number
          << " left no record: it died, was stopped, or was busy elsewhere; the "
          << "others waited for it\n";
  if (n_missing > kNamedRanks) out << "and so did " << n_missing - kNamedRanks << " other ranks\n";
  const bool all = static_cast<int64_t>(ranks.size()) == size;
  if (all && least != most)
    for (const auto& [number, r] : ranks)
      if (r.ended == least)
        out << "rank " << number << " is behind: it ended " << least << " calls, others " << most
            << "\n";
  if (least == most && calls.size() > 1) {
    const auto usual = std::max_element(calls.begin(), calls.end(),
                                        [](auto& a, auto& b) { return a.second < b.second; });
    for (const auto& [number, r] : ranks)
      if (call_of(r) != usual->first)
        out << "rank " << number << " made another call than the others: " << call_of(r)
            << ", they " << usual->first << "\n";
  }
  if (least == most && calls.size() == 1 && all)
    out << "every rank waited in the same call: the connection between them is lost, or the "
           "limit of time is too short\n";
  return out.str();
}

}  // namespace xlstm::comm
