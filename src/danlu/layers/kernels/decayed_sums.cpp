// S_t = g_t S_{t-1} + k_t v_t', o_t = S_t' q_t in chunks of 64 tokens that stay in the cache, and
// the gradient. Of the states, those at the start of each chunk are kept for it. Each head of each
// sequence is one piece of work.
#include <torch/library.h>

#include <tuple>

#include "chunks.h"

namespace danlu {
namespace {

template <typename T>
void forward_of_head(int64_t head, const Tensor& q, const Tensor& k, const Tensor& v,
                     const Tensor& logs, const Tensor& start, const Tensor& y_all,
                     const Tensor& states) {
  Chunk<T> chunk(head, q, k, v, start.size(3));
  const Head<T> y_head(y_all, head);
  T* y = chunk.rows_of(SIZE, chunk.values);
  Decays<T> decays;
  T* kept = states.mutable_data_ptr<T>() + head * states.size(2) * chunk.kept_size();
  chunk.load(chunk.state, start.const_data_ptr<T>() + head * chunk.kept_size());
  for (int64_t first = 0; first < chunk.length; first += SIZE, kept += chunk.kept_size()) {
    chunk.save(kept, chunk.state);
    chunk.take(first);
    decays.take(logs, head, first, chunk.rows);
    decays.weigh(chunk.scores);
    cut_above(chunk.scores);
    scale_rows(chunk.q, decays.from_start, chunk.keys);
    chunk.read(y);
    y_head.put(y, chunk.values, first, chunk.rows);
    scale(chunk.state, decays.all, chunk.keys * chunk.values);
    scale_rows(chunk.k, decays.to_end, chunk.keys);
    chunk.write();
  }
  chunk.save(kept, chunk.state);
}

struct Gradients {
  Tensor q, k, v, logs, start;
};

// A logarithm of a decay reaches all that is read behind it of what was written before it: from
// the last token back, what queries read less what keys give, beginning with the state behind.
template <typename T>
void slope_of_logs(const ChunkGradient<T>& chunk, const T* behind, T* by_logs) {
  T reach = 0;
  for (int64_t d = 0; d < chunk.key_size; ++d)
    for (int64_t e = 0; e < chunk.value_size; ++e)
      reach += behind[d * chunk.held + e] * chunk.by_state[d * chunk.values + e];
  for (int64_t i = chunk.rows - 1; i >= 0; --i) {
    const int64_t row = i * chunk.keys;
    reach += dot(chunk.q + row, chunk.by_q + row, chunk.keys);
    reach -= dot(chunk.k + row, chunk.by_k + row, chunk.keys);
    by_logs[i] = reach;
  }
}

template <typename T>
void backward_of_head(int64_t head, const Tensor& by_y, const Tensor& by_last, const Tensor& q,
                      const Tensor& k, const Tensor& v, const Tensor& logs, const Tensor& states,
                      const Gradients& found) {
  ChunkGradient<T> chunk(head, by_y, q, k, v, states.size(4));
  Decays<T> decays;
  const int64_t size = chunk.kept_size(), chunks = states.size(2) - 1;
  const T* kept = states.const_data_ptr<T>() + head * (chunks + 1) * size;
  T* by_logs = found.logs.mutable_data_ptr<T>() + head * chunk.length;
  chunk.load(chunk.by_state, by_last.const_data_ptr<T>() + head * size);
  for (int64_t index = chunks - 1; index >= 0; --index) {
    chunk.take(index * SIZE, kept + index * size);
    chunk.slope_of_scores();
    decays.take(logs, head, chunk.first, chunk.rows);
    for (T* each : {chunk.scores, chunk.by_scores}) decays.weigh(each), cut_above(each);
    chunk.through_state(decays.from_start, decays.to_end);
    chunk.through_scores();
    slope_of_logs(chunk, kept + (index + 1) * size, by_logs + chunk.first);
    scale(chunk.by_state, decays.all, chunk.keys * chunk.values);
    scale_rows(chunk.q, decays.from_start, chunk.keys);
    chunk.read_back();
    chunk.put(found.q, found.k, found.v, head);
  }
  chunk.save(found.start.mutable_data_ptr<T>() + head * size, chunk.by_state);
}

// --- operators -----------------------------------------------------------------------------------

std::tuple<Tensor, Tensor> decayed_sums(Tensor q, Tensor k, Tensor v, const Tensor& logs,
                                        const Tensor& start_in) {
  bring_near({&q, &k, &v});
  const Tensor start = start_in.contiguous(), y = fresh(v), states = states_like(start, v.size(2));
  AT_DISPATCH_FLOATING_TYPES(v.scalar_type(), "decayed_sums", [&] {
    at::parallel_for(0, v.size(0) * v.size(1), 1, [&](int64_t begin, int64_t end) {
      for (int64_t head = begin; head < end; ++head)
        forward_of_head<scalar_t>(head, q, k, v, logs, start, y, states);
    });
  });
  return {y, states};
}

std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor> decayed_sums_backward(
    Tensor by_y, const Tensor& by_last_in, Tensor q, Tensor k, Tensor v, const Tensor& logs,
    const Tensor& states) {
  bring_near({&by_y, &q, &k, &v});
  const Tensor by_last = by_last_in.contiguous();
  const Gradients found{fresh(q), fresh(k), fresh(v), fresh(logs), fresh(by_last)};
  AT_DISPATCH_FLOATING_TYPES(v.scalar_type(), "decayed_sums_backward", [&] {
    at::parallel_for(0, v.size(0) * v.size(1), 1, [&](int64_t begin, int64_t end) {
      for (int64_t head = begin; head < end; ++head)
        backward_of_head<scalar_t>(head, by_y, by_last, q, k, v, logs, states, found);
    });
  });
  return {found.q, found.k, found.v, found.logs, found.start};
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(danlu_kernels, library) {
  library.def(
      "decayed_sums(Tensor q, Tensor k, Tensor v, Tensor log_decay, Tensor start) "
      "-> (Tensor, Tensor)");
  library.def(
      "decayed_sums_backward(Tensor by_y, Tensor by_last, Tensor q, Tensor k, Tensor v, "
      "Tensor log_decay, Tensor states) -> (Tensor, Tensor, Tensor, Tensor, Tensor)");
}

TORCH_LIBRARY_IMPL(danlu_kernels, CPU, library) {
  library.impl("decayed_sums", TORCH_FN(decayed_sums));
  library.impl("decayed_sums_backward", TORCH_FN(decayed_sums_backward));
}

}  // namespace danlu
