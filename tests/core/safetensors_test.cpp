#include "core/safetensors.h"

#include <cstring>
#include <fstream>
#include <functional>
#include <random>

#include "core/json.h"
#include "core/random.h"
#include "tests/catch.h"
#include "tests/core/temporary_dir.h"

namespace xlstm {
namespace {

std::string file_bytes(std::string header, const std::string& data, int64_t claimed = -1) {
  const uint64_t n = claimed < 0 ? header.size() : static_cast<uint64_t>(claimed);
  std::string bytes(8, '\0');
  std::memcpy(bytes.data(), &n, 8);
  return bytes + header + data;
}

// What opening and loading everything says about these bytes: "" if all is well. Anything but a
// FormatError escapes and fails the test.
std::string complaint(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;  // no sync: thousands of files are written
  try {
    SafetensorsFile::open(path).load_all();
  } catch (const FormatError& error) {
    return error.what();
  }
  return "";
}

bool same_bytes(const Tensor& a, const Tensor& b) {
  const Tensor x = a.is_contiguous() ? a : a.clone();
  const Tensor y = b.is_contiguous() ? b : b.clone();
  return x.dtype() == y.dtype() && x.shape() == y.shape() &&
         std::memcmp(x.raw(), y.raw(), static_cast<size_t>(x.numel() * size_of(x.dtype()))) == 0;
}

struct Case {
  const char* what;
  std::string bytes;
};

// One tensor "a" with the given dtype, shape and offsets, over `n` bytes of data.
std::string entry(const std::string& dtype, const std::string& shape, const std::string& offsets,
                  size_t n = 8) {
  return file_bytes(
      R"({"a":{"dtype":)" + dtype + R"(,"shape":)" + shape + R"(,"data_offsets":)" + offsets + "}}",
      std::string(n, '\0'));
}

std::string header(const std::string& text, size_t n = 8) {
  return file_bytes(text, std::string(n, '\0'));
}

std::string two(const std::string& a, const std::string& b, size_t n) {
  const std::string f32 = R"({"dtype":"F32","shape":[1],"data_offsets":)";
  return header(R"({"a":)" + f32 + a + R"(},"b":)" + f32 + b + "}}", n);
}

std::vector<Case> hostile_files() {
  const std::string good = R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})";
  const std::string max = "9223372036854775807";
  return {
      {"empty file", ""},
      {"seven bytes", "1234567"},
      {"header size only", std::string(8, '\0')},
      {"header size 0 with data", std::string(16, '\0')},
      {"header size 1", file_bytes("{", "", 1)},
      {"header size past the end by one", file_bytes(good, "", int64_t(good.size()) + 1)},
      {"header size past the end", file_bytes(good, "", 1000)},
      {"header size 2^63 - 1", file_bytes(good, "", INT64_MAX)},
      {"header size 2^64 - 1", std::string(8, '\xff') + good},
      {"header size 2^64 - 8, wraps with the prefix", "\xf8" + std::string(7, '\xff') + good},
      {"header size above the cap", file_bytes(good, "", 100'000'001)},
      {"header size cut inside a token", file_bytes(good, std::string(8, '\0'), 20)},
      {"header size leaves out the last brace",
       file_bytes(good, std::string(8, '\0'), int64_t(good.size()) - 1)},
      {"space before the brace", header(" " + good)},
      {"byte order mark", header("\xef\xbb\xbf" + good)},
      {"array", header("[]", 0)},
      {"number", header("12", 0)},
      {"text after the object", header(good + "x")},
      {"second object", header(good + "{}")},
      {"NUL padding", header(good + std::string(3, '\0'))},
      {"invalid UTF-8 in a name",
       header("{\"\xff\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}")},
      {"lone surrogate in a name",
       header(R"({"\ud800":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})")},
      {"NUL in a name", header(R"({"a\u0000b":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})")},
      {"empty name", header(R"({"":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})")},
      {"name of 1025 bytes", header("{\"" + std::string(1025, 'n') +
                                    R"(":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})")},
      {"duplicate tensor", header(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},)"
                                  R"("a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})")},
      {"duplicate field",
       header(R"({"a":{"dtype":"F32","dtype":"F32","shape":[2],"data_offsets":[0,8]}})")},
      {"duplicate metadata", header(R"({"__metadata__":{},"__metadata__":{}})", 0)},
      {"deep nesting", header("{\"a\":" + std::string(100000, '['), 0)},
      {"depth five", header(R"({"a":{"dtype":"F32","shape":[[[2]]],"data_offsets":[0,8]}})")},
      {"tensor is null", header(R"({"a":null})", 0)},
      {"tensor is a string", header(R"({"a":"F32"})", 0)},
      {"tensor is an array", header(R"({"a":["F32",[2],[0,8]]})")},
      {"tensor is empty", header(R"({"a":{}})", 0)},
      {"dtype missing", header(R"({"a":{"shape":[2],"data_offsets":[0,8]}})")},
      {"shape missing", header(R"({"a":{"dtype":"F32","data_offsets":[0,8]}})")},
      {"data_offsets missing", header(R"({"a":{"dtype":"F32","shape":[2]}})")},
      {"unknown field", header(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8],"x":1}})")},
      {"unknown dtype", entry(R"("F33")", "[2]", "[0,8]")},
      {"lower-case dtype", entry(R"("f32")", "[2]", "[0,8]")},
      {"empty dtype", entry(R"("")", "[2]", "[0,8]")},
      {"dtype is a number", entry("32", "[2]", "[0,8]")},
      {"dtype is null", entry("null", "[2]", "[0,8]")},
      {"unknown dtype of an empty tensor", entry(R"("XX")", "[0]", "[0,0]", 0)},
      {"dtype that cannot be loaded", entry(R"("C64")", "[1]", "[0,8]")},
      {"bits that end inside a byte", entry(R"("F4")", "[3]", "[0,2]", 2)},
      {"nine dimensions, more than a tensor has",
       entry(R"("F32")", "[1,1,1,1,1,1,1,1,2]", "[0,8]")},
      {"BOOL of 2", file_bytes(R"({"a":{"dtype":"BOOL","shape":[1],"data_offsets":[0,1]}})", "\2")},
      {"shape is null", entry(R"("F32")", "null", "[0,8]")},
      {"shape is a number", entry(R"("F32")", "2", "[0,8]")},
      {"shape is an object", entry(R"("F32")", "{}", "[0,8]")},
      {"size too small", entry(R"("F32")", "[1]", "[0,8]")},
      {"size too large", entry(R"("F32")", "[3]", "[0,8]")},
      {"size zero with data", entry(R"("F32")", "[0]", "[0,8]")},
      {"size negative", entry(R"("F32")", "[-2]", "[0,8]")},
      {"sizes negative with positive product", entry(R"("F32")", "[-1,-2]", "[0,8]")},
      {"size minus zero", entry(R"("F32")", "[-0]", "[0,0]", 0)},
      {"size with a fraction", entry(R"("F32")", "[2.0]", "[0,8]")},
      {"size with an exponent", entry(R"("F32")", "[2e0]", "[0,8]")},
      {"size with a huge exponent", entry(R"("F32")", "[1e999]", "[0,8]")},
      {"size is a string", entry(R"("F32")", "[\"2\"]", "[0,8]")},
      {"size is true", entry(R"("F32")", "[2,true]", "[0,8]")},
      {"size is null", entry(R"("F32")", "[2,null]", "[0,8]")},
      {"size 2^63 - 1", entry(R"("F32")", "[" + max + "]", "[0,8]")},
      {"size 2^63", entry(R"("F32")", "[9223372036854775808]", "[0,8]")},
      {"size 2^64", entry(R"("F32")", "[18446744073709551616]", "[0,8]")},
      {"product 2^64", entry(R"("F32")", "[4294967296,4294967296]", "[0,8]")},
      {"product 2^64 taken for empty", entry(R"("F32")", "[4294967296,4294967296]", "[0,0]", 0)},
      {"product times element size wraps to 8",
       entry(R"("F32")", "[4611686018427387906]", "[0,8]")},
      {"product times element size wraps to 0",
       entry(R"("F32")", "[4611686018427387904]", "[0,0]", 0)},
      {"zero hides an overflow", entry(R"("F32")", "[0," + max + "," + max + "]", "[0,0]", 0)},
      {"offsets is null", entry(R"("F32")", "[2]", "null")},
      {"offsets empty", entry(R"("F32")", "[2]", "[]")},
      {"one offset", entry(R"("F32")", "[2]", "[8]")},
      {"three offsets", entry(R"("F32")", "[2]", "[0,8,8]")},
      {"offsets is an object", entry(R"("F32")", "[2]", R"({"begin":0,"end":8})")},
      {"begin negative", entry(R"("F32")", "[4]", "[-8,8]")},
      {"begin off by one", entry(R"("F32")", "[2]", "[1,9]", 9)},
      {"end off by one up", entry(R"("F32")", "[2]", "[0,9]", 9)},
      {"end off by one down", entry(R"("F32")", "[2]", "[0,7]", 7)},
      {"end before begin", entry(R"("F32")", "[2]", "[8,0]")},
      {"end past the file", entry(R"("F32")", "[4]", "[0,16]")},
      {"end far past the file", entry(R"("U8")", "[" + max + "]", "[0," + max + "]")},
      {"end - begin wraps", entry(R"("F32")", "[2]", "[-" + max + "," + max + "]")},
      {"offset with a fraction", entry(R"("F32")", "[2]", "[0,8.0]")},
      {"offset is a string", entry(R"("F32")", "[2]", "[\"0\",8]")},
      {"offset 2^64 + 8", entry(R"("F32")", "[2]", "[0,18446744073709551624]")},
      {"offset minus zero", entry(R"("F32")", "[2]", "[-0,8]")},
      {"trailing byte", entry(R"("F32")", "[2]", "[0,8]", 9)},
      {"data without tensors", header("{}", 1)},
      {"data missing", entry(R"("F32")", "[2]", "[0,8]", 0)},
      {"last byte missing", entry(R"("F32")", "[2]", "[0,8]", 7)},
      {"hole at the start", two("[4,8]", "[8,12]", 12)},
      {"hole between", two("[0,4]", "[8,12]", 12)},
      {"overlap by a byte", two("[0,4]", "[3,7]", 7)},
      {"the same span twice", two("[0,4]", "[0,4]", 4)},
      {"order swapped with a hole", two("[8,12]", "[0,4]", 12)},
      {"empty tensor past the end",
       header(R"({"a":{"dtype":"F32","shape":[0],"data_offsets":[8,8]}})", 0)},
      {"empty tensor inside another",
       header(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},)"
              R"("b":{"dtype":"F32","shape":[0],"data_offsets":[4,4]}})")},
      {"metadata is null", header(R"({"__metadata__":null})", 0)},
      {"metadata is an array", header(R"({"__metadata__":[]})", 0)},
      {"metadata holds a number", header(R"({"__metadata__":{"a":1}})", 0)},
      {"metadata holds an object", header(R"({"__metadata__":{"a":{}}})", 0)},
      {"metadata key twice", header(R"({"__metadata__":{"a":"1","a":"2"}})", 0)},
      {"comment", header("{/* */}", 0)},
      {"trailing comma", header("{\"__metadata__\":{},}", 0)},
      {"NaN as a size", entry(R"("F32")", "[NaN]", "[0,8]")},
  };
}

