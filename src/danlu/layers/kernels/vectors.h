// Vectors of 64 bytes and products of small matrices that lie in the cache.
//
// Every buffer starts at a multiple of 64 bytes and every row of it is a whole number of vectors,
// so that no operation has a rest. The compiler splits a vector where the processor's are shorter.
#pragma once

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <cstdint>
#include <cstring>
#include <limits>

namespace danlu {

using std::int64_t;

template <typename T>
struct Vector;
template <>
struct Vector<float> {
  typedef float type __attribute__((vector_size(64), may_alias));
  typedef std::int32_t whole __attribute__((vector_size(64), may_alias));
  static constexpr int mantissa = 23, bias = 127, degree = 7;
  static constexpr float least = -87.0f;
};
template <>
struct Vector<double> {
  typedef double type __attribute__((vector_size(64), may_alias));
  typedef std::int64_t whole __attribute__((vector_size(64), may_alias));
  static constexpr int mantissa = 52, bias = 1023, degree = 13;
  static constexpr double least = -708.0;
};

template <typename T>
using Lanes = typename Vector<T>::type;

template <typename T>
constexpr int lanes = 64 / sizeof(T);

// The next multiple of a vector.
template <typename T>
constexpr int64_t padded(int64_t size) {
  return (size + lanes<T> - 1) / lanes<T> * lanes<T>;
}

template <typename T>
inline Lanes<T>& at(T* place) {
  return *reinterpret_cast<Lanes<T>*>(place);
}
template <typename T>
inline const Lanes<T>& at(const T* place) {
  return *reinterpret_cast<const Lanes<T>*>(place);
}

template <typename T>
inline T sum(const Lanes<T>& x) {
  T total = 0;
  for (int lane = 0; lane < lanes<T>; ++lane) total += x[lane];
  return total;
}

// exp(x) for x <= 0 to the last digits: 2^n by the exponent's bits, times a series of what is left,
// which is at most log(2)/2. What is below the smallest normal number becomes 0.
template <typename T>
inline Lanes<T> exponential(Lanes<T> x) {
  using V = Vector<T>;
  constexpr T log2_of_e = T(1.44269504088896340736L);
  // log(2) in two parts, the first of which has few digits: its multiples are exact.
  constexpr T high = sizeof(T) == 4 ? T(0.693359375L) : T(0.69314718036912381649L);
  constexpr T low = T(0.69314718055994530942L - static_cast<long double>(high));
  constexpr T magic = sizeof(T) == 4 ? T(12582912.0L) : T(6755399441055744.0L);  // rounds
  auto tiny = x < V::least;
  x = tiny ? Lanes<T>{} + V::least : x;
  Lanes<T> n = (x * log2_of_e + magic) - magic;
  Lanes<T> rest = x - n * high - n * low;
  T factorial = 1;
  T coefficients[V::degree + 1];
  for (int power = 0; power <= V::degree; ++power) {
    if (power > 1) factorial *= power;
    coefficients[power] = 1 / factorial;
  }
  Lanes<T> series = Lanes<T>{} + coefficients[V::degree];
#pragma GCC unroll 16
  for (int power = V::degree - 1; power >= 0; --power) series = series * rest + coefficients[power];
  auto bits = (__builtin_convertvector(n, typename V::whole) + V::bias) << V::mantissa;
  Lanes<T> scale;
  std::memcpy(&scale, &bits, sizeof(scale));
  series *= scale;
  return tiny ? Lanes<T>{} : series;
}

// ROWS x VECTORS entries of y += a b stay in registers while the inner axis runs.
template <typename T, int ROWS, int VECTORS>
inline void tile(T* y, int64_t y_row, const T* a, int64_t a_row, int64_t a_column, const T* b,
                 int64_t b_row, int64_t inner) {
  Lanes<T> held[ROWS][VECTORS];
#pragma GCC unroll 8
  for (int i = 0; i < ROWS; ++i)
#pragma GCC unroll 4
    for (int j = 0; j < VECTORS; ++j) held[i][j] = at<T>(y + i * y_row + j * lanes<T>);
  for (int64_t k = 0; k < inner; ++k) {
    Lanes<T> right[VECTORS];
#pragma GCC unroll 4
    for (int j = 0; j < VECTORS; ++j) right[j] = at<T>(b + k * b_row + j * lanes<T>);
#pragma GCC unroll 8
    for (int i = 0; i < ROWS; ++i) {
      const T left = a[i * a_row + k * a_column];
#pragma GCC unroll 4
      for (int j = 0; j < VECTORS; ++j) held[i][j] += left * right[j];
    }
  }
#pragma GCC unroll 8
  for (int i = 0; i < ROWS; ++i)
#pragma GCC unroll 4
    for (int j = 0; j < VECTORS; ++j) at<T>(y + i * y_row + j * lanes<T>) = held[i][j];
}

// A matrix of the left factor, by its strides: its transpose costs nothing.
template <typename T>
struct Left {
  const T* data;
  int64_t row, column;
};

// y += a b for rows in eights and columns in whole vectors.
template <typename T>
void multiply(T* y, int64_t y_row, Left<T> a, const T* b, int64_t b_row, int64_t rows,
              int64_t columns, int64_t inner) {
  for (int64_t j = 0; j < columns;) {
    const bool two = j + 2 * lanes<T> <= columns;
    for (int64_t i = 0; i < rows; i += 8) {
      T* part = y + i * y_row + j;
      const T* left = a.data + i * a.row;
      if (two)
        tile<T, 8, 2>(part, y_row, left, a.row, a.column, b + j, b_row, inner);
      else
        tile<T, 8, 1>(part, y_row, left, a.row, a.column, b + j, b_row, inner);
    }
    j += (two ? 2 : 1) * lanes<T>;
  }
}

}  // namespace danlu
