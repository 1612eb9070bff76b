/* An encoder of DistilBERT's shape (Sanh et al. 2019, arXiv:1910.01108) in int8, for x86-64 with AVX2, or AVX-512 and VNNI.
 *
 * Rows of token ids lie one after another: nothing is padded, and a row's states do not depend on the other rows.
 * Products with weights are int8: weights have a scale an output, activations a step and a middle a token, found as they
 * come. Attention multiplies in int16. All else is fp32, in the same order on every processor. One call runs on one
 * thread; callers share the model between threads and give each call a scratch of its own.
 *
 * Layouts (int8_weights.py writes those of weights):
 *   weight    [n / 16][k / 4][16][4]        four inputs of 16 outputs fill a vector
 *   keys      [row][head][row / 16][d / 2][16][2]
 *   values    [row][head][row / 2][d][2]
 */
#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))
#define ALONE static __attribute__((noinline))
#define UNROLL _Pragma("clang loop unroll(full)")

enum {
  LANES = 16,        /* numbers in a vector; two registers where one has 256 bits */
  BLOCK = 48,        /* tokens whose intermediate results stay in the second-level cache */
  QUERIES = 12,      /* queries whose scores stay in the first-level cache */
  ZERO = 128,        /* of unsigned activations; the multiply wants one side unsigned */
  TOP_SCORE = 4095,  /* 64 products of two such numbers still fit 32 bits */
  TOP16 = 32767,
  GROUP = 4,         /* steps of four inputs whose sums fit 16 bits: int8_rounding.py sees to it */
};

typedef float Floats __attribute__((vector_size(64)));
typedef int32_t Ints __attribute__((vector_size(64)));
typedef int16_t Shorts __attribute__((vector_size(32)));
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

typedef struct {
  float *states, *attended, *wide, *narrow, *step, *middle, *query_scale, *key_scale, *value_scale, *scores;
  uint8_t *small, *small_wide;
  int16_t *queries, *keys, *values, *shares;
} Scratch;

/* ---- what processors do differently ---- */

#define LOW(type, x) ((type)__builtin_shufflevector(x, x, 0, 1, 2, 3, 4, 5, 6, 7))
#define HIGH(type, x) ((type)__builtin_shufflevector(x, x, 8, 9, 10, 11, 12, 13, 14, 15))
#define BOTH(low, high) __builtin_shufflevector((Ints8)(low), (Ints8)(high), 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)
typedef int32_t Ints8 __attribute__((vector_size(32)));

#ifdef __AVX512VNNI__

enum { TILE_ROWS = 6, TILE_COLUMNS = 4, SCORE_ROWS = 6, SCORE_COLUMNS = 4, WEIGH_ROWS = 12, WEIGH_COLUMNS = 2 };

INLINE Ints dot16(Ints sum, Ints pairs, Ints w) { return (Ints)_mm512_dpwssd_epi32((__m512i)sum, (__m512i)pairs, (__m512i)w); }

INLINE void dot8(int rows, int columns, int k, const uint8_t *small, const Linear *l, int column, Ints sums[TILE_ROWS][TILE_COLUMNS]) {
  UNROLL for (int j = 0; j < columns; j++) {
    Ints start;
    memcpy(&start, l->start + column + LANES * j, sizeof start);
    UNROLL for (int i = 0; i < rows; i++) sums[i][j] = start;
  }
  const int8_t *weight = l->weight + (size_t)column * k;
  for (int step = 0; step < k; step += 4, weight += 4 * LANES) {
    __m512i w[TILE_COLUMNS];
    UNROLL for (int j = 0; j < columns; j++) w[j] = _mm512_loadu_si512(weight + (size_t)LANES * k * j);
    UNROLL for (int i = 0; i < rows; i++) {
      int32_t four;
      memcpy(&four, small + (size_t)i * k + step, sizeof four);
      UNROLL for (int j = 0; j < columns; j++) sums[i][j] = (Ints)_mm512_dpbusd_epi32((__m512i)sums[i][j], _mm512_set1_epi32(four), w[j]);
    }
  }
}

#else

enum { TILE_ROWS = 3, TILE_COLUMNS = 1, SCORE_ROWS = 6, SCORE_COLUMNS = 1, WEIGH_ROWS = 6, WEIGH_COLUMNS = 1 };

INLINE Ints dot16(Ints sum, Ints pairs, Ints w) {
  return BOTH(_mm256_add_epi32(LOW(__m256i, sum), _mm256_madd_epi16(LOW(__m256i, pairs), LOW(__m256i, w))),
              _mm256_add_epi32(HIGH(__m256i, sum), _mm256_madd_epi16(HIGH(__m256i, pairs), HIGH(__m256i, w))));
}

