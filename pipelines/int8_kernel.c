/* An encoder of DistilBERT's shape (Sanh et al. 2019, arXiv:1910.01108) in int8, for x86-64 with AVX2, and better with VNNI of 256 or 512 bits.
 *
 * Rows of token ids lie one after another: nothing is padded, and a row's states do not depend on the other rows.
 * All products are of int8: weights have a scale an output, activations a step and a middle a token, attention's queries,
 * keys and values a scale a token and head, found as they come. All else is fp32, in the same order on every processor. One
 * call runs on one thread; callers share the model between threads and give each call a scratch of its own.
 *
 * Layouts (int8_weights.py writes those of weights):
 *   weight    [n / 16][k / 4][16][4]        four inputs of 16 outputs fill a vector
 *   queries   [row][head][row / 16][d / GRAIN][16][GRAIN]
 *   keys      [row][head][row][d]
 *   values    [row][head][row / GRAIN][d][GRAIN]
 */
#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))
#define ALONE static __attribute__((noinline))
#define UNROLL _Pragma("clang loop unroll(full)")

enum {
  LARGEST_HEAD = 64, /* how many numbers wide */
  LANES = 16,        /* numbers in a vector; two registers where one has 256 bits */
  BLOCK = 48,        /* tokens whose intermediate results stay in the second-level cache */
  ZERO = 128,        /* of unsigned activations; the multiply wants one side unsigned */
  FEW = 4,           /* tokens quantised together */
  TOP = 127,         /* of queries, keys and values */
  TOP_SHARE = 255,
  GROUP = 4,         /* steps of four inputs whose sums fit 16 bits: int8_rounding.py sees to it */
};

typedef float Floats __attribute__((vector_size(64)));
typedef int32_t Ints __attribute__((vector_size(64)));
typedef uint8_t Bytes __attribute__((vector_size(16)));
typedef _Float16 Halves __attribute__((vector_size(32)));

typedef struct {
  const int8_t *weight;
  const float *scale, *bias, *sum; /* sum: of each output's weights, in fp32: what a token's middle adds */
  const int32_t *start;            /* what ZERO takes from each sum */
  const int16_t *group_start;      /* the same of each group, where sums are of 16 bits: [n / 16][k / 16][16][2] */
  const float *smooth;             /* by which inputs are multiplied before they are rounded: (k,) */
} Linear;

typedef struct {
  const float *weight, *bias;
} Norm;

typedef struct {
  Linear qkv, out, inner, outer;
  Norm after_attention, after_outer;
} Layer;

typedef struct {
  int32_t n_layers, hidden, n_heads, inner, n_words, n_places;
  float epsilon;
  int32_t reserved;
  const _Float16 *words, *places;
  Norm norm;
  const Layer *layers;
} Model;

#if defined(__AVX512VNNI__) || defined(__AVXVNNI__)
#define VNNI 1
typedef int8_t Narrow;
#else
#define VNNI 0
typedef int16_t Narrow; /* the same numbers: AVX2 multiplies signed ones of 16 bits */
#endif
enum { GRAIN = 4 / sizeof(Narrow) };
typedef Narrow Narrows __attribute__((vector_size(16 * sizeof(Narrow))));

typedef struct {
  float *states, *attended, *wide, *narrow, *step, *middle, *query_scale, *key_scale, *value_scale, *scores;
  uint8_t *small, *small_wide;
  Narrow *queries, *keys, *values, *shares;
} Scratch;

/* ---- what processors do differently: beside the instructions, how much of a product stays in registers (rows and columns of a tile, keys of a score, outputs of a weighing) ---- */

#define LOW(type, x) ((type)__builtin_shufflevector(x, x, 0, 1, 2, 3, 4, 5, 6, 7))
#define HIGH(type, x) ((type)__builtin_shufflevector(x, x, 8, 9, 10, 11, 12, 13, 14, 15))
#define BOTH(low, high) __builtin_shufflevector((Ints8)(low), (Ints8)(high), 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)
typedef int32_t Ints8 __attribute__((vector_size(32)));

#ifdef __AVX512VNNI__

enum { TILE_ROWS = 6, TILE_COLUMNS = 4, KEYS = 24, OUTPUTS = 16 };

typedef __m512i Register;
#define DOT _mm512_dpbusd_epi32

INLINE Floats larger(Floats a, Floats b) { return (Floats)_mm512_max_ps((__m512)a, (__m512)b); }
INLINE Floats smaller(Floats a, Floats b) { return (Floats)_mm512_min_ps((__m512)a, (__m512)b); }
INLINE Ints dot(Ints sum, Ints a, Ints b) { return (Ints)DOT((__m512i)sum, (__m512i)a, (__m512i)b); }

/* numbers from 0 to 255 of four vectors as bytes: one vector alone takes several times as long */
INLINE void store_four(uint8_t *x, Ints a, Ints b, Ints c, Ints d) {
  __m512i ab = _mm512_packs_epi32((__m512i)a, (__m512i)b), cd = _mm512_packs_epi32((__m512i)c, (__m512i)d);
  _mm512_storeu_si512(x, _mm512_permutexvar_epi32(_mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15), _mm512_packus_epi16(ab, cd)));
}

