// What recurrences in chunks share: how a chunk is copied to rows of whole vectors, its decays, and
// products with lower triangles.
//
// What is missing in a copy is zero: a last chunk may be shorter, a tensor may have any strides,
// and nothing has a rest.
#pragma once

#include <algorithm>
#include <cmath>
#include <initializer_list>
#include <vector>

#include "vectors.h"

namespace danlu {

using at::Tensor;

constexpr int64_t SIZE = 64;  // tokens of a chunk

// One head of a tensor [batch, heads, length, features]; features are next to each other.
template <typename T>
struct Head {
  T* data;
  int64_t step, width;

  Head(const Tensor& x, int64_t head)
      : data(x.mutable_data_ptr<T>() + head / x.size(1) * x.stride(0) +
             head % x.size(1) * x.stride(1)),
        step(x.stride(2)),
        width(x.size(3)) {}

  void take(T* to, int64_t columns, int64_t first, int64_t rows) const {
    for (int64_t i = 0; i < SIZE; ++i)
      for (int64_t j = 0; j < columns; ++j)
        to[i * columns + j] = i < rows && j < width ? data[(first + i) * step + j] : T(0);
  }
  void put(const T* from, int64_t columns, int64_t first, int64_t rows) const {
    for (int64_t i = 0; i < rows; ++i)
      std::memcpy(data + (first + i) * step, from + i * columns, width * sizeof(T));
  }
};

template <typename T>
void turn(T* to, const T* from, int64_t rows, int64_t columns) {
  for (int64_t i = 0; i < rows; i += 8)
    for (int64_t j = 0; j < columns; ++j)
      for (int64_t each = 0; each < 8; ++each)
        to[j * rows + i + each] = from[(i + each) * columns + j];
}

// Summed logarithms of the decay in a chunk, and what they make of tokens. Sums of multiples of 1/16
// have no error, so that mild decays are not lost in the sums of harsh ones; the rest is small.
template <typename T>
struct Decays {
  alignas(64) T coarse[SIZE], fine[SIZE], from_start[SIZE], to_end[SIZE];
  T all;

