// What a benchmark found, and its JSON form.
#pragma once

#include <string>
#include <vector>

#include "core/json.h"

namespace xlstm::bench {

// Times of repeated calls, milliseconds.
struct Spread {
  double median = 0, low = 0, high = 0;  // low, high: the 20th and the 80th of a hundred
  int64_t n = 0;
};
Spread spread_of(std::vector<double> times);

struct Row {
  std::string op, sample, pass;  // pass: forward, backward, train, prefill, decode
  std::string device, dtype, variant;
  Spread ms;
  double flops = 0, bytes = 0;  // of one call; 0: not counted
  double tokens = 0;            // of one call, end to end only
  // The most that the call held beyond its arguments; end to end: of the run, weights included.
  double peak_bytes = 0;
  std::string verified;  // what the result was compared with
  double error = 0;      // relative, of that comparison
  std::string failure;   // empty: the row holds; else why not, and there is no time

  std::string key() const {
    return op + " | " + sample + " | " + pass + " | " + device + " | " + dtype;
  }
  double bytes_per_second() const { return ms.median > 0 ? bytes / ms.median * 1e3 : 0; }
  double flops_per_second() const { return ms.median > 0 ? flops / ms.median * 1e3 : 0; }
};

// What this machine reached just before, with large calls.
struct Ceilings {
  double copy_bytes_per_second = 0;     // read and written
  double product_flops_per_second = 0;  // of matrix products in the rows' element type
};

struct Report {
  std::string machine, version;
  Ceilings ceilings;
  std::vector<Row> rows;
};

Json to_json(const Report& report);
// FormatError names `source` and the field.
Report report_from_json(const Json& json, const std::string& source);

}  // namespace xlstm::bench