#else

INLINE Floats larger(Floats a, Floats b) { return (Floats)BOTH(_mm256_max_ps(LOW(__m256, a), LOW(__m256, b)), _mm256_max_ps(HIGH(__m256, a), HIGH(__m256, b))); }
INLINE Floats smaller(Floats a, Floats b) { return (Floats)BOTH(_mm256_min_ps(LOW(__m256, a), LOW(__m256, b)), _mm256_min_ps(HIGH(__m256, a), HIGH(__m256, b))); }

INLINE void store_two(uint8_t *x, Ints a, Ints b) {
  __m256i pairs_a = _mm256_packs_epi32(LOW(__m256i, a), HIGH(__m256i, a)), pairs_b = _mm256_packs_epi32(LOW(__m256i, b), HIGH(__m256i, b));
  __m256i mixed = _mm256_packus_epi16(pairs_a, pairs_b); /* a's 0-3 8-11, b's; a's 4-7 12-15, b's */
  _mm256_storeu_si256((__m256i *)x, _mm256_permutevar8x32_epi32(mixed, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7)));
}

/* numbers from 0 to 255 of four vectors as bytes */
INLINE void store_four(uint8_t *x, Ints a, Ints b, Ints c, Ints d) {
  store_two(x, a, b);
  store_two(x + 2 * LANES, c, d);
}

#endif

#if VNNI && !defined(__AVX512VNNI__)

enum { TILE_ROWS = 6, TILE_COLUMNS = 1, KEYS = 6, OUTPUTS = 4 };

typedef __m256i Register;
#define DOT _mm256_dpbusd_avx_epi32

INLINE Ints dot(Ints sum, Ints a, Ints b) {
  return BOTH(DOT(LOW(__m256i, sum), LOW(__m256i, a), LOW(__m256i, b)), DOT(HIGH(__m256i, sum), HIGH(__m256i, a), HIGH(__m256i, b)));
}

#endif

INLINE Ints same(int32_t x) { return (Ints){x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x}; }

#if VNNI

enum { KEY_ZERO = 128 }; /* the multiply wants one side unsigned: keys here, shares there */

INLINE void dot8(int rows, int columns, int k, const uint8_t *small, const Linear *l, int column, Ints sums[TILE_ROWS][TILE_COLUMNS]) {
  UNROLL for (int j = 0; j < columns; j++) {
    Ints start;
    memcpy(&start, l->start + column + LANES * j, sizeof start);
    UNROLL for (int i = 0; i < rows; i++) sums[i][j] = start;
  }
  const int8_t *weight = l->weight + (size_t)column * k;
  for (int step = 0; step < k; step += 4, weight += 4 * LANES) {
    Ints w[TILE_COLUMNS];
    UNROLL for (int j = 0; j < columns; j++) memcpy(&w[j], weight + (size_t)LANES * k * j, sizeof w[j]);
    UNROLL for (int i = 0; i < rows; i++) {
      int32_t four;
      memcpy(&four, small + (size_t)i * k + step, sizeof four);
      UNROLL for (int j = 0; j < columns; j++) sums[i][j] = dot(sums[i][j], same(four), w[j]);
    }
  }
}

#else

enum { TILE_ROWS = 3, TILE_COLUMNS = 1, KEYS = 6, OUTPUTS = 4, KEY_ZERO = 0 };

INLINE Ints dot(Ints sum, Ints a, Ints b) {
  return BOTH(_mm256_add_epi32(LOW(__m256i, sum), _mm256_madd_epi16(LOW(__m256i, a), LOW(__m256i, b))),
              _mm256_add_epi32(HIGH(__m256i, sum), _mm256_madd_epi16(HIGH(__m256i, a), HIGH(__m256i, b))));
}

/* Sums of a group in 16 bits, then widened: of the two multiplies and the addition that 32 bits would ask for each step, one and a quarter of either are left. */
INLINE void dot8(int rows, int one, int k, const uint8_t *small, const Linear *l, int column, Ints sums[TILE_ROWS][TILE_COLUMNS]) {
  (void)one;
  __m256i low[TILE_ROWS], high[TILE_ROWS];
  UNROLL for (int i = 0; i < rows; i++) low[i] = high[i] = _mm256_setzero_si256();
  const int8_t *weight = l->weight + (size_t)column * k;
  const int16_t *start = l->group_start + (size_t)column / 8 * k;
  const __m256i ones = _mm256_set1_epi16(1);
  for (int step = 0; step < k; step += 4 * GROUP, start += 2 * LANES) {
    __m256i a[TILE_ROWS], b[TILE_ROWS];
    __m256i start_low = _mm256_loadu_si256((const __m256i *)start), start_high = _mm256_loadu_si256((const __m256i *)(start + LANES));
    UNROLL for (int g = 0; g < GROUP; g++, weight += 4 * LANES) {
      __m256i w_low = _mm256_loadu_si256((const __m256i *)weight), w_high = _mm256_loadu_si256((const __m256i *)(weight + 32));
      UNROLL for (int i = 0; i < rows; i++) {
        int32_t four;
        memcpy(&four, small + (size_t)i * k + step + 4 * g, sizeof four);
        __m256i fours = _mm256_set1_epi32(four);
        a[i] = _mm256_add_epi16(g ? a[i] : start_low, _mm256_maddubs_epi16(fours, w_low));
        b[i] = _mm256_add_epi16(g ? b[i] : start_high, _mm256_maddubs_epi16(fours, w_high));
      }
    }
    UNROLL for (int i = 0; i < rows; i++) {
      low[i] = _mm256_add_epi32(low[i], _mm256_madd_epi16(a[i], ones));
      high[i] = _mm256_add_epi32(high[i], _mm256_madd_epi16(b[i], ones));
    }
  }
  UNROLL for (int i = 0; i < rows; i++) sums[i][0] = BOTH(low[i], high[i]);
}