/* Sums of a group in 16 bits, then widened: of three multiplies a step that 32 bits would ask for, one and a quarter are left. */
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
INLINE Floats load(const float *x) { Floats v; memcpy(&v, x, sizeof v); return v; }
INLINE void store(float *x, Floats v) { memcpy(x, &v, sizeof v); }
INLINE Floats all(float x) { return (Floats){x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x}; }
INLINE Floats larger(Floats a, Floats b) { return __builtin_elementwise_max(a, b); }
INLINE Floats smaller(Floats a, Floats b) { return __builtin_elementwise_min(a, b); }
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

/* 2^x for x <= 0, to 4e-5 of it: more than the shares, in 15 bits, can show of most */
INLINE Floats exp2_negative(Floats x) {
  x = larger(x, all(-126.f));
  Ints whole = nearest(x);
  Floats rest = x - floats(whole);
  Floats p = all(0.009618129f);
  p = p * rest + 0.05550411f;
  p = p * rest + 0.24022651f;
  p = p * rest + 0.6931472f;
  p = p * rest + 1.f;
  return (Floats)((Ints)p + (whole << 23));
}

/* x Phi(x) (Hendrycks & Gimpel 2016, arXiv:1606.08415), to 4e-5: Phi - 1/2 is odd, fitted on [-4, 4] by least squares of the error of x Phi(x) */
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

INLINE float largest(const float *x, int n) {
  Floats top = all(0.f);
  for (int i = 0; i < n; i += LANES) top = larger(top, __builtin_elementwise_abs(load(x + i)));
  return top_of(top);
}

/* tokens as unsigned bytes: of each number (x smooth - middle) / step + ZERO */
ALONE void quantise(int n_tokens, int n, const float *x, const float *smooth, uint8_t *small, float *step, float *middle) {
  for (int t = 0; t < n_tokens; t++, x += n, small += n) {
    Floats top = load(x) * load(smooth), bottom = top;
    for (int i = LANES; i < n; i += LANES) {
      Floats v = load(x + i) * load(smooth + i);
      top = larger(top, v);
      bottom = smaller(bottom, v);
    }
    float high = top_of(top), low = bottom_of(bottom);
    step[t] = (high - low) / 254.f;
    middle[t] = (high + low) * 0.5f;
    float by = step[t] > 0.f ? 1.f / step[t] : 0.f;
    Floats from = all(ZERO - middle[t] * by);
    for (int i = 0; i < n; i += LANES) {
      Bytes b = __builtin_convertvector(nearest(load(x + i) * load(smooth + i) * by + from), Bytes);
      memcpy(small + i, &b, sizeof b);
    }
  }
}

