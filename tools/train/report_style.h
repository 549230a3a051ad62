// The look of report.html.
#pragma once

namespace xlstm::train {

// Light and dark by what the reader's system asks for; nothing is wider than 320 pixels but tables
// and the command line, which scroll in their own boxes.
extern const char kReportStyle[];

}  // namespace xlstm::train