#endif

/* ---- vectors ---- */

INLINE int32_t up(int32_t n, int32_t step) { return (n + step - 1) / step * step; }
/* room for n tokens in whole vectors: an odd number of them, or many heads' would lie in the same few sets of the first-level cache */
INLINE int32_t room(int32_t n) { return ((n + LANES - 1) / LANES | 1) * LANES; }
INLINE Floats load(const float *x) { Floats v; memcpy(&v, x, sizeof v); return v; }
INLINE void store(float *x, Floats v) { memcpy(x, &v, sizeof v); }
INLINE Floats all(float x) { return (Floats){x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x}; }
/* nearest whole numbers, for |x| < 2^22: their bits end up in the lowest ones of the mantissa */
INLINE Ints nearest(Floats x) { return (Ints)(x + 12582912.f) - 0x4B400000; }
INLINE Floats floats(Ints x) { return __builtin_convertvector(x, Floats); }
#define FOLD(op, x) \
  x = op(x, __builtin_shufflevector(x, x, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7)); \
  x = op(x, __builtin_shufflevector(x, x, 4, 5, 6, 7, 0, 1, 2, 3, 12, 13, 14, 15, 8, 9, 10, 11)); \
  x = op(x, __builtin_shufflevector(x, x, 2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13)); \
  x = op(x, __builtin_shufflevector(x, x, 1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14))
INLINE Floats plus(Floats a, Floats b) { return a + b; }
INLINE float sum_of(Floats x) { FOLD(plus, x); return x[0]; }
INLINE float top_of(Floats x) { FOLD(larger, x); return x[0]; }
INLINE float bottom_of(Floats x) { FOLD(smaller, x); return x[0]; }

/* 2^x for x <= 0, to 1e-4 of it: less than a share's step. The whole part of x ends up in the lowest bits of x + 1.5 2^23, and there beside the exponent */
INLINE Floats exp2_negative(Floats x) {
  x = larger(x, all(-126.f));
  Floats whole = x + 12582912.f, rest = x - (whole - 12582912.f);
  Floats p = all(0.0551705059f);
  p = p * rest + 0.242608537f;
  p = p * rest + 0.69326094f;
  p = p * rest + 0.999928238f;
  return (Floats)((Ints)p + ((Ints)whole << 23));
}

/* x Phi(x) (Hendrycks & Gimpel 2016, arXiv:1606.08415), to 4e-5 on [-4, 4], beyond to 4e-5 of x: Phi - 1/2 is odd, fitted by least squares of the error of x Phi(x) */
INLINE Floats gelu(Floats x) {
  Floats c = smaller(larger(x, all(-4.f)), all(4.f)), s = c * c;
  Floats p = all(-1.30127256e-09f);
  p = p * s + 1.04194707e-07f;
  p = p * s + -3.65710008e-06f;
  p = p * s + 7.48546353e-05f;
  p = p * s + -1.00648763e-03f;
  p = p * s + 9.50538855e-03f;
  p = p * s + -6.58878272e-02f;
  p = p * s + 3.98673386e-01f;
  return x * (p * c + 0.5f);
}

INLINE void store_narrow(Narrow *x, Ints v) {
  Narrows small = __builtin_convertvector(v, Narrows);
  memcpy(x, &small, sizeof small);
}

INLINE float largest(const float *x, int n) {
  Floats top = all(0.f);
  for (int i = 0; i < n; i += LANES) top = larger(top, __builtin_elementwise_abs(load(x + i)));
  return top_of(top);
}

