// The selective scan: h_t = exp(delta_t A) h_{t-1} + delta_t x_t B_t', y_t = h_t C_t; its gradient.
//
// Channels lie side by side in a vector and the states of a channel behind one another, so that no
// step mixes lanes. The states at the start of every 32 tokens are kept; the gradient computes
// those inside again. The gradients of B and C are sums over channels: a worker sums its own
// channels by lanes for 32 tokens at a time, and the lanes at their end.
#include <torch/library.h>

#include <algorithm>
#include <tuple>

#include "vectors.h"

namespace danlu {
namespace {

using at::Tensor;

constexpr int64_t CHUNK = 32;

struct Sizes {
  int64_t batch, length, channels, states, chunks;

  Sizes(const Tensor& x, const Tensor& rate)
      : batch(x.size(0)),
        length(x.size(1)),
        channels(x.size(2)),
        states(rate.size(1)),
        chunks((length + CHUNK - 1) / CHUNK) {}

  template <typename T>
  int64_t blocks() const {
    return padded<T>(channels) / lanes<T>;
  }
};

// Aligned rows of whole vectors, zeros at first.
template <typename T>
struct Rows {
  Tensor memory;
  T* data;

  Rows(int64_t vectors, const Tensor& like)
      : memory(at::zeros({vectors * lanes<T>}, like.options())), data(memory.data_ptr<T>()) {}

  Lanes<T>& operator[](int64_t index) { return at<T>(data + index * lanes<T>); }
};

// Some channels of a token; the lanes behind the last channel are zero.
template <typename T>
inline Lanes<T> take(const T* from, int64_t channel, int64_t channels) {
  Lanes<T> found{};
  std::memcpy(&found, from + channel, std::min<int64_t>(lanes<T>, channels - channel) * sizeof(T));
  return found;
}

template <typename T>
inline void put(const Lanes<T>& from, T* to, int64_t channel, int64_t channels) {
  std::memcpy(to + channel, &from, std::min<int64_t>(lanes<T>, channels - channel) * sizeof(T));
}

// [channels, states] <-> states vectors of some channels.
template <typename T>
void take_states(Lanes<T>* to, const T* from, int64_t channel, const Sizes& sizes) {
  const int64_t count = std::min<int64_t>(lanes<T>, sizes.channels - channel);
  for (int64_t n = 0; n < sizes.states; ++n) {
    to[n] = Lanes<T>{};
    for (int64_t lane = 0; lane < count; ++lane)
      to[n][lane] = from[(channel + lane) * sizes.states + n];
  }
}

template <typename T>
void put_states(const Lanes<T>* from, T* to, int64_t channel, const Sizes& sizes) {
  const int64_t count = std::min<int64_t>(lanes<T>, sizes.channels - channel);
  for (int64_t n = 0; n < sizes.states; ++n)
    for (int64_t lane = 0; lane < count; ++lane)
      to[(channel + lane) * sizes.states + n] = from[n][lane];
}

template <typename T>
struct Inputs {
  const T *x, *delta, *rate, *write, *read;

  Inputs(const Tensor& x, const Tensor& delta, const Tensor& rate, const Tensor& write,
         const Tensor& read)
      : x(x.const_data_ptr<T>()),
        delta(delta.const_data_ptr<T>()),
        rate(rate.const_data_ptr<T>()),
        write(write.const_data_ptr<T>()),
        read(read.const_data_ptr<T>()) {}
};

template <typename T>
void forward_of_block(const Inputs<T>& in, const Sizes& sizes, int64_t row, int64_t channel,
                      Rows<T>& rows, const T* start, T* y, T* starts) {
  Lanes<T>*rate = &rows[0], *h = &rows[sizes.states];
  const int64_t state_size = sizes.channels * sizes.states;
  take_states<T>(rate, in.rate, channel, sizes);
  take_states<T>(h, start + row * state_size, channel, sizes);
  for (int64_t t = 0; t < sizes.length; ++t) {
    if (t % CHUNK == 0)
      put_states<T>(h, starts + (t / CHUNK * sizes.batch + row) * state_size, channel, sizes);
    const int64_t token = row * sizes.length + t;
    const auto step = take<T>(in.delta + token * sizes.channels, channel, sizes.channels);
    const auto enters = step * take<T>(in.x + token * sizes.channels, channel, sizes.channels);
    const T *b = in.write + token * sizes.states, *c = in.read + token * sizes.states;
    Lanes<T> total{};
    for (int64_t n = 0; n < sizes.states; ++n) {
      h[n] = exponential<T>(step * rate[n]) * h[n] + enters * b[n];
      total += h[n] * c[n];
    }
    put<T>(total, y + token * sizes.channels, channel, sizes.channels);
  }
  put_states<T>(h, starts + (sizes.chunks * sizes.batch + row) * state_size, channel, sizes);
}

template <typename T>
struct Gradients {
  T *x, *delta, *rate, *write, *read, *start;
};

// What a worker remembers of its channels from one chunk to the one before.
template <typename T>
struct Worker {
  Rows<T> rates, carries, by_rates;      // [blocks, states]
  Rows<T> h, decays, by_write, by_read;  // [tokens, states], of a chunk; of h also the one before