TEST_CASE("every hostile file is refused with a FormatError that names it") {
  const TemporaryDir dir;
  const std::vector<Case> cases = hostile_files();
  CHECK(cases.size() >= 100);
  for (const Case& c : cases) {
    INFO(c.what);
    const std::string said = complaint(dir.path("hostile.safetensors"), c.bytes);
    CHECK(said.find("hostile.safetensors") != std::string::npos);
    CHECK(said.size() < 600);
  }
}

TEST_CASE("unusual but legal files are read") {
  const TemporaryDir dir;
  const std::string path = dir.path("legal.safetensors");
  CHECK(complaint(path, header("{}", 0)).empty());
  CHECK(complaint(path, header("{}      \n\t", 0)).empty());
  CHECK(complaint(path, header(R"({"__metadata__":{"format":"pt"}})", 0)).empty());
  CHECK(complaint(path, two("[4,8]", "[0,4]", 8)).empty());
  CHECK(complaint(path, entry(R"("F32")", "[]", "[0,4]", 4)).empty());
  CHECK(complaint(path, entry(R"("F32")", "[0,5]", "[0,0]", 0)).empty());
  CHECK(complaint(path, entry(R"("F32")", "[1,1,1,1,1,1,1,2]", "[0,8]")).empty());
  CHECK(complaint(path, header("{\"" + std::string(1024, 'n') +
                               R"(":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})"))
            .empty());
  // A type that cannot be computed in can still be listed.
  real_file_system().write_file(path, entry(R"("F8_E4M3")", "[2,4]", "[0,8]"));
  const SafetensorsFile file = SafetensorsFile::open(path);
  CHECK(file.info("a").dtype_name == "F8_E4M3");
  CHECK_FALSE(file.info("a").dtype.has_value());
  CHECK_THROWS_AS(file.load("a"), FormatError);
  CHECK_THROWS_AS(file.load("b"), FormatError);
}