/* tokens as unsigned bytes: of each number (x smooth - middle) / step + ZERO. A few tokens at a time: the ends of one are found while another's are awaited */
ALONE void quantise(int n_tokens, int n, const float *x, const float *smooth, uint8_t *small, float *step, float *middle) {
  for (int t = 0; t < n_tokens; t += FEW) {
    int few = n_tokens - t < FEW ? n_tokens - t : FEW;
    for (int j = 0; j < few; j++) {
      const float *of = x + (size_t)j * n;
      Floats top = load(of) * load(smooth), bottom = top;
      for (int i = LANES; i < n; i += LANES) {
        Floats v = load(of + i) * load(smooth + i);
        top = larger(top, v);
        bottom = smaller(bottom, v);
      }
      float high = top_of(top), low = bottom_of(bottom);
      step[t + j] = (high - low) / 254.f;
      middle[t + j] = (high + low) * 0.5f;
    }
    for (int j = 0; j < few; j++, x += n, small += n) {
      float by = step[t + j] > 0.f ? 1.f / step[t + j] : 0.f;
      Floats from = all(ZERO - middle[t + j] * by);
      int i = 0;
      for (; i + 4 * LANES <= n; i += 4 * LANES) {
        Ints v[4];
        UNROLL for (int l = 0; l < 4; l++) v[l] = nearest(load(x + i + LANES * l) * load(smooth + i + LANES * l) * by + from);
        store_four(small + i, v[0], v[1], v[2], v[3]);
      }
      for (; i < n; i += LANES) {
        Bytes b = __builtin_convertvector(nearest(load(x + i) * load(smooth + i) * by + from), Bytes);
        memcpy(small + i, &b, sizeof b);
      }
    }
  }
}

/* x = norm(x); of each sum two halves, as one addition waits for the one before */
INLINE void normalise(int n, float *x, const Norm *norm, float epsilon) {
  Floats sum = all(0.f), squares = sum, sum2 = sum, squares2 = sum;
  int half = n / LANES / 2 * LANES;
  for (int i = 0; i < half; i += LANES) {
    sum += load(x + i);
    sum2 += load(x + half + i);
  }
  if (2 * half < n) sum += load(x + 2 * half);
  float mean = sum_of(sum + sum2) / (float)n;
  for (int i = 0; i < half; i += LANES) {
    Floats away = load(x + i) - mean, away2 = load(x + half + i) - mean;
    squares = away * away + squares;
    squares2 = away2 * away2 + squares2;
  }
  if (2 * half < n) {
    Floats away = load(x + 2 * half) - mean;
    squares = away * away + squares;
  }
  float inverse = 1.f / __builtin_sqrtf(sum_of(squares + squares2) / (float)n + epsilon);
  for (int i = 0; i < n; i += LANES) store(x + i, (load(x + i) - mean) * inverse * load(norm->weight + i) + load(norm->bias + i));
}

/* x = norm(x + y), token by token */
ALONE void add_and_normalise(int n_tokens, int n, float *x, const float *y, const Norm *norm, float epsilon) {
  for (int t = 0; t < n_tokens; t++, x += n, y += n) {
    for (int i = 0; i < n; i += LANES) store(x + i, load(x + i) + load(y + i));
    normalise(n, x, norm, epsilon);
  }
}

/* ---- products with weights ---- */

INLINE void tile(int rows, int columns, int gelus, int k, const uint8_t *small, const float *step, const float *middle, const Linear *l, int column, float *out, int stride) {
  Ints sums[TILE_ROWS][TILE_COLUMNS];
  dot8(rows, columns, k, small, l, column, sums);
  UNROLL for (int j = 0; j < columns; j++) {
    int at = column + LANES * j;
    Floats scale = load(l->scale + at), sum = load(l->sum + at), bias = load(l->bias + at);
    UNROLL for (int i = 0; i < rows; i++) {
      Floats value = floats(sums[i][j]) * (scale * step[i]) + (sum * middle[i] + bias);
      store(out + (size_t)i * stride + at, gelus ? gelu(value) : value);
    }
  }
}

INLINE void strip(int columns, int gelus, int n_tokens, int k, int n, const uint8_t *small, const float *step, const float *middle, const Linear *l, int column, float *out) {
  int t = 0;
  for (; t + TILE_ROWS <= n_tokens; t += TILE_ROWS)
    tile(TILE_ROWS, columns, gelus, k, small + (size_t)t * k, step + t, middle + t, l, column, out + (size_t)t * n, n);
  const uint8_t *rest = small + (size_t)t * k;
  float *to = out + (size_t)t * n;
  switch (n_tokens - t) {
#define REST(rows) case rows: if (rows < TILE_ROWS) tile(rows, columns, gelus, k, rest, step + t, middle + t, l, column, to, n); break
    REST(5); REST(4); REST(3); REST(2); REST(1);
#undef REST
  }
}

/* out = small x weight, with bias. Shapes: small (n_tokens, k), out (n_tokens, n) */
INLINE void multiply(int gelus, int n_tokens, int k, int n, const uint8_t *small, const float *step, const float *middle, const Linear *l, float *out) {
  int column = 0;
  for (; column + TILE_COLUMNS * LANES <= n; column += TILE_COLUMNS * LANES) strip(TILE_COLUMNS, gelus, n_tokens, k, n, small, step, middle, l, column, out);
  for (; column < n; column += LANES) strip(1, gelus, n_tokens, k, n, small, step, middle, l, column, out);
}

ALONE void linear(int n_tokens, int k, int n, const uint8_t *small, const float *step, const float *middle, const Linear *l, float *out) {
  multiply(0, n_tokens, k, n, small, step, middle, l, out);
}