/* x = norm(x) */
INLINE void normalise(int n, float *x, const Norm *norm, float epsilon) {
  Floats sum = all(0.f), squares = sum;
  for (int i = 0; i < n; i += LANES) sum += load(x + i);
  float mean = sum_of(sum) / (float)n;
  for (int i = 0; i < n; i += LANES) {
    Floats away = load(x + i) - mean;
    squares = away * away + squares;
  }
  float inverse = 1.f / __builtin_sqrtf(sum_of(squares) / (float)n + epsilon);
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

/* ---- attention ---- */

/* sums[i][j] = pairs of a's row i times b's vector j; b's steps lie `step` numbers apart, its vectors `apart` */
INLINE void multiply16(int rows, int columns, int n_pairs, const int16_t *a, int stride, const int16_t *b, int step, int apart, Ints sums[QUERIES][4]) {
  UNROLL for (int i = 0; i < rows; i++) UNROLL for (int j = 0; j < columns; j++) sums[i][j] = (Ints){0};
  for (int pair = 0; pair < n_pairs; pair++, b += step) {
    Ints w[4];
    UNROLL for (int j = 0; j < columns; j++) memcpy(&w[j], b + (size_t)j * apart, sizeof w[j]);
    UNROLL for (int i = 0; i < rows; i++) {
      int32_t two;
      memcpy(&two, a + (size_t)i * stride + 2 * pair, sizeof two);
      Ints twos = {two, two, two, two, two, two, two, two, two, two, two, two, two, two, two, two};
      UNROLL for (int j = 0; j < columns; j++) sums[i][j] = dot16(sums[i][j], twos, w[j]);
    }
  }
}

/* scores of some queries with some vectors of keys, without the queries' scales; top[i] holds the largest of each lane */
INLINE void score(int columns, int d, const int16_t *queries, int stride, const int16_t *keys, const float *key_scale, float *scores, int n_keys, Floats top[SCORE_ROWS]) {
  Ints sums[QUERIES][4];
  multiply16(SCORE_ROWS, columns, d / 2, queries, stride, keys, 2 * LANES, LANES * d, sums);
  UNROLL for (int j = 0; j < columns; j++) {
    Floats by = load(key_scale + LANES * j);
    UNROLL for (int i = 0; i < SCORE_ROWS; i++) {
      Floats value = floats(sums[i][j]) * by;
      top[i] = larger(top[i], value);
      store(scores + (size_t)i * n_keys + LANES * j, value);
    }
  }
}

/* a query's shares of the keys in units of 1 / TOP16, times the keys' value scales: whatever the row's length, a sum of shares times values fits 32 bits */
INLINE void share(int n, int n_keys, float scale, float top, const float *value_scale, float *scores, int16_t *shares) {
  float from = -scale * top;
  Floats sum = all(0.f);
  for (int k = 0; k < n_keys; k += LANES) {
    Floats weight = exp2_negative(load(scores + k) * scale + from);
    if (k + LANES > n) {
      const Ints lane = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
      weight = (Floats)((Ints)weight & (lane < n - k));
    }
    sum += weight;
    store(scores + k, weight);
  }
  float whole = TOP16 / sum_of(sum);
  for (int k = 0; k < n_keys; k += LANES) {
    Shorts part = __builtin_convertvector(nearest(load(scores + k) * whole * load(value_scale + k)), Shorts);
    memcpy(shares + k, &part, sizeof part);
  }
}

/* out = shares x values of some vectors of a head's d numbers */
INLINE void weigh(int columns, int d, int n_keys, const int16_t *shares, const int16_t *values, float scale, float *out, int stride) {
  Ints sums[QUERIES][4];
  multiply16(WEIGH_ROWS, columns, n_keys / 2, shares, n_keys, values, 2 * d, 2 * LANES, sums);
  UNROLL for (int i = 0; i < WEIGH_ROWS; i++) UNROLL for (int j = 0; j < columns; j++)
    store(out + (size_t)i * stride + LANES * j, floats(sums[i][j]) * scale);
}

/* one head of one row of n tokens. Reads and writes up to QUERIES tokens past its end: what lies there is the next row's, which comes later, or spare */
INLINE void attend(int d, int n, int hidden, const int16_t *queries, const float *query_scale, const int16_t *keys, const float *key_scale,
                  const int16_t *values, const float *value_scale, float unit, float *scores, int16_t *shares, float *out) {
  int n_keys = up(n, LANES);
  for (int first = 0; first < n; first += QUERIES) {
    int rows = n - first < QUERIES ? n - first : QUERIES;
    for (int r = 0; r < rows; r += SCORE_ROWS) {
      Floats top[SCORE_ROWS];
      UNROLL for (int i = 0; i < SCORE_ROWS; i++) top[i] = all(-1e30f);
      const int16_t *q = queries + (size_t)(first + r) * hidden;
      int k = 0;
      for (; k + SCORE_COLUMNS * LANES <= n_keys; k += SCORE_COLUMNS * LANES)
        score(SCORE_COLUMNS, d, q, hidden, keys + (size_t)k * d, key_scale + k, scores + (size_t)r * n_keys + k, n_keys, top);
      for (; k < n_keys; k += LANES)
        score(1, d, q, hidden, keys + (size_t)k * d, key_scale + k, scores + (size_t)r * n_keys + k, n_keys, top);
      /* keys that fill up the last vector score 0: a top of 0 where all others lie below only makes the weights smaller */
      for (int i = 0; i < SCORE_ROWS && r + i < rows; i++)
        share(n, n_keys, query_scale[first + r + i], top_of(top[i]), value_scale, scores + (size_t)(r + i) * n_keys, shares + (size_t)(r + i) * n_keys);
    }
    float *to = out + (size_t)first * hidden;
    for (int r = 0; r < rows; r += WEIGH_ROWS) UNROLL for (int j = 0; j < d / LANES; j += WEIGH_COLUMNS)
      weigh(d / LANES - j < WEIGH_COLUMNS ? d / LANES - j : WEIGH_COLUMNS, d, n_keys, shares + (size_t)r * n_keys, values + (size_t)j * 2 * LANES, unit,
            to + (size_t)r * hidden + (size_t)j * LANES, hidden);
  }
}

#define ATTEND(d) \
  ALONE void attend_##d(int n, int hidden, const int16_t *queries, const float *query_scale, const int16_t *keys, const float *key_scale, \
                        const int16_t *values, const float *value_scale, float unit, float *scores, int16_t *shares, float *out) { \
    attend(d, n, hidden, queries, query_scale, keys, key_scale, values, value_scale, unit, scores, shares, out); \
  }
