#include "core/json.h"

#include <cmath>
#include <cstring>
#include <random>

#include "core/error.h"
#include "tests/catch.h"

namespace xlstm {
namespace {

using namespace std::literals;

Json parse(std::string_view text) {
  return parse_json(text, "test.json");
}

std::string error_of(std::string_view text, const JsonLimits& limits = {}) {
  try {
    parse_json(text, "test.json", limits);
  } catch (const FormatError& error) {
    return error.what();
  }
  return "";
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

TEST_CASE("values keep their types and members their order") {
  const Json value = parse(R"( {"z": [1, -2.5, "x\u00e9\n"], "a": null, "m": {"t": true}} )");
  REQUIRE(value.size() == 3);
  CHECK(value.as_object()[0].first == "z");
  CHECK(value.as_object()[1].first == "a");
  CHECK(value.find("z")->as_array()[0].as_int() == 1);
  CHECK(value.find("z")->as_array()[1].as_double() == -2.5);
  CHECK(value.find("z")->as_array()[2].as_string() == "x\xc3\xa9\n");
  CHECK(value.find("a")->is_null());
  CHECK(value.find("m")->find("t")->as_bool());
  CHECK(value.find("absent") == nullptr);
  CHECK(parse("9223372036854775807").as_int() == INT64_MAX);
  CHECK(parse("-9223372036854775808").as_int() == INT64_MIN);
  CHECK(parse("3").as_double() == 3.0);
  CHECK_THROWS_AS(parse("3.0").as_int(), FormatError);
  CHECK_THROWS_AS(parse("\"3\"").as_int(), FormatError);
}

TEST_CASE("whatever strict JSON forbids is an error with its offset") {
  for (const char* text : {"",
                           " ",
                           "{",
                           "[1,]",
                           "{\"a\":1,}",
                           "{\"a\" 1}",
                           "{a:1}",
                           "[1] 2",
                           "[1]]",
                           "nul",
                           "NaN",
                           "Infinity",
                           "-Infinity",
                           "01",
                           "+1",
                           ".5",
                           "1.",
                           "1e",
                           "1e400",
                           "-1e400",
                           "'a'",
                           "\"a",
                           "\"\\x\"",
                           "\"\\ud800\"",
                           "\"\t\"",
                           "\"\x80\"",
                           "\"\xc0\xaf\"",
                           "\"\xed\xa0\x80\"",
                           "\"\xf4\x90\x80\x80\"",
                           "// note\n1",
                           "[1 2]",
                           "9223372036854775808",
                           "-9223372036854775809",
                           "123456789012345678901234567890"}) {
    INFO(text);
    const std::string error = error_of(text);
    CHECK(contains(error, "test.json: byte "));
  }
  CHECK(contains(error_of("[1, 2, x]"), "byte 8"));
  CHECK(contains(error_of("[1]\0[2]"sv), "byte 3"));
  CHECK(contains(error_of("[1]\0"sv), "byte 3"));
}

TEST_CASE("an error names the key it stands under") {
  const std::string error = error_of(R"({"a": {"b": [0, {"c": 1, "c": 2}]}})");
  CHECK(contains(error, "duplicate key \"c\""));
  CHECK(contains(error, "a.b[1]"));
  CHECK(contains(error_of(R"({"sizes": [1, 18446744073709551615]})"), "sizes[1]"));
}

TEST_CASE("depth and size are capped") {
  const auto nested = [](int depth) {
    return std::string(static_cast<size_t>(depth), '[') +
           std::string(static_cast<size_t>(depth), ']');
  };
  CHECK(error_of(nested(64)).empty());
  CHECK(contains(error_of(nested(65)), "nested too deeply"));
  CHECK(contains(error_of(std::string(3000000, '[')), "nested too deeply"));
  CHECK(contains(error_of("[[1]]", {.max_bytes = 100, .max_depth = 1, .max_values = 9}),
                 "nested too deeply"));
  CHECK(
      contains(error_of("[1, 2]", {.max_bytes = 5, .max_depth = 9, .max_values = 9}), "too large"));
  CHECK(contains(error_of("[1, 2]", {.max_bytes = 100, .max_depth = 9, .max_values = 2}),
                 "too many values"));
  CHECK(std::signbit(parse("-0").as_double()));
  CHECK_THROWS_AS(parse("-0").as_int(), FormatError);
}

TEST_CASE("doubles are written so that they read back to the same bits") {
  std::mt19937_64 random(5);
  for (int i = 0; i < 20000; ++i) {
    const uint64_t bits = random();
    double value = 0;
    std::memcpy(&value, &bits, sizeof value);
    if (!std::isfinite(value)) continue;
    const double back = parse(to_text(Json(value))).as_double();
    REQUIRE(std::memcmp(&back, &value, sizeof value) == 0);
  }
  CHECK(to_text(Json(-0.0)) == "-0.0");
  CHECK(std::signbit(parse("-0.0").as_double()));
  CHECK(parse(to_text(Json(3.0))).type() == Json::Type::number);
  CHECK_THROWS_AS(to_text(Json(std::nan(""))), FormatError);
  CHECK_THROWS_AS(to_text(Json(HUGE_VAL)), FormatError);
}

TEST_CASE("writing and reading give the same value back") {
  Json value;
  value.set("text", "quote \" slash \\ nul \0 bell \a del \x7f \xf0\x9f\x98\x80"sv);
  value.set("list", Json::array()).push_back(int64_t{-5});
  value.set("empty", Json::object());
  value.find("list")->push_back(Json());
  value.find("list")->push_back(true);
  value.set("1", 1e-4);
  CHECK(parse(to_text(value)) == value);
  CHECK(parse(to_text(value, 2)) == value);
  CHECK(to_text(parse(R"({"a":[1,{"b":null}],"c":{}})"), 2) ==
        "{\n  \"a\": [\n    1,\n    {\n      \"b\": null\n    }\n  ],\n  \"c\": {}\n}");
  value.set("1", "again");
  CHECK(value.size() == 4);
  CHECK_THROWS_AS(to_text(Json("\xff")), FormatError);
}

TEST_CASE("fields name file, key, what came and what was expected") {
  const Json value = parse(R"({"model": {"layers": [{"n": "3"}], "rate": 1.5}, "n": -1})");
  const JsonField root(value, "config.json");
  const auto message = [](const auto& call) -> std::string {
    try {
      call();
    } catch (const FormatError& error) {
      return error.what();
    }
    return "";
  };
  CHECK(message([&] { root.at("model").at("layers").as_array()[0].at("n").as_int(); }) ==
        "config.json: model.layers[0].n: got string \"3\", expected integer");
  CHECK(message([&] { root.at("n").as_int(0, 9); }) ==
        "config.json: n: out of range, got -1, expected 0 to 9");
  CHECK(message([&] { root.at("model").at("size"); }) ==
        "config.json: model: key \"size\" is missing");
  CHECK(message([&] {
          root.only_keys({"model", "m"});
        }) == "config.json: unknown key \"n\", expected one of model, m");
  CHECK(root.at("model").at("rate").as_double(0, 2) == 1.5);
  CHECK_THROWS_AS(root.at("model").at("rate").as_int(), FormatError);
  CHECK(root.has("n"));
  CHECK_FALSE(root.has("m"));
  CHECK(root.at("model").as_object()[0].second.path() == "model.layers");
}

TEST_CASE("a large object is read in linear time") {
  std::string text = "{";
  for (int i = 0; i < 200000; ++i)
    text += (i ? ",\"" : "\"") + std::to_string(i) + "\":" + std::to_string(i);
  text += "}";
  CHECK(parse(text).size() == 200000);
}

TEST_CASE("UTF-8 is checked to the letter") {
  for (const char* good : {"", "a", "\xc2\x80", "\xe0\xa0\x80", "\xed\x9f\xbf", "\xf4\x8f\xbf\xbf"})
    CHECK(is_utf8(good));
  for (const char* bad : {"\x80", "\xc1\xbf", "\xe0\x9f\xbf", "\xed\xa0\x80", "\xf0\x8f\xbf\xbf",
                          "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xe2\x82", "\xff"})
    CHECK_FALSE(is_utf8(bad));
}

TEST_CASE("random damage to JSON is refused or read, never worse") {
  const std::string good = to_text(parse(
      R"({"vocab": {"a": 0, "\u0120b": 1}, "merges": [["a", "b"]], "x": -1.5e-7, "t": true})"));
  std::mt19937_64 random(11);
  for (int i = 0; i < 50000; ++i) {
    std::string text = good;
    for (uint64_t n = random() % 4 + 1; n > 0; --n) {
      const size_t at = random() % text.size();
      switch (random() % 3) {
        case 0:
          text[at] = static_cast<char>(random());
          break;
        case 1:
          text.insert(at, 1, "{}[]\",:-e.0\\u"[random() % 13]);
          break;
        default:
          text.erase(at, random() % 5 + 1);
          break;
      }
      if (text.empty()) text = "{";
    }
    try {
      const Json value = parse(text);
      REQUIRE(parse(to_text(value)) == value);
    } catch (const FormatError&) {
    }
  }
}

}  // namespace
}  // namespace xlstm
