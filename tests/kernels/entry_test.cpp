// How entry points begin: what is refused, in which order, and that nothing runs then.
#include "kernels/common/entry.h"

#include <utility>

#include "tests/catch.h"

namespace xlstm {
namespace {

using kernels::Backend;
using kernels::Cpu;
using kernels::Element;

struct Args {
  xlstm_dtype dtype;
  int64_t n;
};

struct ConfigArgs {
  struct {
    xlstm_dtype dtype;
  } config;
};

xlstm_status check(const Args* args) {
  if (args == nullptr) return XLSTM_NULL_POINTER;
  return args->n < 0 ? XLSTM_BAD_SIZE : XLSTM_OK;
}

int64_t needed(const Args* args) {
  return Cpu::workspace(args, check,
                        [&]<class T>(Element<T>) { return args->n * int64_t{sizeof(T)}; });
}

// Bytes of the type that ran, 0 if none did.
template <class Types>
size_t ran(const Args& args, xlstm_status want) {
  size_t bytes = 0;
  CHECK(Types::run(&args, check, [&]<class T>(Element<T>) { bytes = sizeof(T); }) == want);
  return bytes;
}

TEST_CASE("a backend runs the code of the element type, and refuses those that it has not") {
  CHECK(ran<Cpu>({XLSTM_F32, 1}, XLSTM_OK) == 4);
  CHECK(ran<Cpu>({XLSTM_F64, 1}, XLSTM_OK) == 8);
  CHECK(ran<Cpu>({XLSTM_BF16, 1}, XLSTM_BAD_DTYPE) == 0);
  CHECK(ran<Backend<float>>({XLSTM_F64, 1}, XLSTM_BAD_DTYPE) == 0);
  CHECK(ran<Cpu>({XLSTM_BF16, -1}, XLSTM_BAD_SIZE) == 0);
  CHECK(Cpu::computes_in(XLSTM_F64));
  CHECK_FALSE(Cpu::computes_in(XLSTM_F16));
  const ConfigArgs nested{{XLSTM_F64}};
  const auto fine = +[](const ConfigArgs*) { return XLSTM_OK; };
  CHECK(Cpu::run(&nested, fine, []<class T>(Element<T>) {
          return sizeof(T) == 8 ? XLSTM_DEVICE_ERROR : XLSTM_OK;
        }) == XLSTM_DEVICE_ERROR);
}

TEST_CASE("a workspace that is missing or too small is refused before anything runs") {
  alignas(64) double memory[4];
  bool has_run = false;
  const auto with = [&](Args args, void* workspace, int64_t bytes) {
    has_run = false;
    return Cpu::run(&args, check, {nullptr, workspace, bytes, nullptr}, needed,
                    [&](auto) { has_run = true; });
  };
  CHECK(with({XLSTM_F64, 4}, memory, 31) == XLSTM_WORKSPACE_TOO_SMALL);
  CHECK(with({XLSTM_F64, 4}, nullptr, 32) == XLSTM_WORKSPACE_TOO_SMALL);
  CHECK(with({XLSTM_F64, -4}, nullptr, 0) == XLSTM_BAD_SIZE);
  CHECK(with({XLSTM_F16, 4}, nullptr, 0) == XLSTM_BAD_DTYPE);
  CHECK_FALSE(has_run);
  CHECK(with({XLSTM_F64, 4}, memory, 32) == XLSTM_OK);
  CHECK(has_run);
  CHECK(with({XLSTM_F32, 4}, memory, 16) == XLSTM_OK);
  CHECK(with({XLSTM_F64, 0}, nullptr, 0) == XLSTM_OK);
}

TEST_CASE("a workspace that is used is a multiple of 64 bytes") {
  alignas(64) double memory[16];
  bool has_run = false;
  const auto with = [&](int64_t n, double* workspace) {
    has_run = false;
    const Args args{XLSTM_F64, n};
    return Cpu::run(&args, check, {nullptr, workspace, 64, nullptr}, needed,
                    [&](auto) { has_run = true; });
  };
  CHECK(with(8, memory + 1) == XLSTM_MISALIGNED);
  CHECK(with(8, memory + 4) == XLSTM_MISALIGNED);
  CHECK(with(9, memory + 1) == XLSTM_WORKSPACE_TOO_SMALL);
  CHECK_FALSE(has_run);
  CHECK(with(8, memory + 8) == XLSTM_OK);
  CHECK(has_run);
  CHECK(with(0, memory + 1) == XLSTM_OK);
}

TEST_CASE("an address must be a multiple of the element's size") {
  using kernels::misaligned;
  const auto at = [](uintptr_t address) { return reinterpret_cast<const void*>(address); };
  for (const auto& [dtype, bytes] : {std::pair{XLSTM_F64, 8}, std::pair{XLSTM_F32, 4},
                                     std::pair{XLSTM_BF16, 2}, std::pair{XLSTM_F16, 2}}) {
    for (uintptr_t address = 0; address < 32; ++address) {
      const bool bad = address % static_cast<uintptr_t>(bytes) != 0;
      CHECK(misaligned(dtype, {at(address)}) == bad);
      CHECK(misaligned(dtype, {nullptr, at(address), at(64)}) == bad);
      CHECK(misaligned(dtype, {at(64), at(address)}) == bad);
    }
  }
  CHECK_FALSE(misaligned(XLSTM_F64, {}));
  CHECK_FALSE(misaligned(static_cast<xlstm_dtype>(77), {at(1)}));  // refused for its type
  CHECK(misaligned(static_cast<const int64_t*>(at(4))));
  CHECK_FALSE(misaligned(static_cast<const int32_t*>(at(4))));
}

TEST_CASE("a workspace query answers 0 for arguments that the call refuses") {
  const Args f32{XLSTM_F32, 3}, f64{XLSTM_F64, 3}, f16{XLSTM_F16, 3}, negative{XLSTM_F32, -3};
  CHECK(needed(&f32) == 12);
  CHECK(needed(&f64) == 24);
  CHECK(needed(&f16) == 0);
  CHECK(needed(&negative) == 0);
  CHECK(needed(nullptr) == 0);
}

}  // namespace
}  // namespace xlstm