ALONE void linear_and_gelu(int n_tokens, int k, int n, const uint8_t *small, const float *step, const float *middle, const Linear *l, float *out) {
  multiply(1, n_tokens, k, n, small, step, middle, l, out);
}

/* ---- attention: a query a lane ---- */

INLINE Ints load_ints(const Narrow *x) { Ints v; memcpy(&v, x, sizeof v); return v; }
INLINE Ints all_lanes(const Narrow *x) { int32_t grain; memcpy(&grain, x, sizeof grain); return same(grain); }

/* rows become columns */
INLINE void transpose(Floats x[LANES]) {
  UNROLL for (int round = 0; round < 4; round++) {
    Floats y[LANES];
    UNROLL for (int i = 0; i < LANES / 2; i++) {
      y[2 * i] = __builtin_shufflevector(x[i], x[i + 8], 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
      y[2 * i + 1] = __builtin_shufflevector(x[i], x[i + 8], 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
    }
    UNROLL for (int i = 0; i < LANES; i++) x[i] = y[i];
  }
}

/* scores of 16 queries with some keys, without the queries' scales; gives the largest of each query. start: what KEY_ZERO adds, taken off */
INLINE Floats score(int n, int d, const Narrow *queries, Ints start, const Narrow *keys, const float *key_scale, float *scores, Floats top) {
  Ints sums[KEYS];
  UNROLL for (int k = 0; k < n; k++) sums[k] = start;
  UNROLL for (int s = 0; s < d; s += GRAIN) {
    Ints query = load_ints(queries + s * LANES);
    UNROLL for (int k = 0; k < n; k++) sums[k] = dot(sums[k], all_lanes(keys + k * d + s), query);
  }
  UNROLL for (int k = 0; k < n; k++) {
    Floats value = floats(sums[k]) * key_scale[k];
    top = larger(top, value);
    store(scores + LANES * k, value);
  }
  return top;
}

INLINE Floats score_all(int n, int d, const Narrow *queries, const Narrow *keys, const float *key_scale, float *scores) {
  enum { SOME = 6 }; /* of what is left */
  Ints start = {0};
  if (KEY_ZERO) UNROLL for (int s = 0; s < d; s += GRAIN) start = dot(start, same((int32_t)(KEY_ZERO * 0x01010101u)), load_ints(queries + s * LANES));
  start = -start;
  Floats top = all(-1e30f);
  int k = 0;
  for (; k + KEYS <= n; k += KEYS) top = score(KEYS, d, queries, start, keys + (size_t)k * d, key_scale + k, scores + LANES * k, top);
  for (; k + SOME <= n; k += SOME) top = score(SOME, d, queries, start, keys + (size_t)k * d, key_scale + k, scores + LANES * k, top);
  for (; k < n; k++) top = score(1, d, queries, start, keys + (size_t)k * d, key_scale + k, scores + LANES * k, top);
  return top;
}

/* what 16 queries' shares are worth: each step `scale`, and what rounding took from all together `rest` */
typedef struct {
  Floats scale, rest;
} Worth;

/* 16 queries' shares of n keys, times the keys' value scales, in TOP_SHARE steps of each query's largest. Shape: (n / GRAIN, 16, GRAIN) */
INLINE Worth share(int n, Floats scale, Floats top, const float *value_scale, float *scores, Narrow *shares) {
  Floats from = -scale * top, sum = all(0.f), weighted = sum, most = sum;
  _Pragma("clang loop unroll_count(4)")
  for (int k = 0; k < n; k++) {
    Floats weight = exp2_negative(load(scores + LANES * k) * scale + from);
    sum += weight;
    weight *= value_scale[k];
    weighted += weight;
    most = larger(most, weight);
    store(scores + LANES * k, weight);
  }
  for (int k = n; k < up(n, GRAIN); k++) store(scores + LANES * k, all(0.f));
  Floats step = larger(most, all(1e-30f)) / TOP_SHARE, by = 1.f / step, whole = 1.f / sum;
  Ints taken = {0};
  for (int k = 0; k < n; k += GRAIN) {
    Ints grain = {0};
    UNROLL for (int j = 0; j < GRAIN; j++) {
      Ints part = nearest(load(scores + LANES * (k + j)) * by);
      taken += part;
      grain |= part << (32 / GRAIN * j);
    }
    memcpy(shares + LANES * k, &grain, sizeof grain);
  }
  return (Worth){step * whole, (weighted - floats(taken) * step) * whole};
}

/* shares x values, a row each of a head's numbers and a column a query; what rounding took of the shares goes to the mean value */
INLINE void weigh(int d, int n, const Narrow *shares, const Narrow *values, Worth worth, const float *mean, float *out) {
  for (int first = 0; first < d; first += OUTPUTS) {
    Ints sums[OUTPUTS];
    UNROLL for (int i = 0; i < OUTPUTS; i++) sums[i] = (Ints){0};
    for (int k = 0; k < n; k += GRAIN) {
      Ints part = load_ints(shares + LANES * k);
      UNROLL for (int i = 0; i < OUTPUTS; i++) sums[i] = dot(sums[i], part, all_lanes(values + (size_t)k * d + GRAIN * (first + i)));
    }
    UNROLL for (int i = 0; i < OUTPUTS; i++) store(out + LANES * (first + i), floats(sums[i]) * worth.scale + worth.rest * mean[first + i]);
  }
}

/* the mean of a head's values. Shape: (d,) */
INLINE void mean_of(int d, int n, const Narrow *values, float unit, float *mean) {
  const Ints ones = same(GRAIN == 4 ? 0x01010101 : 0x00010001);
  UNROLL for (int i = 0; i < d; i += LANES) {
    Ints sum = {0};
    for (int k = 0; k < n; k += GRAIN) sum = dot(sum, ones, load_ints(values + (size_t)k * d + GRAIN * i));
    store(mean + i, floats(sum) * (unit / (float)n));
  }
}

/* one head of one row of n tokens. Writes whole vectors of queries, so up to LANES - 1 tokens past its end: what lies there is the next row's, which comes later, or spare */
INLINE void attend(int d, int n, int hidden, const Narrow *queries, const float *query_scale, const Narrow *keys, const float *key_scale,
                  const Narrow *values, const float *value_scale, float unit, float *scores, Narrow *shares, float *out) {
  float mean[LARGEST_HEAD], turned[LARGEST_HEAD * LANES];
  mean_of(d, n, values, unit, mean);
  for (int first = 0; first < n; first += LANES) {
    Floats top = score_all(n, d, queries + (size_t)first * d, keys, key_scale, scores);
    Worth worth = share(n, load(query_scale + first), top, value_scale, scores, shares);
    worth.scale *= unit;
    weigh(d, n, shares, values, worth, mean, turned);
    UNROLL for (int j = 0; j < d; j += LANES) {
      Floats x[LANES];
      UNROLL for (int i = 0; i < LANES; i++) x[i] = load(turned + LANES * (j + i));
      transpose(x);
      UNROLL for (int i = 0; i < LANES; i++) store(out + (size_t)(first + i) * hidden + j, x[i]);
    }
  }
}

#define ATTEND(d) \
  ALONE void attend_##d(int n, int hidden, const Narrow *queries, const float *query_scale, const Narrow *keys, const float *key_scale, \
                        const Narrow *values, const float *value_scale, float unit, float *scores, Narrow *shares, float *out) { \
    attend(d, n, hidden, queries, query_scale, keys, key_scale, values, value_scale, unit, scores, shares, out); \
  }
ATTEND(16) ATTEND(32) ATTEND(48) ATTEND(64)

typedef void Attend(int, int, const Narrow *, const float *, const Narrow *, const float *, const Narrow *, const float *, float, float *, Narrow *, float *);
static Attend *const attend_of[] = {attend_16, attend_32, attend_48, attend_64};

INLINE float into(float top) { return top > 0.f ? TOP / top : 0.f; }

/* one head of a token's query, key and value, each where attention wants it. `place` is the token's in its row, of which the head's queries, keys and values are given */
INLINE void place_head(int d, const float *query, const float *key, const float *value, int place, Narrow *queries, float *query_scale, Narrow *keys, float *key_scale,
                       Narrow *values, float *value_scale) {
  float top_query = largest(query, d), top_key = largest(key, d), top_value = largest(value, d);
  query_scale[place] = top_query / TOP * (1.44269504f / __builtin_sqrtf((float)d)); /* scores in powers of two */
  key_scale[place] = top_key / TOP;
  value_scale[place] = top_value / TOP;
  float by_query = into(top_query), by_key = into(top_key), by_value = into(top_value);
  const int shift = place % GRAIN * (32 / GRAIN);
  const int32_t mask = GRAIN == 4 ? 0xff : 0xffff;
  Narrow *to_query = queries + (size_t)(place / LANES) * LANES * d + place % LANES * GRAIN, *to_value = values + (size_t)(place / GRAIN) * GRAIN * d;
  UNROLL for (int i = 0; i < d; i += LANES) {
    Narrow small[LANES];
    store_narrow(small, nearest(load(query + i) * by_query));
    UNROLL for (int s = 0; s < LANES; s += GRAIN) memcpy(to_query + (size_t)(i + s) * LANES, small + s, GRAIN * sizeof *small);
    store_narrow(keys + (size_t)place * d + i, nearest(load(key + i) * by_key) + KEY_ZERO);
    /* tokens come in order: the first of GRAIN puts zeros beside it, where the others find their place */
    Ints wide = (nearest(load(value + i) * by_value) & mask) << shift;
    if (shift) wide |= load_ints(to_value + GRAIN * i);
    memcpy(to_value + GRAIN * i, &wide, sizeof wide);
  }
}

#define PLACE(d) \
  ALONE void place_##d(int hidden, const float *qkv, int place, int n_lanes, Narrow *queries, float *query_scale, Narrow *keys, float *key_scale, Narrow *values, float *value_scale) { \
    for (int at = 0; at < hidden; at += d, qkv += d, query_scale += n_lanes, key_scale += n_lanes, value_scale += n_lanes) \
      place_head(d, qkv, qkv + hidden, qkv + 2 * hidden, place, queries + (size_t)at * n_lanes, query_scale, keys + (size_t)at * n_lanes, key_scale, values + (size_t)at * n_lanes, value_scale); \
  }