  // From logarithms [batch, heads, length] of any strides.
  void take(const Tensor& logs, int64_t head, int64_t first, int64_t rows) {
    const T* own = logs.const_data_ptr<T>() + head / logs.size(1) * logs.stride(0) +
                   head % logs.size(1) * logs.stride(1);
    T in_grains = 0, rest = 0;
    for (int64_t i = 0; i < SIZE; ++i) {
      const T log = i < rows ? own[(first + i) * logs.stride(2)] : T(0);
      const T rounded = std::nearbyint(log * 16) / 16;
      coarse[i] = in_grains += rounded;
      fine[i] = rest += log - rounded;
    }
    for (int64_t i = 0; i < SIZE; i += lanes<T>) {
      at<T>(from_start + i) = exponential<T>(at<T>(coarse + i) + at<T>(fine + i));
      at<T>(to_end + i) = exponential<T>(since(SIZE - 1, i));
    }
    all = from_start[SIZE - 1];
  }
  // The logarithm of what is left at token i of each of the tokens from j on.
  Lanes<T> since(int64_t i, int64_t j) const {
    return (coarse[i] - at<T>(coarse + j)) + (fine[i] - at<T>(fine + j));
  }
  // x[i][j] *= what is left of token j at token i, for whole rows.
  void weigh(T* x) const {
    for (int64_t i = 0; i < SIZE; ++i)
      for (int64_t j = 0; j <= i; j += lanes<T>) {
        Lanes<T> left = since(i, j);
        left = left > 0 ? Lanes<T>{} : left;  // above the diagonal, to be cut off
        at<T>(x + i * SIZE + j) *= exponential<T>(left);
      }
  }
};

template <typename T>
void scale_rows(T* x, const T* by, int64_t columns) {
  for (int64_t i = 0; i < SIZE; ++i)
    for (int64_t j = 0; j < columns; j += lanes<T>) at<T>(x + i * columns + j) *= by[i];
}

template <typename T>
void scale(T* x, T by, int64_t size) {
  for (int64_t j = 0; j < size; j += lanes<T>) at<T>(x + j) *= by;
}

template <typename T>
T dot(const T* a, const T* b, int64_t size) {
  Lanes<T> total{};
  for (int64_t j = 0; j < size; j += lanes<T>) total += at<T>(a + j) * at<T>(b + j);
  return sum<T>(total);
}

// The lower triangle of a b, and zeros above it; b is [inner, SIZE].
template <typename T>
void lower_product(T* y, Left<T> a, const T* b, int64_t inner) {
  std::memset(y, 0, SIZE * SIZE * sizeof(T));
  for (int64_t i = 0; i < SIZE; i += 8) {
    multiply<T>(y + i * SIZE, SIZE, {a.data + i * a.row, a.row, a.column}, b, SIZE, 8,
                padded<T>(i + 8), inner);
  }
}

template <typename T>
void cut_above(T* x) {
  for (int64_t i = 0; i < SIZE; ++i)
    for (int64_t j = i + 1; j < padded<T>((i / 8 + 1) * 8); ++j) x[i * SIZE + j] = 0;
}

// y += L b, L a lower triangle.
template <typename T>
void add_by_lower(T* y, const T* lower, const T* b, int64_t columns) {
  for (int64_t i = 0; i < SIZE; i += 8)
    multiply<T>(y + i * columns, columns, {lower + i * SIZE, SIZE, 1}, b, columns, 8, columns,
                i + 8);
}

// y += L' b, L a lower triangle.
template <typename T>
void add_by_upper(T* y, const T* lower, const T* b, int64_t columns) {
  for (int64_t j = 0; j < SIZE; j += 8)
    multiply<T>(y + j * columns, columns, {lower + j * SIZE + j, 1, SIZE}, b + j * columns, columns,
                8, columns, SIZE - j);
}

// One head of a recurrence in chunks: the state before a chunk, and the chunk itself.
//
// A state is kept as [keys, values], or with one more column that is the caller's.
template <typename T>
struct Chunk {
  const Head<T> q_head, k_head, v_head;
  const int64_t length, key_size, value_size, held, keys, values;
  std::vector<Tensor> memory;
  T *q, *k, *v, *turned, *scores, *state;
  int64_t first = 0, rows = 0;

  Chunk(int64_t head, const Tensor& q_all, const Tensor& k_all, const Tensor& v_all,
        int64_t columns)
      : q_head(q_all, head),
        k_head(k_all, head),
        v_head(v_all, head),
        length(q_all.size(2)),
        key_size(q_all.size(3)),
        value_size(v_all.size(3)),
        held(columns),
        keys(padded<T>(key_size)),
        values(padded<T>(value_size)) {
    q = rows_of(SIZE, keys), k = rows_of(SIZE, keys), v = rows_of(SIZE, values);
    turned = rows_of(std::max(keys, values), SIZE), scores = rows_of(SIZE, SIZE);
    state = rows_of(keys, values);
  }

  // Aligned memory that starts as zeros.
  T* rows_of(int64_t number, int64_t columns) {
    memory.push_back(at::zeros({number * columns}, at::CppTypeToScalarType<T>::value));
    return memory.back().data_ptr<T>();
  }
  int64_t kept_size() const { return key_size * held; }

  void load(T* to, const T* kept) const {
    for (int64_t d = 0; d < key_size; ++d)
      std::memcpy(to + d * values, kept + d * held, value_size * sizeof(T));
  }
  void save(T* kept, const T* from) const {
    for (int64_t d = 0; d < key_size; ++d)
      std::memcpy(kept + d * held, from + d * values, value_size * sizeof(T));
  }

