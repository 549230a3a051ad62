// Elementwise functions that the compiler can vectorise. float: branch-free polynomials, error
// below 2 units in the last place over the whole range (3 for sigmoid and log_sigmoid, 4 for expm1,
// 6 for erfc); double: the C library. NaN in gives NaN out; infinities behave as in the C library.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

namespace xlstm::kernels::vec {

inline double exp(double x) {
  return std::exp(x);
}
inline double log(double x) {
  return std::log(x);
}
inline double log1p(double x) {
  return std::log1p(x);
}
inline double tanh(double x) {
  return std::tanh(x);
}
inline double erf(double x) {
  return std::erf(x);
}
inline double erfc(double x) {
  return std::erfc(x);
}
inline double expm1(double x) {
  return std::expm1(x);
}

// e^x by 2^n * e^r with |r| <= ln2/2 and the Taylor polynomial of e^r to degree 7 (the remainder is
// below 6e-9 relative). Two half scalings keep 2^n in range, so results denormalise as they should.
inline float exp(float x) {
  constexpr float kLog2e = 1.44269504088896341f, kLn2Hi = 0.693359375f, kLn2Lo = -2.12194440e-4f;
  constexpr float kShift = 12582912.0f;  // 1.5 * 2^23: adding it rounds to the nearest integer
  // The comparisons are written so that NaN passes through.
  float c = x > 89.0f ? 89.0f : x;
  c = c < -104.0f ? -104.0f : c;
  const float shifted = c * kLog2e + kShift;
  const float n = shifted - kShift;
  float r = c - n * kLn2Hi;
  r -= n * kLn2Lo;
  float p = 1.9841270e-4f;
  p = p * r + 1.3888889e-3f;
  p = p * r + 8.3333333e-3f;
  p = p * r + 4.1666668e-2f;
  p = p * r + 1.6666667e-1f;
  p = p * r + 0.5f;
  p = p * r * r + r + 1.0f;
  const int32_t k = std::bit_cast<int32_t>(shifted) - 0x4B400000;
  const int32_t k1 = k >> 1, k2 = k - k1;
  const float s1 = std::bit_cast<float>((k1 + 127) << 23);
  const float s2 = std::bit_cast<float>((k2 + 127) << 23);
  const float y = p * s1 * s2;
  return x == x ? y : x;
}

// Natural logarithm of a positive finite float (0 gives -inf, negative gives NaN): x = 2^k * m with
// m in [sqrt(1/2), sqrt(2)), log m = 2 atanh((m-1)/(m+1)) as a series.
inline float log(float x) {
  const bool tiny = x < 1.17549435e-38f;
  const float scaled = tiny ? x * 8388608.0f : x;
  const int32_t bits = std::bit_cast<int32_t>(scaled);
  const int32_t k = (bits - 0x3F3504F3) >> 23;
  const float m = std::bit_cast<float>(bits - (k << 23));
  const float e = static_cast<float>(k) - (tiny ? 23.0f : 0.0f);
  const float f = m - 1.0f;
  const float s = f / (2.0f + f), z = s * s;
  float p = 0.1818357216f;    // minimax continuation of 2/11
  p = p * z + 0.2222221985f;  // 2/9
  p = p * z + 0.2857142985f;  // 2/7
  p = p * z + 0.4000000060f;  // 2/5
  p = p * z + 0.6666666667f;  // 2/3
  const float half_f2 = 0.5f * f * f;
  const float tail = s * (half_f2 + p * z);
  float y = e * 0.693359375f + (f - (half_f2 - (tail + e * -2.12194440e-4f)));
  y = x == 0.0f ? -std::numeric_limits<float>::infinity() : y;
  y = x < 0.0f ? std::numeric_limits<float>::quiet_NaN() : y;
  y = x > 3.4028234e38f ? x : y;
  return x == x ? y : x;
}

// log(1+x), exact for small x by Kahan's correction u = 1+x, log(u) + (x-(u-1))/u. -1 gives -inf.
inline float log1p(float x) {
  const float u = 1.0f + x;
  const float correction = (x - (u - 1.0f)) / u;
  // At u = 0 and u = infinity the correction is not a number, and not needed.
  return log(u) + (u > 0.0f && u <= 3.4028234e38f ? correction : 0.0f);
}

// Shorter forms over ranges that gates are known to stay in, as accurate as the others. NaN in
// gives NaN out.
//
// e^x for x <= 0; below -87 it is 0.
inline float exp_of_nonpositive(float x) {
  constexpr float kLog2e = 1.44269504088896341f, kLn2Hi = 0.693359375f, kLn2Lo = -2.12194440e-4f;
  constexpr float kShift = 12582912.0f;  // 1.5 * 2^23: adding it rounds to the nearest integer
  const float c = x < -87.0f ? -87.0f : x;
  const float shifted = c * kLog2e + kShift;
  const float n = shifted - kShift;
  const float r = (c - n * kLn2Hi) - n * kLn2Lo;
  float p = 1.9841270e-4f;  // Taylor to degree 7
  p = p * r + 1.3888889e-3f;
  p = p * r + 8.3333333e-3f;
  p = p * r + 4.1666668e-2f;
  p = p * r + 1.6666667e-1f;
  p = p * r + 0.5f;
  p = p * r * r + r + 1.0f;
  const int32_t power = (std::bit_cast<int32_t>(shifted) - 0x4B400000 + 127) << 23;
  const float y = p * std::bit_cast<float>(power);
  return x < -87.0f ? 0.0f : y;
}
inline double exp_of_nonpositive(double x) {
  return std::exp(x);
}

// log(1 + e) for 0 <= e <= 1, as 2 atanh(e / (2 + e)): the series in z <= 1/9 to z^6.
inline float log1p_of_fraction(float e) {
  const float s = e / (2.0f + e), z = s * s;
  float p = 2.0f / 13;
  p = p * z + 2.0f / 11;
  p = p * z + 2.0f / 9;
  p = p * z + 2.0f / 7;
  p = p * z + 2.0f / 5;
  p = p * z + 2.0f / 3;
  return s * (p * z + 2.0f);
}
inline double log1p_of_fraction(double e) {
  return std::log1p(e);
}

inline float tanh(float x) {
  const float a = std::fabs(x);
  // Small arguments: the odd Taylor series; the rest: 1 - 2/(e^{2a}+1).
  const float z = x * x;
  float p = 0.0035921280f;
  p = p * z - 0.0088632355f;
  p = p * z + 0.021869488f;
  p = p * z - 0.053968254f;
  p = p * z + 0.13333333f;
  p = p * z - 0.33333333f;
  const float small = x + x * z * p;
  const float big = 1.0f - 2.0f / (exp(2.0f * (a > 10.0f ? 10.0f : a)) + 1.0f);
  const float y = a < 0.5f ? small : std::copysign(big, x);
  return x == x ? y : x;
}

// e^x - 1 without cancellation: 2t / (1 - t) with t = tanh(x/2) where that is accurate.
inline float expm1(float x) {
  const float t = tanh(0.5f * x);
  const float small = 2.0f * t / (1.0f - t);
  const float y = std::fabs(x) < 1.0f ? small : exp(x) - 1.0f;
  return x == x ? y : x;
}

// erf(x) / x - 1 for |x| < 1 as a polynomial in x^2, and erfc(a) for a >= 1 as e^{-a^2} t P(t) with
// t = 1/(a+2); both polynomials are Chebyshev fits (relative errors 1.4e-9 and 4e-8). Beyond 10.05
// erfc is below the smallest float.
namespace detail {
inline float erf_near(float x) {
  const float z = x * x;
  float p = 7.88249711e-5f;
  p = p * z - 8.01885499e-4f;
  p = p * z + 5.18931194e-3f;
  p = p * z - 2.68543288e-2f;
  p = p * z + 0.112835975f;
  p = p * z - 0.376126269f;
  return p * z + 0.128379167f;
}
inline float erfc_far(float a) {
  const float c = a > 10.1f ? 10.1f : a;
  const float t = 1.0f / (c + 2.0f);
  float p = 23.6885357f;
  p = p * t - 28.6020412f;
  p = p * t + 5.05830956f;
  p = p * t + 2.02385259f;
  p = p * t + 2.84690046f;
  p = p * t + 1.97719502f;
  p = p * t + 1.12807178f;
  p = p * t + 0.564198911f;
  // What rounding took from the square matters where the square is large.
  const float square = c * c, lost = std::fma(c, c, -square);
  return exp(-square) * (t * p) * (1.0f - lost);
}
}  // namespace detail

inline float erf(float x) {
  const float a = std::fabs(x);
  const float far = std::copysign(1.0f - detail::erfc_far(a), x);
  const float y = a < 1.0f ? x + x * detail::erf_near(x) : far;
  return x == x ? y : x;
}

// 1 - erf(x), accurate where erf is close to 1.
inline float erfc(float x) {
  const float a = std::fabs(x);
  const float far = detail::erfc_far(a);
  const float near = 1.0f - (x + x * detail::erf_near(x));
  const float y = a < 1.0f ? near : (x < 0.0f ? 2.0f - far : far);
  return x == x ? y : x;
}

template <class T>
inline T sigmoid(T x) {
  // e^{-|x|} never overflows; the two branches share it.
  const T e = exp(-std::fabs(x));
  const T r = T(1) / (T(1) + e);
  return x >= T(0) ? r : e * r;
}

// The derivative of the sigmoid, e^{-|x|} / (1 + e^{-|x|})^2: no digits are lost where it is small.
// tanh'(x) = 4 sigmoid'(2x).
template <class T>
inline T sigmoid_slope(T x) {
  const T e = exp(-std::fabs(x));
  return e / ((T(1) + e) * (T(1) + e));
}

// log sigmoid(x) = -(max(-x,0) + log1p(e^{-|x|})), finite for every finite x.
template <class T>
inline T log_sigmoid(T x) {
  const T e = exp(-std::fabs(x));
  return (x < T(0) ? x : T(0)) - log1p(e);
}

// cap * tanh(x / cap); cap == 0 means no cap. The derivative is 1 - (softcap(x)/cap)^2.
template <class T>
inline T softcap(T x, T cap) {
  return cap > T(0) ? cap * tanh(x / cap) : x;
}

}  // namespace xlstm::kernels::vec