PLACE(16) PLACE(32) PLACE(48) PLACE(64)

typedef void Place(int, const float *, int, int, Narrow *, float *, Narrow *, float *, Narrow *, float *);
static Place *const place_of[] = {place_16, place_32, place_48, place_64};

/* ---- the encoder ---- */

/* Where a call's intermediate results lie from `base` on, the states first; gives the bytes they need. */
static size_t lay_out(const Model *m, const int32_t *starts, int n_rows, char *base, Scratch *s) {
  size_t hidden = m->hidden, tokens = starts[n_rows] + LANES, lanes = 0, longest = 0, used = 0;
  for (int r = 0; r < n_rows; r++) {
    size_t n_lanes = room(starts[r + 1] - starts[r]);
    lanes += n_lanes;
    longest = n_lanes > longest ? n_lanes : longest;
  }
  size_t wide = 3 * m->hidden > m->inner ? 3 * m->hidden : m->inner;
#define TAKE(name, count) s->name = (void *)(base + used), used += ((size_t)(count) * sizeof *s->name + 63) / 64 * 64
  TAKE(states, tokens * hidden);
  TAKE(attended, tokens * hidden);
  TAKE(wide, BLOCK * wide);
  TAKE(narrow, BLOCK * hidden);
  TAKE(step, BLOCK);
  TAKE(middle, BLOCK);
  TAKE(query_scale, lanes * m->n_heads);
  TAKE(key_scale, lanes * m->n_heads);
  TAKE(value_scale, lanes * m->n_heads);
  TAKE(scores, longest * LANES);
  TAKE(small, BLOCK * hidden);
  TAKE(small_wide, BLOCK * (size_t)m->inner);
  TAKE(queries, lanes * hidden);
  TAKE(keys, lanes * hidden);
  TAKE(values, lanes * hidden);
  TAKE(shares, longest * LANES);
#undef TAKE
  return used;
}