TEST_CASE("a cap on the number of tensors keeps the header from eating the memory") {
  std::string text = "{";
  for (int i = 0; i < 200'001; ++i)
    text += (i ? ",\"" : "\"") + std::to_string(i) +
            R"(":{"dtype":"F32","shape":[0],"data_offsets":[0,0]})";
  const TemporaryDir dir;
  CHECK(complaint(dir.path("many"), header(text + "}", 0)).find("too many") != std::string::npos);
}

NamedTensors random_tensors(std::mt19937_64& random) {
  static constexpr DType kTypes[] = {DType::f32, DType::f64, DType::bf16, DType::f16,
                                     DType::i8,  DType::i16, DType::i32,  DType::i64,
                                     DType::u8,  DType::u16, DType::u32,  DType::boolean};
  NamedTensors tensors;
  for (uint64_t n = random() % 8; n > 0; --n) {
    Shape shape(random() % 4);
    for (int64_t& size : shape) size = static_cast<int64_t>(random() % 5);
    Tensor tensor = Tensor::empty(shape, kTypes[random() % 12]);
    auto* bytes = static_cast<uint8_t*>(tensor.raw());
    for (int64_t i = 0; i < tensor.numel() * size_of(tensor.dtype()); ++i)
      bytes[i] = static_cast<uint8_t>(tensor.dtype() == DType::boolean ? random() % 2 : random());
    if (tensor.dim() == 2 && random() % 2 == 0)
      tensor = tensor.strided_view({tensor.size(1), tensor.size(0)},
                                   {tensor.stride(1), tensor.stride(0)});
    tensors.emplace_back("t." + std::to_string(n) + (random() % 2 ? " \xc3\xa9\"\\\n" : ""),
                         tensor);
  }
  return tensors;
}

