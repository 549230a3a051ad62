// How an entry point of a kernel begins on every backend: the op's shared check, the element type,
// the workspace; then the code for that element type. Plain C++17, so that .cu files can use it.
//   return Cpu::run(args, xlstm_dropout_check, [&]<class T>(Element<T>) { apply<T>(*args); });
#pragma once

#include <type_traits>

#include "kernels/common/alignment.h"
#include "kernels/common/types.h"

namespace xlstm::kernels {

// An element type as a value. A backend that has more of them specialises this.
template <class T>
struct Element;
template <>
struct Element<float> {
  using type = float;
  static constexpr xlstm_dtype dtype = XLSTM_F32;
};
template <>
struct Element<double> {
  using type = double;
  static constexpr xlstm_dtype dtype = XLSTM_F64;
};

// Args hold their element type themselves or in a `config`.
template <class Args>
auto dtype_of(const Args& args) -> decltype(args.dtype) {
  return args.dtype;
}
template <class Args>
auto dtype_of(const Args& args) -> decltype(args.config.dtype) {
  return args.config.dtype;
}

// A backend that computes in these types.
template <class... Types>
struct Backend {
  static constexpr bool computes_in(xlstm_dtype dtype) {
    return ((Element<Types>::dtype == dtype) || ...);
  }

  // body(Element<T>{}) for the type T of args. body returns a status, or nothing for XLSTM_OK.
  template <class Args, class Body>
  static xlstm_status run(const Args* args, xlstm_status (*check)(const Args*), Body body) {
    xlstm_status status = check(args);
    if (status != XLSTM_OK) return status;
    status = XLSTM_BAD_DTYPE;
    (void)((Element<Types>::dtype == dtype_of(*args) &&
            (status = status_of(body, Element<Types>{}), true)) ||
           ...);
    return status;
  }

  // The same for a kernel that needs workspace, needed(args) bytes at least.
  template <class Args, class Body>
  static xlstm_status run(const Args* args, xlstm_status (*check)(const Args*), xlstm_exec exec,
                          int64_t (*needed)(const Args*), Body body) {
    return run(args, check, [&](auto element) {
      const int64_t given = exec.workspace == nullptr ? 0 : exec.workspace_bytes;
      const int64_t wanted = needed(args);
      if (given < wanted) return XLSTM_WORKSPACE_TOO_SMALL;
      if (wanted > 0 && misaligned(64, {exec.workspace})) return XLSTM_MISALIGNED;
      return status_of(body, element);
    });
  }

  // What a workspace query answers: bytes(Element<T>{}), or 0 for args that the call refuses.
  template <class Args, class Bytes>
  static int64_t workspace(const Args* args, xlstm_status (*check)(const Args*), Bytes bytes) {
    int64_t needed = 0;
    run(args, check, [&](auto element) { needed = bytes(element); });
    return needed;
  }

 private:
  template <class Body, class T>
  static xlstm_status status_of(Body& body, Element<T> element) {
    if constexpr (std::is_void_v<decltype(body(element))>) {
      body(element);
      return XLSTM_OK;
    } else {
      return body(element);
    }
  }
};

using Cpu = Backend<float, double>;

}  // namespace xlstm::kernels