static int embed(const Model *m, const int32_t *ids, const int32_t *starts, int n_rows, float *x) {
  for (int r = 0; r < n_rows; r++) {
    int n = starts[r + 1] - starts[r];
    if (n < 1 || n > m->n_places) return -1;
    for (int place = 0; place < n; place++, x += m->hidden) {
      int32_t id = *ids++;
      if (id < 0 || id >= m->n_words) return -1;
      if (place + 6 < n) for (int i = 0; i < m->hidden; i += 32) __builtin_prefetch(m->words + (size_t)ids[5] * m->hidden + i);
      const _Float16 *word = m->words + (size_t)id * m->hidden, *where = m->places + (size_t)place * m->hidden;
      for (int i = 0; i < m->hidden; i += LANES) {
        Halves a, b;
        memcpy(&a, word + i, sizeof a);
        memcpy(&b, where + i, sizeof b);
        store(x + i, __builtin_convertvector(a, Floats) + __builtin_convertvector(b, Floats));
      }
      normalise(m->hidden, x, &m->norm, m->epsilon);
    }
  }
  return 0;
}

static void ask(const Model *m, const Layer *l, const int32_t *starts, int n_rows, Scratch *s) {
  const int hidden = m->hidden, d = hidden / m->n_heads, n_tokens = starts[n_rows];
  int row = 0, n_lanes = room(starts[1]);
  size_t before = 0;
  for (int t = 0; t < n_tokens; t += BLOCK) {
    int n = n_tokens - t < BLOCK ? n_tokens - t : BLOCK;
    quantise(n, hidden, s->states + (size_t)t * hidden, l->qkv.smooth, s->small, s->step, s->middle);
    linear(n, hidden, 3 * hidden, s->small, s->step, s->middle, &l->qkv, s->wide);
    for (int i = 0; i < n; i++) {
      while (t + i >= starts[row + 1]) {
        before += n_lanes;
        row++;
        n_lanes = room(starts[row + 1] - starts[row]);
      }
      size_t packed = before * hidden, scales = before * m->n_heads;
      place_of[d / LANES - 1](hidden, s->wide + (size_t)i * 3 * hidden, t + i - starts[row], n_lanes, s->queries + packed, s->query_scale + scales,
                              s->keys + packed, s->key_scale + scales, s->values + packed, s->value_scale + scales);
    }
  }
}

