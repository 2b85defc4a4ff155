// S_t = S_{t-1} + k_t v_t', o_t = S_t' q_t / (q_t . sum of keys) in chunks of 64 tokens that stay
// in the cache, and the gradient. A state is kept with the sum of keys as its last column; those at
// the start of each chunk are kept for the gradient, and the divisors. Each head of each sequence
// is one piece of work.
#include <torch/library.h>

#include <limits>
#include <tuple>

#include "chunks.h"

namespace danlu {
namespace {

template <typename T>
constexpr T smallest = std::numeric_limits<T>::min();

// The last column of a state that is kept.
template <typename T>
void load_sum(T* key_sum, const T* kept, const Chunk<T>& chunk) {
  for (int64_t d = 0; d < chunk.key_size; ++d) key_sum[d] = kept[d * chunk.held + chunk.value_size];
}
template <typename T>
void save_sum(T* kept, const T* key_sum, const Chunk<T>& chunk) {
  for (int64_t d = 0; d < chunk.key_size; ++d) kept[d * chunk.held + chunk.value_size] = key_sum[d];
}

// to += by from, of a row.
template <typename T>
void add_row(T* to, T by, const T* from, int64_t columns) {
  for (int64_t d = 0; d < columns; d += lanes<T>) at<T>(to + d) += by * at<T>(from + d);
}

template <typename T>
void divide(const Chunk<T>& chunk, const T* key_sum, T* y, T* weight) {
  for (int64_t i = 0; i < chunk.rows; ++i) {
    Lanes<T> seen{};
    for (int64_t j = 0; j <= i; j += lanes<T>) seen += at<T>(chunk.scores + i * SIZE + j);
    weight[i] = sum<T>(seen) + dot(chunk.q + i * chunk.keys, key_sum, chunk.keys);
    scale(y + i * chunk.values, 1 / std::max(weight[i], smallest<T>), chunk.values);
  }
}

template <typename T>
void forward_of_head(int64_t head, const Tensor& q, const Tensor& k, const Tensor& v,
                     const Tensor& start, const Tensor& y_all, const Tensor& weights,
                     const Tensor& states) {
  Chunk<T> chunk(head, q, k, v, start.size(3));
  const Head<T> y_head(y_all, head);
  T *y = chunk.rows_of(SIZE, chunk.values), *key_sum = chunk.rows_of(1, chunk.keys);
  T* kept = states.mutable_data_ptr<T>() + head * states.size(2) * chunk.kept_size();
  T* weight = weights.mutable_data_ptr<T>() + head * chunk.length;
  const T* before = start.const_data_ptr<T>() + head * chunk.kept_size();
  chunk.load(chunk.state, before), load_sum(key_sum, before, chunk);
  for (int64_t first = 0; first < chunk.length; first += SIZE, kept += chunk.kept_size()) {
    chunk.save(kept, chunk.state), save_sum(kept, key_sum, chunk);
    chunk.take(first);
    cut_above(chunk.scores);
    chunk.read(y);
    divide(chunk, key_sum, y, weight + first);
    y_head.put(y, chunk.values, first, chunk.rows);
    chunk.write();
    for (int64_t i = 0; i < chunk.rows; ++i)
      add_row(key_sum, T(1), chunk.k + i * chunk.keys, chunk.keys);
  }
  chunk.save(kept, chunk.state), save_sum(kept, key_sum, chunk);
}

struct Gradients {
  Tensor q, k, v, start;
};

// Slopes of the sums and, into `by_weight`, of their divisors, from those of the means.
template <typename T>
void slope_of_division(const ChunkGradient<T>& chunk, const T* y, const T* weight, T* by_weight) {
  for (int64_t i = 0; i < chunk.rows; ++i) {
    T* g = chunk.g + i * chunk.values;
    scale(g, 1 / std::max(weight[i], smallest<T>), chunk.values);
    // A divisor that is held at the smallest number has no gradient.
    by_weight[i] = weight[i] < smallest<T> ? T(0) : -dot(g, y + i * chunk.values, chunk.values);
  }
}

// What the divisors give: through the scores, the queries and the sums of keys.
template <typename T>
void through_weights(const ChunkGradient<T>& chunk, const T* by_weight, const T* key_sum,
                     T* by_key_sum) {
  for (int64_t i = 0; i < chunk.rows; ++i) {
    add_row(chunk.by_q + i * chunk.keys, by_weight[i], key_sum, chunk.keys);
    add_row(chunk.by_k + i * chunk.keys, T(1), by_key_sum, chunk.keys);
  }
  for (int64_t i = 0; i < chunk.rows; ++i)
    add_row(by_key_sum, by_weight[i], chunk.q + i * chunk.keys, chunk.keys);
}

template <typename T>
void backward_of_head(int64_t head, const Tensor& by_y, const Tensor& by_last, const Tensor& q,
                      const Tensor& k, const Tensor& v, const Tensor& y_all, const Tensor& weights,
                      const Tensor& states, const Gradients& found) {
  ChunkGradient<T> chunk(head, by_y, q, k, v, states.size(4));
  const Head<T> y_head(y_all, head);
  T *y = chunk.rows_of(SIZE, chunk.values), *key_sum = chunk.rows_of(1, chunk.keys);
  T *by_key_sum = chunk.rows_of(1, chunk.keys), *by_weight = chunk.rows_of(1, SIZE);
  const int64_t size = chunk.kept_size(), chunks = states.size(2) - 1;
  const T* kept = states.const_data_ptr<T>() + head * (chunks + 1) * size;
  const T* weight = weights.const_data_ptr<T>() + head * chunk.length;
  const T* last = by_last.const_data_ptr<T>() + head * size;
  chunk.load(chunk.by_state, last), load_sum(by_key_sum, last, chunk);
  for (int64_t index = chunks - 1; index >= 0; --index) {
    chunk.take(index * SIZE, kept + index * size);
    load_sum(key_sum, kept + index * size, chunk);
    y_head.take(y, chunk.values, chunk.first, chunk.rows);
    slope_of_division(chunk, y, weight + chunk.first, by_weight);
    chunk.slope_of_scores();
    for (int64_t i = 0; i < chunk.rows; ++i)
      for (int64_t j = 0; j <= i; j += lanes<T>)
        at<T>(chunk.by_scores + i * SIZE + j) += by_weight[i];
    cut_above(chunk.scores), cut_above(chunk.by_scores);
    chunk.through_state(nullptr, nullptr);
    chunk.through_scores();
    through_weights(chunk, by_weight, key_sum, by_key_sum);
    chunk.read_back();
    chunk.put(found.q, found.k, found.v, head);
  }
  T* before = found.start.mutable_data_ptr<T>() + head * size;
  chunk.save(before, chunk.by_state), save_sum(before, by_key_sum, chunk);
}

// --- operators -----------------------------------------------------------------------------------

std::tuple<Tensor, Tensor, Tensor> means(Tensor q, Tensor k, Tensor v, const Tensor& start_in) {
  bring_near({&q, &k, &v});
  const Tensor start = start_in.contiguous(), y = fresh(v), states = states_like(start, v.size(2));
  const Tensor weights = at::empty({v.size(0), v.size(1), v.size(2)}, v.options());
  AT_DISPATCH_FLOATING_TYPES(v.scalar_type(), "means", [&] {
    at::parallel_for(0, v.size(0) * v.size(1), 1, [&](int64_t begin, int64_t end) {
      for (int64_t head = begin; head < end; ++head)
        forward_of_head<scalar_t>(head, q, k, v, start, y, weights, states);
    });
  });
  return {y, weights, states};
}

std::tuple<Tensor, Tensor, Tensor, Tensor> means_backward(Tensor by_y, const Tensor& by_last_in,
                                                          Tensor q, Tensor k, Tensor v, Tensor y,
                                                          const Tensor& weights,
                                                          const Tensor& states) {
  bring_near({&by_y, &q, &k, &v, &y});
  const Tensor by_last = by_last_in.contiguous();
  const Gradients found{fresh(q), fresh(k), fresh(v), fresh(by_last)};
  AT_DISPATCH_FLOATING_TYPES(v.scalar_type(), "means_backward", [&] {
    at::parallel_for(0, v.size(0) * v.size(1), 1, [&](int64_t begin, int64_t end) {
      for (int64_t head = begin; head < end; ++head)
        backward_of_head<scalar_t>(head, by_y, by_last, q, k, v, y, weights, states, found);
    });
  });
  return {found.q, found.k, found.v, found.start};
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(danlu_kernels, library) {
  library.def("means(Tensor q, Tensor k, Tensor v, Tensor start) -> (Tensor, Tensor, Tensor)");
  library.def(
      "means_backward(Tensor by_y, Tensor by_last, Tensor q, Tensor k, Tensor v, Tensor y, "
      "Tensor weights, Tensor states) -> (Tensor, Tensor, Tensor, Tensor)");
}

TORCH_LIBRARY_IMPL(danlu_kernels, CPU, library) {
  library.impl("means", TORCH_FN(means));
  library.impl("means_backward", TORCH_FN(means_backward));
}

}  // namespace danlu