TEST_CASE("what is written reads back the same") {
  const TemporaryDir dir;
  const std::string path = dir.path("model.safetensors");
  std::mt19937_64 random(3);
  for (int round = 0; round < 60; ++round) {
    const NamedTensors tensors = random_tensors(random);
    const StringMap metadata =
        round % 2 ? StringMap{{"format", "pt"}, {"note", "line\n\xc3\xa9"}} : StringMap{};
    write_safetensors(path, tensors, metadata);
    const SafetensorsFile file = SafetensorsFile::open(path);
    REQUIRE(file.metadata() == metadata);
    REQUIRE(file.tensors().size() == tensors.size());
    for (const auto& [name, tensor] : tensors) REQUIRE(same_bytes(file.load(name), tensor));
  }
  CHECK(real_file_system().list(dir.path()).size() == 1);
}

TEST_CASE("the layout is the format's: widest types first, then names, aligned to 8 bytes") {
  const TemporaryDir dir;
  const std::string path = dir.path("model.safetensors");
  write_safetensors(path,
                    {{"b", Tensor::scalar(1)},
                     {"c", Tensor::zeros({1}, DType::i64)},
                     {"a", Tensor::zeros({3}, DType::f32)},
                     {"d", Tensor::zeros({1}, DType::boolean)}},
                    {{"format", "pt"}});
  const std::string bytes = real_file_system().read_file(path);
  CHECK(bytes.substr(8, bytes.size() - 8 - 25) ==
        R"({"__metadata__":{"format":"pt"},"c":{"dtype":"I64","shape":[1],"data_offsets":[0,8]},)"
        R"("a":{"dtype":"F32","shape":[3],"data_offsets":[8,20]},)"
        R"("b":{"dtype":"F32","shape":[],"data_offsets":[20,24]},)"
        R"("d":{"dtype":"BOOL","shape":[1],"data_offsets":[24,25]}}       )");
  CHECK((bytes.size() - 25) % 8 == 0);
}

TEST_CASE("names that a reader would refuse are not written") {
  const TemporaryDir dir;
  const Tensor x = Tensor::scalar(1);
  for (const std::string& name : {std::string(), std::string("a\0b", 3), std::string(1025, 'n'),
                                  std::string("__metadata__"), std::string("\xff")})
    CHECK_THROWS_AS(write_safetensors(dir.path("x"), {{name, x}}), FormatError);
  CHECK_THROWS_AS(
      write_safetensors(dir.path("x"), {{"a", x}, {"a", Tensor::scalar(1, DType::f64)}}),
      FormatError);
  CHECK_THROWS_AS(write_safetensors(dir.path("x"), {{"a", Tensor()}}), FormatError);
  CHECK(real_file_system().list(dir.path()).empty());
}

