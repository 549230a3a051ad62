/* Types shared by every kernel of xlstm.cu. Plain C: no CUDA, BLAS or C++ type appears here.
 *
 * Contract of every public kernel function
 *  - one argument struct per op and direction: pointers, int64 sizes and strides, scalars, flags;
 *  - never allocates, synchronises, prints, throws, exits or keeps state; the caller gives the
 *    workspace, whose size `<function>_workspace` tells (0 for arguments that the call refuses);
 *  - first makes the checks that all backends share, `<function>_check`: all but the element type;
 *  - returns a status; nothing has been written when the status is not XLSTM_OK or
 *    XLSTM_DEVICE_ERROR;
 *  - results do not depend on the number of threads and are the same bits every time.
 *
 * Pointers. An array starts at a multiple of its element's size, and the workspace at one of 64
 * bytes; optional arrays may be null. An array without elements is not looked at. That memory is
 * as large as sizes and strides say, and lies where the backend reaches it - host memory for _cpu,
 * memory that the stream's device can access for _cuda - is the caller's to see to: to ask the
 * driver about every pointer would cost more than many of these calls, and the answer would still
 * depend on the system (managed, registered, or host memory that a device reaches by itself).
 */
#ifndef XLSTM_KERNELS_COMMON_TYPES_H_
#define XLSTM_KERNELS_COMMON_TYPES_H_

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum xlstm_status {
  XLSTM_OK = 0,
  XLSTM_NULL_POINTER = 1, /* a required pointer is null */
  XLSTM_BAD_SIZE = 2,     /* a size is negative or too large, or sizes do not fit each other */
  XLSTM_BAD_STRIDE = 3,   /* a stride is unusable, e.g. the innermost dimension is not dense */
  XLSTM_BAD_DTYPE = 4,    /* this backend does not compute in the given element type */
  XLSTM_BAD_VALUE = 5,    /* a scalar or flag is outside its range */
  XLSTM_BAD_VARIANT = 10, /* the kernel variant asked for cannot compute this here */
  XLSTM_WORKSPACE_TOO_SMALL = 6, /* also where one is needed and the pointer is null */
  XLSTM_NOT_COMPILED = 7,        /* the backend is not part of this build */
  /* The device refused, in this call or an earlier one. Until xlstm_take_device_error (or
   * cudaGetLastError of the same runtime) has taken the error away, every launch reports it. */
  XLSTM_DEVICE_ERROR = 8,
  XLSTM_MISALIGNED = 9 /* a pointer is no multiple of its element's size (workspace: 64 bytes) */
} xlstm_status;

/* One plain English sentence for a status. Never null, never freed. */
const char* xlstm_status_string(xlstm_status status);

/* The text of the error that this thread's calls have left pending in the CUDA runtime that the
 * kernels use, which is not pending any more then; an error that has ended the device's context
 * comes back by itself. "no error" if there is none. Never null, never freed. */
const char* xlstm_take_device_error(void);

typedef enum xlstm_dtype {
  XLSTM_F32 = 0,
  XLSTM_F64 = 1,
  XLSTM_BF16 = 2,
  XLSTM_F16 = 3,
  XLSTM_DTYPE_ANY = 0x7fffffff /* no type: any int may arrive, and an unknown one is refused */
} xlstm_dtype;

/* Where a call runs. On the CPU only the workspace is read. */
typedef struct xlstm_exec {
  void* stream;            /* cudaStream_t, or null */
  void* workspace;         /* 64-byte aligned scratch memory, or null if none is needed */
  int64_t workspace_bytes; /* its size */
  void* cublaslt;          /* cublasLtHandle_t, or null to use our own plain product */
} xlstm_exec;

#ifdef __cplusplus
}
#endif
#endif /* XLSTM_KERNELS_COMMON_TYPES_H_ */