static void answer(const Model *m, const int32_t *starts, int n_rows, Scratch *s) {
  const int hidden = m->hidden, d = hidden / m->n_heads;
  size_t before = 0;
  for (int r = 0; r < n_rows; r++) {
    int n = starts[r + 1] - starts[r], n_lanes = room(n);
    for (int head = 0; head < m->n_heads; head++) {
      size_t scales = before * m->n_heads + (size_t)head * n_lanes, packed = before * hidden + (size_t)head * d * n_lanes, from = (size_t)starts[r] * hidden + (size_t)head * d;
      float *value_scale = s->value_scale + scales, unit = 0.f;
      for (int i = 0; i < n; i++) unit = value_scale[i] > unit ? value_scale[i] : unit;
      for (int i = 0; i < n; i++) value_scale[i] = unit > 0.f ? value_scale[i] / unit : 0.f;
      attend_of[d / LANES - 1](n, hidden, s->queries + packed, s->query_scale + scales, s->keys + packed, s->key_scale + scales, s->values + packed, value_scale, unit,
                               s->scores, s->shares, s->attended + from);
    }
    before += n_lanes;
  }
}

static void feed_forward(const Model *m, const Layer *l, int n_tokens, Scratch *s) {
  const int hidden = m->hidden;
  for (int t = 0; t < n_tokens; t += BLOCK) {
    int n = n_tokens - t < BLOCK ? n_tokens - t : BLOCK;
    float *x = s->states + (size_t)t * hidden;
    quantise(n, hidden, s->attended + (size_t)t * hidden, l->out.smooth, s->small, s->step, s->middle);
    linear(n, hidden, hidden, s->small, s->step, s->middle, &l->out, s->narrow);
    add_and_normalise(n, hidden, x, s->narrow, &l->after_attention, m->epsilon);
    quantise(n, hidden, x, l->inner.smooth, s->small, s->step, s->middle);
    linear_and_gelu(n, hidden, m->inner, s->small, s->step, s->middle, &l->inner, s->wide);
    quantise(n, m->inner, s->wide, l->outer.smooth, s->small_wide, s->step, s->middle);
    linear(n, m->inner, hidden, s->small_wide, s->step, s->middle, &l->outer, s->narrow);
    add_and_normalise(n, hidden, x, s->narrow, &l->after_outer, m->epsilon);
  }
}

/* The bytes of scratch that a call with these rows needs. starts: where each row begins in ids, and their end; (n_rows + 1,) */
size_t int8_scratch_bytes(const Model *m, const int32_t *starts, int32_t n_rows) {
  Scratch s;
  return lay_out(m, starts, n_rows, 0, &s);
}

/* States of rows of token ids; they lie at the beginning of scratch, shape (starts[n_rows], hidden). Gives 0, or -1 where an id or a row's length is not the model's. Shape of ids: (starts[n_rows],) */
int int8_encode(const Model *m, const int32_t *ids, const int32_t *starts, int32_t n_rows, void *scratch) {
  Scratch s;
  lay_out(m, starts, n_rows, scratch, &s);
  if (embed(m, ids, starts, n_rows, s.states)) return -1;
  for (int i = 0; i < m->n_layers; i++) {
    ask(m, m->layers + i, starts, n_rows, &s);
    answer(m, starts, n_rows, &s);
    feed_forward(m, m->layers + i, starts[n_rows], &s);
  }
  return 0;
}

/* The multiply-adds of int8 that registers alone can do, by the instructions of `dot8`: does `n` rounds, gives how many a round is. */
int32_t int8_peak(int64_t n, int32_t *sink) {
#if VNNI
  enum { SUMS = TILE_ROWS * TILE_COLUMNS * sizeof(Ints) / sizeof(Register) };
  Register a = {1}, b = {2}, sums[SUMS];
  UNROLL for (int i = 0; i < SUMS; i++) sums[i] = (Register){i};
  for (int64_t k = 0; k < n; k++) {
    UNROLL for (int i = 0; i < SUMS; i++) sums[i] = DOT(sums[i], a, b);
    __asm__ volatile("" : "+v"(a), "+v"(b));
  }
  UNROLL for (int i = 1; i < SUMS; i++) sums[0] += sums[i];
  *sink = (int32_t)sums[0][0];
  return SUMS * sizeof(Register);
#else
  enum { SUMS = 2 * TILE_ROWS };
  __m256i a = _mm256_set1_epi8(1), b = _mm256_set1_epi8(2), ones = _mm256_set1_epi16(1), sums[SUMS];
  UNROLL for (int i = 0; i < SUMS; i++) sums[i] = _mm256_set1_epi32(i);
  for (int64_t k = 0; k < n; k++) {
    __m256i group[SUMS];
    UNROLL for (int i = 0; i < SUMS; i++) group[i] = a;
    UNROLL for (int g = 0; g < GROUP; g++) UNROLL for (int i = 0; i < SUMS; i++) {
      __m256i pairs = _mm256_maddubs_epi16(a, b);
      __asm__ volatile("" : "+x"(pairs));
      group[i] = _mm256_add_epi16(group[i], pairs);
    }
    UNROLL for (int i = 0; i < SUMS; i++) sums[i] = _mm256_add_epi32(sums[i], _mm256_madd_epi16(group[i], ones));
    __asm__ volatile("" : "+x"(a), "+x"(b));
  }
  __m256i sum = sums[0];
  UNROLL for (int i = 1; i < SUMS; i++) sum = _mm256_add_epi32(sum, sums[i]);
  *sink = _mm256_extract_epi32(sum, 0);
  return SUMS * GROUP * 32;
#endif
}