  // The tokens from `start` on, and the products of queries and keys.
  void take(int64_t start) {
    first = start, rows = std::min(SIZE, length - start);
    q_head.take(q, keys, first, rows);
    k_head.take(k, keys, first, rows);
    v_head.take(v, values, first, rows);
    turn(turned, k, SIZE, keys);
    lower_product<T>(scores, {q, keys, 1}, turned, keys);
  }
  // What tokens read of one another and of the state.
  void read(T* y) const {
    std::memset(y, 0, SIZE * values * sizeof(T));
    add_by_lower(y, scores, v, values);
    multiply<T>(y, values, {q, keys, 1}, state, values, SIZE, values, keys);
  }
  void write() { multiply<T>(state, values, {k, 1, keys}, v, values, keys, values, SIZE); }
};

// The same with the gradients of what was read, of the state behind a chunk, and of the chunk.
template <typename T>
struct ChunkGradient : Chunk<T> {
  const Head<T> g_head;
  T *g, *flipped, *by_scores, *by_state, *by_q, *by_k, *by_v;

  ChunkGradient(int64_t head, const Tensor& by_y, const Tensor& q_all, const Tensor& k_all,
                const Tensor& v_all, int64_t columns)
      : Chunk<T>(head, q_all, k_all, v_all, columns), g_head(by_y, head) {
    const int64_t keys = this->keys, values = this->values;
    g = this->rows_of(SIZE, values), flipped = this->rows_of(values, keys);
    by_scores = this->rows_of(SIZE, SIZE), by_state = this->rows_of(keys, values);
    by_q = this->rows_of(SIZE, keys), by_k = this->rows_of(SIZE, keys);
    by_v = this->rows_of(SIZE, values);
  }

  void take(int64_t start, const T* kept) {
    this->load(this->state, kept);
    Chunk<T>::take(start);
    g_head.take(g, this->values, start, this->rows);
  }
  void slope_of_scores() {
    turn(this->turned, this->v, SIZE, this->values);
    lower_product<T>(by_scores, {g, this->values, 1}, this->turned, this->values);
  }
  // What comes through the state, of which each token reads and leaves a share, or all of it.
  void through_state(const T* from_start, const T* to_end) {
    const int64_t keys = this->keys, values = this->values;
    for (T* by : {by_q, by_k}) std::memset(by, 0, SIZE * keys * sizeof(T));
    std::memset(by_v, 0, SIZE * values * sizeof(T));
    turn(flipped, this->state, keys, values);
    multiply<T>(by_q, keys, {g, values, 1}, flipped, keys, SIZE, keys, values);
    turn(flipped, by_state, keys, values);
    multiply<T>(by_k, keys, {this->v, values, 1}, flipped, keys, SIZE, keys, values);
    multiply<T>(by_v, values, {this->k, keys, 1}, by_state, values, SIZE, values, keys);
    if (from_start != nullptr) scale_rows(by_q, from_start, keys);
    if (to_end != nullptr) scale_rows(by_k, to_end, keys), scale_rows(by_v, to_end, values);
  }
  void through_scores() {
    add_by_lower(by_q, by_scores, this->k, this->keys);
    add_by_upper(by_k, by_scores, this->q, this->keys);
    add_by_upper(by_v, this->scores, g, this->values);
  }
  void read_back() {
    multiply<T>(by_state, this->values, {this->q, 1, this->keys}, g, this->values, this->keys,
                this->values, SIZE);
  }
  void put(const Tensor& q_out, const Tensor& k_out, const Tensor& v_out, int64_t head) const {
    Head<T>(q_out, head).put(by_q, this->keys, this->first, this->rows);
    Head<T>(k_out, head).put(by_k, this->keys, this->first, this->rows);
    Head<T>(v_out, head).put(by_v, this->values, this->first, this->rows);
  }
};

// Features side by side; the other axes may have any strides.
inline void bring_near(std::initializer_list<Tensor*> parts) {
  for (Tensor* part : parts)
    if (part->stride(-1) != 1) *part = part->contiguous();
}

// The states before each chunk and behind the last.
inline Tensor states_like(const Tensor& start, int64_t length) {
  const int64_t chunks = (length + SIZE - 1) / SIZE;
  return at::empty({start.size(0), start.size(1), chunks + 1, start.size(2), start.size(3)},
                   start.options());
}

inline Tensor fresh(const Tensor& like) { return at::empty(like.sizes(), like.options()); }

}  // namespace danlu