ATTEND(16) ATTEND(32) ATTEND(48) ATTEND(64)

typedef void Attend(int, int, const int16_t *, const float *, const int16_t *, const float *, const int16_t *, const float *, float, float *, int16_t *, float *);
static Attend *const attend_of[] = {attend_16, attend_32, attend_48, attend_64};

/* a token's query, key and value in 16 bits, each where attention wants it. `place` is the token's in its row of n_keys, of which keys and values are given */
ALONE void place_token(int hidden, int d, const float *qkv, int place, int n_keys, int16_t *query, float *query_scale, int16_t *keys, float *key_scale, int16_t *values, float *value_scale) {
  float top_query = largest(qkv, hidden), top_key = largest(qkv + hidden, hidden), top_value = largest(qkv + 2 * hidden, hidden);
  *query_scale = top_query / TOP_SCORE * (1.44269504f / __builtin_sqrtf((float)d)); /* scores in powers of two */
  key_scale[place] = top_key / TOP_SCORE;
  value_scale[place] = top_value / TOP16;
  float by_query = top_query > 0 ? TOP_SCORE / top_query : 0, by_key = top_key > 0 ? TOP_SCORE / top_key : 0, by_value = top_value > 0 ? TOP16 / top_value : 0;
  for (int i = 0; i < hidden; i += LANES) {
    Shorts q = __builtin_convertvector(nearest(load(qkv + i) * by_query), Shorts);
    memcpy(query + i, &q, sizeof q);
    int head = i / d, in_head = i % d;
    int16_t key[LANES], *to_key = keys + (size_t)head * d * n_keys + (size_t)(place / LANES) * LANES * d + in_head * LANES + place % LANES * 2;
    Shorts ks = __builtin_convertvector(nearest(load(qkv + hidden + i) * by_key), Shorts);
    memcpy(key, &ks, sizeof ks);
    UNROLL for (int pair = 0; pair < LANES / 2; pair++) memcpy(to_key + pair * 2 * LANES, key + 2 * pair, 4);
    /* tokens come in order: the second of a pair finds the first there and zeros beside it */
    int16_t *to_value = values + (size_t)head * d * n_keys + (size_t)(place / 2) * 2 * d + in_head * 2;
    Ints value = nearest(load(qkv + 2 * hidden + i) * by_value), beside;
    memcpy(&beside, to_value, sizeof beside);
    value = place % 2 ? beside | (value << 16) : value & 0xffff;
    memcpy(to_value, &value, sizeof value);
  }
}

/* ---- the encoder ---- */

/* Where a call's intermediate results lie from `base` on; gives the bytes they need. */
static size_t lay_out(const Model *m, const int32_t *starts, int n_rows, char *base, Scratch *s) {
  size_t hidden = m->hidden, tokens = starts[n_rows] + QUERIES, keys = 0, longest = 0, used = 0;
  for (int r = 0; r < n_rows; r++) {
    size_t n_keys = up(starts[r + 1] - starts[r], LANES);
    keys += n_keys;
    longest = n_keys > longest ? n_keys : longest;
  }
  size_t wide = 3 * m->hidden > m->inner ? 3 * m->hidden : m->inner;
#define TAKE(name, count) s->name = (void *)(base + used), used += ((size_t)(count) * sizeof *s->name + 63) / 64 * 64
  TAKE(states, tokens * hidden);
  TAKE(attended, tokens * hidden);
  TAKE(wide, BLOCK * wide);
  TAKE(narrow, BLOCK * hidden);
  TAKE(step, BLOCK);
  TAKE(middle, BLOCK);
  TAKE(query_scale, tokens);
  TAKE(key_scale, keys);
  TAKE(value_scale, keys);
  TAKE(scores, QUERIES * longest);
  TAKE(small, BLOCK * hidden);
  TAKE(small_wide, BLOCK * (size_t)m->inner);
  TAKE(queries, tokens * hidden);
  TAKE(keys, keys * hidden);
  TAKE(values, keys * hidden);
  TAKE(shares, QUERIES * longest);
#undef TAKE
  if (base) {
    memset(s->key_scale, 0, keys * sizeof *s->key_scale);
    memset(s->value_scale, 0, keys * sizeof *s->value_scale);
  }
  return used;
}

