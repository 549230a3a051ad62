#include "core/safetensors.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <tuple>
#include <unordered_set>

#include "core/checked_size.h"
#include "core/excerpt.h"
#include "core/json.h"

namespace xlstm {
namespace {

static_assert(std::endian::native == std::endian::little, "the format is little-endian");

constexpr int64_t kMaxHeaderBytes = 100'000'000;
constexpr int64_t kMaxTensors = 200'000;
constexpr size_t kMaxNameBytes = 1024;
constexpr char kMetadataKey[] = "__metadata__";

struct FileDType {
  const char* name;
  int64_t bits;
  std::optional<DType> dtype;
};

// In the format's own order, by which a writer sorts (last first).
constexpr std::array<FileDType, 22> kFileDTypes = {{
    {"BOOL", 8, DType::boolean},
    {"F4", 4, {}},
    {"F6_E2M3", 6, {}},
    {"F6_E3M2", 6, {}},
    {"U8", 8, DType::u8},
    {"I8", 8, DType::i8},
    {"F8_E5M2", 8, {}},
    {"F8_E4M3", 8, {}},
    {"F8_E8M0", 8, {}},
    {"F8_E4M3FNUZ", 8, {}},
    {"F8_E5M2FNUZ", 8, {}},
    {"I16", 16, DType::i16},
    {"U16", 16, DType::u16},
    {"F16", 16, DType::f16},
    {"BF16", 16, DType::bf16},
    {"I32", 32, DType::i32},
    {"U32", 32, DType::u32},
    {"F32", 32, DType::f32},
    {"C64", 64, {}},
    {"F64", 64, DType::f64},
    {"I64", 64, DType::i64},
    {"U64", 64, {}},
}};

// Why a tensor name is not acceptable, or nothing.
std::string name_fault(const std::string& name) {
  if (name.empty()) return "is empty";
  if (name.size() > kMaxNameBytes) return "is longer than 1024 bytes";
  if (name.find('\0') != std::string::npos) return "holds a NUL byte";
  return "";
}

// Bytes of a tensor as its type and shape say. A size of zero is no excuse for the other sizes:
// their product must not overflow either.
int64_t expected_bytes(const FileDType& dtype, const Shape& shape, const JsonField& where) {
  int64_t bits = dtype.bits;
  bool has_zero = false;
  try {
    for (const int64_t size : shape) {
      has_zero = has_zero || size == 0;
      bits = checked_mul(bits, std::max<int64_t>(size, 1));
    }
  } catch (const ShapeError&) {
    where.fail("shape " + excerpt(to_string(shape)) + " is too large");
  }
  if (has_zero) return 0;
  if (bits % 8 != 0) where.fail("shape " + excerpt(to_string(shape)) + " ends inside a byte");
  return bits / 8;
}

SafetensorsFile::TensorInfo read_entry(const std::string& name, const JsonField& entry) {
  const std::string fault = name_fault(name);
  if (!fault.empty()) entry.fail("tensor name " + fault);
  entry.only_keys({"dtype", "shape", "data_offsets"});
  SafetensorsFile::TensorInfo info;
  info.name = name;
  info.dtype_name = entry.at("dtype").as_string();
  const auto dtype = std::find_if(kFileDTypes.begin(), kFileDTypes.end(),
                                  [&](const FileDType& d) { return info.dtype_name == d.name; });
  if (dtype == kFileDTypes.end())
    entry.fail("unknown dtype " + excerpt(info.dtype_name) + ", expected for example F32 or BF16");
  info.dtype = dtype->dtype;
  for (const JsonField& size : entry.at("shape").as_array()) info.shape.push_back(size.as_int(0));
  const std::vector<JsonField> offsets = entry.at("data_offsets").as_array();
  if (offsets.size() != 2)
    entry.fail("data_offsets: got " + std::to_string(offsets.size()) + " numbers, expected 2");
  info.begin = offsets[0].as_int(0);
  info.end = offsets[1].as_int(info.begin);
  const int64_t expected = expected_bytes(*dtype, info.shape, entry);
  if (info.end - info.begin != expected)
    entry.fail(detail::concat("data_offsets: got ", info.end - info.begin, " bytes, expected ",
                              expected, " for ", info.dtype_name, " ",
                              excerpt(to_string(info.shape))));
  return info;
}

std::span<const std::byte> bytes_of(const Tensor& contiguous) {
  return {static_cast<const std::byte*>(contiguous.raw()),
          static_cast<size_t>(contiguous.numel() * size_of(contiguous.dtype()))};
}

size_t dtype_rank(DType dtype) {
  const auto at = std::find_if(kFileDTypes.begin(), kFileDTypes.end(),
                               [&](const FileDType& d) { return d.dtype == dtype; });
  require<FormatError>(at != kFileDTypes.end(), "safetensors: cannot write tensors of type ",
                       name_of(dtype));
  return static_cast<size_t>(at - kFileDTypes.begin());
}

std::vector<const std::pair<std::string, Tensor>*> in_file_order(const NamedTensors& tensors) {
  std::vector<const std::pair<std::string, Tensor>*> order;
  std::unordered_set<std::string> names;
  for (const auto& named : tensors) {
    require<FormatError>(names.insert(named.first).second, "safetensors: two tensors named ",
                         excerpt(named.first));
    const std::string fault = name_fault(named.first);
    require<FormatError>(fault.empty() && named.first != kMetadataKey,
                         "safetensors: cannot write tensor ", excerpt(named.first), ": its name ",
                         fault.empty() ? "is reserved" : fault);
    require<FormatError>(named.second.defined() && named.second.device() == kCpu,
                         "safetensors: cannot write tensor ", excerpt(named.first),
                         ": it is not a tensor on the CPU");
    order.push_back(&named);
  }
  const auto key = [](const auto* named) {
    return std::pair<size_t, const std::string&>(
        kFileDTypes.size() - dtype_rank(named->second.dtype()), named->first);
  };
  std::sort(order.begin(), order.end(),
            [&](const auto* a, const auto* b) { return key(a) < key(b); });
  return order;
}

std::string header_text(const std::vector<const std::pair<std::string, Tensor>*>& order,
                        const StringMap& metadata) {
  Json::Object header;
  if (!metadata.empty()) {
    Json::Object entries;
    for (const auto& [key, value] : metadata) entries.emplace_back(key, value);
    header.emplace_back(kMetadataKey, std::move(entries));
  }
  int64_t at = 0;
  for (const auto* named : order) {
    const Tensor& tensor = named->second;
    const int64_t bytes = checked_mul<FormatError>(tensor.numel(), size_of(tensor.dtype()));
    Json entry;
    entry.set("dtype", kFileDTypes[dtype_rank(tensor.dtype())].name);
    entry.set("shape", Json::Array(tensor.shape().begin(), tensor.shape().end()));
    entry.set("data_offsets", Json::Array{at, checked_add<FormatError>(at, bytes)});
    at += bytes;
    header.emplace_back(named->first, std::move(entry));
  }
  std::string text = to_text(header);
  text.resize((text.size() + 7) / 8 * 8, ' ');
  require<FormatError>(static_cast<int64_t>(text.size()) <= kMaxHeaderBytes,
                       "safetensors: header too large, got ", text.size(),
                       " bytes, expected at most ", kMaxHeaderBytes);
  return text;
}

}  // namespace

SafetensorsFile SafetensorsFile::open(const std::string& path, const FileSystem& files) {
  SafetensorsFile result;
  result.path_ = path;
  result.file_ = files.open(path);
  result.read_header();
  result.check_spans();
  return result;
}

void SafetensorsFile::read_header() {
  const int64_t file_bytes = file_->size();
  require<FormatError>(file_bytes >= 8, path_, ": too small for safetensors, got ", file_bytes,
                       " bytes, expected at least 8");
  uint64_t header_bytes = 0;
  file_->read_at(0, std::as_writable_bytes(std::span(&header_bytes, 1)));
  const uint64_t most = static_cast<uint64_t>(std::min(kMaxHeaderBytes, file_bytes - 8));
  require<FormatError>(header_bytes <= most, path_, ": header size at byte 0, got ", header_bytes,
                       ", expected at most ", most, " (is this a safetensors file, complete?)");
  std::string text(static_cast<size_t>(header_bytes), '\0');
  file_->read_at(8, std::as_writable_bytes(std::span(text)));
  require<FormatError>(!text.empty() && text[0] == '{', path_, ": header at byte 8, got ",
                       excerpt(text, 8), ", expected '{'");
  data_begin_ = 8 + static_cast<int64_t>(header_bytes);

  const std::string source = path_ + " (header)";
  const Json header = parse_json(
      text, source, {.max_bytes = kMaxHeaderBytes, .max_depth = 4, .max_values = 16 * kMaxTensors});
  for (const auto& [name, entry] : JsonField(header, source).as_object()) {
    if (name == kMetadataKey) {
      for (const auto& [key, value] : entry.as_object()) metadata_[key] = value.as_string();
      continue;
    }
    tensors_.push_back(read_entry(name, entry));
    require<FormatError>(static_cast<int64_t>(tensors_.size()) <= kMaxTensors, path_,
                         ": too many tensors, expected at most ", kMaxTensors);
  }
}

void SafetensorsFile::check_spans() {
  std::sort(tensors_.begin(), tensors_.end(), [](const TensorInfo& a, const TensorInfo& b) {
    return std::tie(a.begin, a.end, a.name) < std::tie(b.begin, b.end, b.name);
  });
  int64_t at = 0;
  for (const TensorInfo& info : tensors_) {
    require<FormatError>(info.begin == at, path_, ": tensor ", excerpt(info.name),
                         ": data starts at ", info.begin, ", expected ", at,
                         " (tensors must follow each other without holes or overlap)");
    at = info.end;
    index_.emplace(info.name, index_.size());
  }
  const int64_t data_bytes = file_->size() - data_begin_;
  require<FormatError>(at == data_bytes, path_, ": tensors end at byte ", at,
                       " of the data section, which has ", data_bytes,
                       at > data_bytes ? " (the file is cut short)" : " (trailing bytes)");
}

const SafetensorsFile::TensorInfo& SafetensorsFile::info(const std::string& name) const {
  const auto found = index_.find(name);
  require<FormatError>(found != index_.end(), path_, ": tensor ", excerpt(name), " is missing");
  return tensors_[found->second];
}

Tensor SafetensorsFile::load(const std::string& name) const {
  const TensorInfo& tensor = info(name);
  require<FormatError>(tensor.dtype.has_value(), path_, ": tensor ", excerpt(name),
                       ": cannot be loaded, got dtype ", tensor.dtype_name,
                       ", expected BOOL, an integer up to 64 bits, F16, BF16, F32 or F64");
  require<FormatError>(tensor.shape.size() <= kMaxRank, path_, ": tensor ", excerpt(name),
                       ": cannot be loaded, got ", tensor.shape.size(),
                       " dimensions, expected at most ", kMaxRank);
  const Tensor result = Tensor::empty(tensor.shape, *tensor.dtype);
  const std::span<std::byte> bytes(static_cast<std::byte*>(result.raw()),
                                   static_cast<size_t>(tensor.end - tensor.begin));
  file_->read_at(data_begin_ + tensor.begin, bytes);
  if (*tensor.dtype == DType::boolean) {
    const auto bad =
        std::find_if(bytes.begin(), bytes.end(), [](std::byte b) { return b > std::byte{1}; });
    require<FormatError>(bad == bytes.end(), path_, ": tensor ", excerpt(name),
                         ": a BOOL is neither 0 nor 1");
  }
  return result;
}

NamedTensors SafetensorsFile::load_all() const {
  NamedTensors all;
  all.reserve(tensors_.size());
  for (const TensorInfo& tensor : tensors_) all.emplace_back(tensor.name, load(tensor.name));
  return all;
}

void write_safetensors_to(WriteFile& file, const NamedTensors& tensors, const StringMap& metadata) {
  const auto order = in_file_order(tensors);
  const std::string header = header_text(order, metadata);
  const uint64_t header_bytes = header.size();
  file.write(std::as_bytes(std::span(&header_bytes, 1)));
  file.write(std::as_bytes(std::span(header)));
  for (const auto* named : order) {
    const Tensor& tensor = named->second;
    file.write(bytes_of(tensor.is_contiguous() ? tensor : tensor.clone()));
  }
}

void write_safetensors(const std::string& path, const NamedTensors& tensors,
                       const StringMap& metadata, FileSystem& files) {
  files.write_atomically(path,
                         [&](WriteFile& file) { write_safetensors_to(file, tensors, metadata); });
}

}  // namespace xlstm