// Two tensors and metadata, as bytes.
std::string small_file(const TemporaryDir& dir) {
  const std::string path = dir.path("small.safetensors");
  write_safetensors(path,
                    {{"weight", Tensor::from<float>({1, 2, 3, 4, 5, 6}, {2, 3})},
                     {"ids", Tensor::from<int32_t>({-1, 7}, {2})}},
                    {{"k", "v"}});
  return real_file_system().read_file(path);
}

TEST_CASE("a file cut at any byte is refused") {
  const TemporaryDir dir;
  const std::string bytes = small_file(dir);
  for (size_t n = 0; n < bytes.size(); ++n)
    REQUIRE_FALSE(complaint(dir.path("cut"), bytes.substr(0, n)).empty());
}

// The meaning of a file as text, without names and metadata values, which any damage may change
// into other legal ones.
std::string meaning(const SafetensorsFile& file) {
  std::string text;
  for (const auto& info : file.tensors()) {
    text += info.dtype_name + to_string(info.shape) + std::to_string(info.begin) + ":" +
            std::to_string(info.end) + ";";
  }
  return text;
}

TEST_CASE("any change of one header byte is refused or harmless") {
  const TemporaryDir dir;
  const std::string path = dir.path("flip");
  const std::string bytes = small_file(dir);
  uint64_t header_bytes = 0;
  std::memcpy(&header_bytes, bytes.data(), 8);
  real_file_system().write_file(path, bytes);
  const std::string original = meaning(SafetensorsFile::open(path));
  int64_t n_accepted = 0;
  for (size_t at = 0; at < 8 + header_bytes; ++at) {
    for (int change = 1; change < 256; change += at < 8 ? 1 : 3) {
      std::string damaged = bytes;
      damaged[at] = static_cast<char>(damaged[at] ^ change);
      if (!complaint(path, damaged).empty()) continue;
      ++n_accepted;
      const SafetensorsFile file = SafetensorsFile::open(path);
      // "F32" may become "I32" or "U32": the same sizes, another type.
      // Nothing else may differ.
      std::string changed = meaning(file);
      REQUIRE(changed.size() == original.size());
      size_t n_different = 0;
      for (size_t i = 0; i < changed.size(); ++i) n_different += changed[i] != original[i];
      REQUIRE(n_different <= 1);
    }
  }
  CHECK(n_accepted > 0);
}

TEST_CASE("random damage to a file is refused or read, never worse") {
  const TemporaryDir dir;
  const std::string path = dir.path("mutant");
  const std::string bytes = small_file(dir);
  static const std::vector<std::string> kTokens = {"0",
                                                   "-1",
                                                   "18446744073709551615",
                                                   "4294967296",
                                                   "9223372036854775807",
                                                   "[",
                                                   "]",
                                                   "{",
                                                   "}",
                                                   ",",
                                                   ":",
                                                   "\"F32\"",
                                                   "\"F4\"",
                                                   "\"a\"",
                                                   "null",
                                                   "1e9",
                                                   "\"__metadata__\"",
                                                   "\"shape\""};
  std::mt19937_64 random(17);
  int64_t n_read = 0;
  for (int i = 0; i < 8000; ++i) {
    std::string mutant = bytes.substr(8);
    for (uint64_t n = random() % 3 + 1; n > 0; --n) {
      const size_t at = random() % (mutant.size() - 30);
      const std::string& token = kTokens[random() % kTokens.size()];
      switch (random() % 4) {
        case 0:
          mutant[at] = static_cast<char>(random());
          break;
        case 1:
          mutant.insert(at, token);
          break;
        case 2:
          mutant.replace(at, token.size(), token);
          break;
        default:
          mutant.erase(at, random() % 4 + 1);
          break;
      }
    }
    const size_t header_end = mutant.rfind('}') + 1;
    n_read += complaint(path, file_bytes(mutant.substr(0, header_end), mutant.substr(header_end)))
                  .empty();
  }
  CHECK(n_read > 0);
}

}  // namespace
}  // namespace xlstm
