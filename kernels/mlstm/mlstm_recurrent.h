// The recurrent form on the CPU, called by the forward. Internal to this folder.
#pragma once

#include "kernels/mlstm/mlstm_cpu.h"

namespace xlstm::kernels::mlstm {

template <class T>
struct RecurrentScratch {
  T *C, *n;  // the state of the head at hand

  RecurrentScratch(Scratch& s, const xlstm_mlstm_config& c)
      : C(s.take<T>(c.K * c.V)), n(s.take<T>(c.K)) {}
};

template <class T>
void recurrent_forward(const xlstm_mlstm_fwd_args& args, xlstm_exec exec);  // float and double

}  // namespace xlstm::kernels::mlstm