static int embed(const Model *m, const int32_t *ids, const int32_t *starts, int n_rows, float *x) {
  for (int r = 0; r < n_rows; r++) {
    int n = starts[r + 1] - starts[r];
    if (n < 1 || n > m->n_places) return -1;
    for (int place = 0; place < n; place++, x += m->hidden) {
      int32_t id = *ids++;
      if (id < 0 || id >= m->n_words) return -1;
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
  int row = 0, n_keys = up(starts[1], LANES);
  size_t before = 0;
  for (int t = 0; t < n_tokens; t += BLOCK) {
    int n = n_tokens - t < BLOCK ? n_tokens - t : BLOCK;
    quantise(n, hidden, s->states + (size_t)t * hidden, l->qkv.smooth, s->small, s->step, s->middle);
    linear(n, hidden, 3 * hidden, s->small, s->step, s->middle, &l->qkv, s->wide);
    for (int i = 0; i < n; i++) {
      while (t + i >= starts[row + 1]) {
        before += n_keys;
        row++;
        n_keys = up(starts[row + 1] - starts[row], LANES);
      }
      int place = t + i - starts[row];
      place_token(hidden, d, s->wide + (size_t)i * 3 * hidden, place, n_keys, s->queries + (size_t)(t + i) * hidden, s->query_scale + t + i,
                  s->keys + before * hidden, s->key_scale + before, s->values + before * hidden, s->value_scale + before);
    }
  }
}

static void answer(const Model *m, const int32_t *starts, int n_rows, Scratch *s) {
  const int hidden = m->hidden, d = hidden / m->n_heads;
  size_t before = 0;
  for (int r = 0; r < n_rows; r++) {
    int n = starts[r + 1] - starts[r], n_keys = up(n, LANES);
    float *scales = s->value_scale + before, unit = largest(scales, n_keys);
    for (int i = 0; i < n; i++) scales[i] = unit > 0.f ? scales[i] / unit : 0.f;
    for (int head = 0; head < m->n_heads; head++) {
      size_t from = (size_t)starts[r] * hidden + (size_t)head * d, packed = before * hidden + (size_t)head * d * n_keys;
      attend_of[d / LANES - 1](n, hidden, s->queries + from, s->query_scale + starts[r], s->keys + packed, s->key_scale + before, s->values + packed, scales,
                               unit / TOP16, s->scores, s->shares, s->attended + from);
    }
    before += n_keys;
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

/* States of rows of token ids. Shapes: ids (starts[n_rows],), out (starts[n_rows], hidden). Gives 0, or -1 where an id or a row's length is not the model's. */
int int8_encode(const Model *m, const int32_t *ids, const int32_t *starts, int32_t n_rows, void *scratch, float *out) {
  Scratch s;
  int n_tokens = starts[n_rows];
  lay_out(m, starts, n_rows, scratch, &s);
  if (embed(m, ids, starts, n_rows, s.states)) return -1;
  for (int i = 0; i < m->n_layers; i++) {
    ask(m, m->layers + i, starts, n_rows, &s);
    answer(m, starts, n_rows, &s);
    feed_forward(m, m->layers + i, n_tokens, &s);
  }
  memcpy(out, s.states, (size_t)n_tokens * m->hidden * sizeof *out);
  return 0;
}

/* The multiply-adds of int8 that registers alone can do, by the instructions of `dot8`: does `n` rounds, gives how many a round is. */
int32_t int8_peak(int64_t n, int32_t *sink) {
#ifdef __AVX512VNNI__
  enum { SUMS = TILE_ROWS * TILE_COLUMNS };
  __m512i a = _mm512_set1_epi8(1), b = _mm512_set1_epi8(2), sums[SUMS];
  UNROLL for (int i = 0; i < SUMS; i++) sums[i] = _mm512_set1_epi32(i);
  for (int64_t k = 0; k < n; k++) {
    UNROLL for (int i = 0; i < SUMS; i++) sums[i] = _mm512_dpbusd_epi32(sums[i], a, b);
    __asm__ volatile("" : "+v"(a), "+v"(b));
  }
  __m512i sum = sums[0];
  UNROLL for (int i = 1; i < SUMS; i++) sum = _mm512_add_epi32(sum, sums[i]);
  *sink = _mm512_reduce_add_epi32(sum);
  return SUMS * 64;
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
