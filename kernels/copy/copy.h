/* Copies strided memory, converting the element type, and fills it.
 *
 *   to[i] = convert(from[i]) for every index i of the shape
 *
 * Equal types copy bit for bit; conversions between floating types round to nearest even through
 * float32, those to and from integers go through double and truncate; to an integer, what lies
 * outside its range becomes the nearest end and NaN 0; to a boolean, all but 0 becomes 1, NaN too.
 * A stride of 0 in `from` repeats an element. Strides in elements; up to XLSTM_COPY_MAX_DIMS
 * dimensions. Aliasing: none. Bytes: each element read and written once. One launch. The CPU side
 * is core/element_copy.cpp; this entry point exists for CUDA alone. The dimensions are put in the
 * order of `to` and merged. Dense arrays, and equal types in dense aligned rows, move in 16 bytes a
 * thread and access; where `from` is dense along another dimension than `to`, blocks carry tiles of
 * 64 x 64 (8-byte types 32 x 32) through shared memory; all else goes element by element,
 * neighbouring threads taking neighbours in `to`. Vectorised conversions are those of float32 to
 * and from bfloat16 and float16; other pairs choose types per element.
 */
#ifndef XLSTM_KERNELS_COPY_COPY_H_
#define XLSTM_KERNELS_COPY_COPY_H_

#include "kernels/common/types.h"

#ifdef __cplusplus
extern "C" {
#endif

#define XLSTM_COPY_MAX_DIMS 8

/* Element types of stored tensors; the first four are those of xlstm_dtype. */
typedef enum xlstm_element {
  XLSTM_ELEMENT_F32 = 0,
  XLSTM_ELEMENT_F64 = 1,
  XLSTM_ELEMENT_BF16 = 2,
  XLSTM_ELEMENT_F16 = 3,
  XLSTM_ELEMENT_I8 = 4,
  XLSTM_ELEMENT_I16 = 5,
  XLSTM_ELEMENT_I32 = 6,
  XLSTM_ELEMENT_I64 = 7,
  XLSTM_ELEMENT_U8 = 8,
  XLSTM_ELEMENT_U16 = 9,
  XLSTM_ELEMENT_U32 = 10,
  XLSTM_ELEMENT_BOOL = 11 /* one byte, 0 or 1 */
} xlstm_element;

typedef struct xlstm_copy_args {
  xlstm_element from_type, to_type;
  int32_t n_dims;
  int64_t sizes[XLSTM_COPY_MAX_DIMS];
  const void* from;
  int64_t from_strides[XLSTM_COPY_MAX_DIMS];
  void* to;
  int64_t to_strides[XLSTM_COPY_MAX_DIMS];
} xlstm_copy_args;

typedef struct xlstm_fill_args {
  xlstm_element type;
  int32_t n_dims;
  int64_t sizes[XLSTM_COPY_MAX_DIMS];
  void* to;
  int64_t to_strides[XLSTM_COPY_MAX_DIMS];
  unsigned char value[8]; /* one element, as it lies in memory */
} xlstm_fill_args;

/* Status: NULL_POINTER, BAD_SIZE (a negative size, too many dimensions), BAD_DTYPE, MISALIGNED. */
xlstm_status xlstm_copy_cuda(const xlstm_copy_args* args, xlstm_exec exec);
/* Every element becomes the value. One launch. */
xlstm_status xlstm_fill_cuda(const xlstm_fill_args* args, xlstm_exec exec);

#ifdef __cplusplus
}
#endif
#endif /* XLSTM_KERNELS_COPY_COPY_H_ */