  Worker(int64_t blocks, int64_t states, const Tensor& like)
      : rates(blocks * states, like),
        carries(blocks * states, like),
        by_rates(blocks * states, like),
        h((CHUNK + 1) * states, like),
        decays(CHUNK * states, like),
        by_write(CHUNK * states, like),
        by_read(CHUNK * states, like) {}
};

template <typename T>
void backward_of_chunk(const Inputs<T>& in, const T* slopes, const Sizes& sizes, int64_t first,
                       int64_t tokens, int64_t channel, int64_t block, Worker<T>& own,
                       const Gradients<T>& out) {
  const int64_t states = sizes.states, channels = sizes.channels;
  Lanes<T>*rate = &own.rates[block * states], *carry = &own.carries[block * states];
  Lanes<T>* by_rate = &own.by_rates[block * states];
  for (int64_t t = 0; t < tokens; ++t) {
    const int64_t token = first + t;
    const auto step = take<T>(in.delta + token * channels, channel, channels);
    const auto enters = step * take<T>(in.x + token * channels, channel, channels);
    const Lanes<T>* before = &own.h[t * states];
    Lanes<T>*h = &own.h[(t + 1) * states], *decay = &own.decays[t * states];
    const T* b = in.write + token * states;
    for (int64_t n = 0; n < states; ++n) {
      decay[n] = exponential<T>(step * rate[n]);
      h[n] = decay[n] * before[n] + enters * b[n];
    }
  }
  for (int64_t t = tokens - 1; t >= 0; --t) {
    const int64_t token = first + t;
    const auto step = take<T>(in.delta + token * channels, channel, channels);
    const auto now = take<T>(in.x + token * channels, channel, channels);
    const auto slope = take<T>(slopes + token * channels, channel, channels);
    const auto enters = step * now;
    const Lanes<T>*before = &own.h[t * states], *h = before + states,
          *decay = &own.decays[t * states];
    Lanes<T>*by_write = &own.by_write[t * states], *by_read = &own.by_read[t * states];
    const T *b = in.write + token * states, *c = in.read + token * states;
    Lanes<T> by_enters{}, by_step{};
    for (int64_t n = 0; n < states; ++n) {
      const Lanes<T> by_h = carry[n] + slope * c[n];
      by_read[n] += slope * h[n];
      by_write[n] += by_h * enters;
      by_enters += by_h * b[n];
      carry[n] = by_h * decay[n];
      const Lanes<T> by_exponent = carry[n] * before[n];
      by_step += by_exponent * rate[n];
      by_rate[n] += by_exponent * step;
    }
    put<T>(by_enters * step, out.x + token * channels, channel, channels);
    put<T>(by_step + by_enters * now, out.delta + token * channels, channel, channels);
  }
}

// The channels of blocks `low` to `high` of one sequence, from the last chunk to the first.
template <typename T>
void backward_of_channels(const Inputs<T>& in, const T* slopes, const T* last, const T* starts,
                          const Sizes& sizes, int64_t row, int64_t low, int64_t high,
                          const Tensor& like, const Gradients<T>& out) {
  const int64_t states = sizes.states, state_size = sizes.channels * states;
  Worker<T> own(high - low, states, like);
  for (int64_t block = low; block < high; ++block) {
    take_states<T>(&own.rates[(block - low) * states], in.rate, block * lanes<T>, sizes);
    take_states<T>(&own.carries[(block - low) * states], last + row * state_size, block * lanes<T>,
                   sizes);
  }
  for (int64_t chunk = sizes.chunks - 1; chunk >= 0; --chunk) {
    const int64_t tokens = std::min(CHUNK, sizes.length - chunk * CHUNK);
    const int64_t first = row * sizes.length + chunk * CHUNK;
    own.by_write.memory.zero_();
    own.by_read.memory.zero_();
    for (int64_t block = low; block < high; ++block) {
      const T* before = starts + (chunk * sizes.batch + row) * state_size;
      take_states<T>(&own.h[0], before, block * lanes<T>, sizes);
      backward_of_chunk<T>(in, slopes, sizes, first, tokens, block * lanes<T>, block - low, own,
                           out);
    }
    for (int64_t index = 0; index < tokens * states; ++index) {
      out.write[first * states + index] = sum<T>(own.by_write[index]);
      out.read[first * states + index] = sum<T>(own.by_read[index]);
    }
  }
  for (int64_t block = low; block < high; ++block) {
    put_states<T>(&own.by_rates[(block - low) * states], out.rate + row * state_size,
                  block * lanes<T>, sizes);
    put_states<T>(&own.carries[(block - low) * states], out.start + row * state_size,
                  block * lanes<T>, sizes);
  }
}

// --- operators -----------------------------------------------------------------------------------

std::tuple<Tensor, Tensor> selective_scan(Tensor x, Tensor delta, Tensor rate, Tensor write,
                                          Tensor read, Tensor start) {
  for (Tensor* part : {&x, &delta, &rate, &write, &read, &start}) *part = part->contiguous();
  const Sizes sizes(x, rate);
  const Tensor y = at::empty(x.sizes(), x.options());
  const Tensor starts =
      at::empty({sizes.chunks + 1, sizes.batch, sizes.channels, sizes.states}, start.options());
  AT_DISPATCH_FLOATING_TYPES(x.scalar_type(), "selective_scan", [&] {
    const int64_t blocks = sizes.blocks<scalar_t>();
    const Inputs<scalar_t> in(x, delta, rate, write, read);
    at::parallel_for(0, sizes.batch * blocks, 1, [&](int64_t begin, int64_t end) {
      Rows<scalar_t> rows(2 * sizes.states, x);
      for (int64_t piece = begin; piece < end; ++piece)
        forward_of_block<scalar_t>(in, sizes, piece / blocks, piece % blocks * lanes<scalar_t>,
                                   rows, start.const_data_ptr<scalar_t>(),
                                   y.mutable_data_ptr<scalar_t>(),
                                   starts.mutable_data_ptr<scalar_t>());
    });
  });
  return {y, starts};
}

std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor, Tensor> selective_scan_backward(
    Tensor by_y, Tensor by_last, Tensor x, Tensor delta, Tensor rate, Tensor write, Tensor read,
    Tensor starts) {
  for (Tensor* part : {&by_y, &by_last, &x, &delta, &rate, &write, &read, &starts})
    *part = part->contiguous();
  const Sizes sizes(x, rate);
  const Tensor by_x = at::empty(x.sizes(), x.options()),
               by_delta = at::empty(x.sizes(), x.options());
  const Tensor by_rate = at::empty(by_last.sizes(), x.options()),
               by_start = at::empty(by_last.sizes(), x.options());
  Tensor by_write, by_read;
  AT_DISPATCH_FLOATING_TYPES(x.scalar_type(), "selective_scan_backward", [&] {
    const int64_t blocks = sizes.blocks<scalar_t>();
    const int64_t wanted =
        (at::get_num_threads() + sizes.batch - 1) / std::max<int64_t>(sizes.batch, 1);
    const int64_t workers = std::max<int64_t>(1, std::min(wanted, blocks));  // of each sequence
    by_write = at::empty({workers, sizes.batch, sizes.length, sizes.states}, x.options());
    by_read = at::empty_like(by_write);
    const Inputs<scalar_t> in(x, delta, rate, write, read);
    at::parallel_for(0, sizes.batch * workers, 1, [&](int64_t begin, int64_t end) {
      for (int64_t piece = begin; piece < end; ++piece) {
        const int64_t row = piece / workers, worker = piece % workers;
        const int64_t apart = worker * sizes.batch * sizes.length * sizes.states;
        const Gradients<scalar_t> out{by_x.mutable_data_ptr<scalar_t>(),
                                      by_delta.mutable_data_ptr<scalar_t>(),
                                      by_rate.mutable_data_ptr<scalar_t>(),
                                      by_write.mutable_data_ptr<scalar_t>() + apart,
                                      by_read.mutable_data_ptr<scalar_t>() + apart,
                                      by_start.mutable_data_ptr<scalar_t>()};
        backward_of_channels<scalar_t>(
            in, by_y.const_data_ptr<scalar_t>(), by_last.const_data_ptr<scalar_t>(),
            starts.const_data_ptr<scalar_t>(), sizes, row, blocks * worker / workers,
            blocks * (worker + 1) / workers, x, out);
      }
    });
  });
  return {by_x, by_delta, by_rate.sum(0), by_write.sum(0), by_read.sum(0), by_start};
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(danlu_kernels, library) {
  library.def(
      "selective_scan(Tensor x, Tensor delta, Tensor rate, Tensor write, Tensor read, "
      "Tensor start) -> (Tensor, Tensor)");
  library.def(
      "selective_scan_backward(Tensor by_y, Tensor by_last, Tensor x, Tensor delta, "
      "Tensor rate, Tensor write, Tensor read, Tensor starts) -> (Tensor, Tensor, Tensor, Tensor, "
      "Tensor, Tensor)");
}

TORCH_LIBRARY_IMPL(danlu_kernels, CPU, library) {
  library.impl("selective_scan", TORCH_FN(selective_scan));
  library.impl("selective_scan_backward", TORCH_FN(selective_scan_backward));
}

}  // namespace danlu
