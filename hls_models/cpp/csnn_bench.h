// Compares a model's block with vectors of the NumPy evaluation, word for word.
//
// A file of vectors is a sequence of 32-bit words, least significant byte first:
//   magic (2), CONSTANTS, STATES, digest of the graph (8), number of sections;
//   each section: kind, steps, neurons; constants; states [STATES][neurons];
//     each step: inputs [INPUTS][neurons]; next states [STATES][neurons]; spikes [neurons].
// A section begins with its states and goes on with what the block makes of them.
#ifndef CSNN_BENCH_H
#define CSNN_BENCH_H

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "csnn_primitives.h"

namespace csnn {

enum outcome { EQUAL = 0, DIFFERENT = 1, UNUSABLE = 2 };

inline const char *kind_name(word kind)
{
    return kind == 0 ? "random words" : "driven by spikes";
}

class vector_file {
public:
    explicit vector_file(const char *path) : path_(path), stream_(std::fopen(path, "rb")) {}
    ~vector_file()
    {
        if (stream_ != nullptr)
            std::fclose(stream_);
    }
    vector_file(const vector_file &) = delete;
    vector_file &operator=(const vector_file &) = delete;

    bool is_open() const { return stream_ != nullptr; }

    word take()
    {
        word found = 0;
        take(&found, 1);
        return found;
    }

    void take(word *to, std::size_t count)
    {
        bytes_.resize(4 * count);
        if (std::fread(bytes_.data(), 1, bytes_.size(), stream_) != bytes_.size()) {
            std::fprintf(stderr, "%s: ends too early\n", path_);
            std::exit(UNUSABLE);
        }
        for (std::size_t i = 0; i < count; ++i) {
            const unsigned char *at = &bytes_[4 * i];
            to[i] = static_cast<word>(at[0]) | static_cast<word>(at[1]) << 8 |
                    static_cast<word>(at[2]) << 16 | static_cast<word>(at[3]) << 24;
        }
    }

    bool is_at_end() { return std::fgetc(stream_) == EOF; }

private:
    const char *path_;
    std::FILE *stream_;
    std::vector<unsigned char> bytes_;
};

// `Model` is a model's struct `traits`; `limit` is the largest number of steps of a section that
// are compared, such as for a slow simulation.
template <class Model> int run_bench(const char *path, unsigned long limit)
{
    constexpr int N = Model::NEURONS, STATES = Model::STATES;
    // In memory whatever their size; rows of NEURONS.
    static word states[2][STATES][N], inputs[Model::INPUTS][N], constants[Model::CONSTANTS];
    static word expected[STATES][N], spiking[N];
    static bool spikes[N];

    vector_file file(path);
    if (!file.is_open()) {
        std::fprintf(stderr, "%s: cannot be read\n", path);
        return UNUSABLE;
    }
    word head[12];
    file.take(head, 12);
    bool is_ours = head[0] == 0x4E4E5343u && head[1] == 0x31434556u && // "CSNNVEC1"
                   head[2] == Model::CONSTANTS && head[3] == STATES;
    for (int i = 0; i < 8; ++i)
        is_ours = is_ours && head[4 + i] == Model::digest(i);
    if (!is_ours) {
        std::fprintf(stderr, "%s: holds no vectors of this %s\n", path, Model::name());
        return UNUSABLE;
    }
    const word sections = file.take();
    unsigned long long steps_done[2] = {0, 0}, neuron_steps[2] = {0, 0}, spikes_seen[2] = {0, 0};
    bool is_whole = true;
    for (word section = 0; section < sections; ++section) {
        const word kind = file.take(), steps = file.take(), n = file.take();
        if (kind > 1 || n < 1 || n > static_cast<word>(N)) {
            std::fprintf(stderr, "%s: section %u does not fit %d neurons\n", path, section, N);
            return UNUSABLE;
        }
        file.take(constants, Model::CONSTANTS);
        for (int k = 0; k < STATES; ++k)
            file.take(states[0][k], n);
        for (word step = 1; step <= steps; ++step) {
            const word(&before)[STATES][N] = states[(step - 1) % 2];
            const word(&input)[Model::INPUTS][N] = inputs;
            word(&after)[STATES][N] = states[step % 2];
            for (int k = 0; k < Model::INPUTS; ++k)
                file.take(inputs[k], n);
            for (int k = 0; k < STATES; ++k)
                file.take(expected[k], n);
            file.take(spiking, n);
            if (step > limit) {
                is_whole = false;
                continue;
            }
            // What is not written, or written beyond the neurons, shows.
            for (int i = 0; i < N; ++i) {
                const bool exists = i < static_cast<int>(n);
                spikes[i] = exists && spiking[i] == 0;
                for (int k = 0; k < STATES; ++k)
                    after[k][i] = exists ? ~expected[k][i] : CANONICAL_NAN;
            }
            Model::block(constants, static_cast<std::int32_t>(n), before, input, after, spikes);
            for (int i = 0; i < N; ++i) {
                const bool exists = i < static_cast<int>(n);
                for (int k = 0; k <= STATES; ++k) {
                    const bool is_spike = k == STATES;
                    const word untouched = is_spike ? 0 : CANONICAL_NAN;
                    const word wanted = !exists ? untouched : is_spike ? spiking[i] : expected[k][i];
                    const word found = is_spike ? (spikes[i] ? 1u : 0u) : after[k][i];
                    if (found != wanted) {
                        std::printf("%s: section %u (%s), step %u, neuron %d, %s: found 0x%08x, "
                                    "expected 0x%08x\n",
                                    Model::name(), section, kind_name(kind), step, i,
                                    is_spike ? "spike" : Model::state_name(k), found, wanted);
                        return DIFFERENT;
                    }
                }
                spikes_seen[kind] += spikes[i] ? 1u : 0u;
            }
            ++steps_done[kind];
            neuron_steps[kind] += n;
        }
    }
    if (!file.is_at_end()) {
        std::fprintf(stderr, "%s: goes on after its last section\n", path);
        return UNUSABLE;
    }
    std::printf("%s: equal in %llu steps from random words (%llu spikes) and in %llu steps of "
                "%llu neurons driven by spikes (%llu spikes)%s\n",
                Model::name(), neuron_steps[0], spikes_seen[0], steps_done[1],
                steps_done[1] != 0 ? neuron_steps[1] / steps_done[1] : 0, spikes_seen[1],
                is_whole ? "" : "; the vectors have more steps");
    return EQUAL;
}

} // namespace csnn

#endif
