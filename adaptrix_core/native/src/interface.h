// What Python and the kernels exchange: records, codes and functions.
//
// C++ compiles this file and `structs.py` reads it, so there is no second description of a record. It holds plain C
// declarations, of fixed sizes; include <cstdint> before it. Arrays are described by their shapes.

typedef uint16_t half;  // IEEE binary16

enum Layout { kInt4 = 4, kInt8 = 8 };

// A packed matrix.
typedef struct {
    const uint8_t* data;  // (n / 8) blocks of (k / 32) groups
    int32_t layout;       // Layout
    int32_t n;            // outputs, padded to a multiple of 8
    int32_t k;            // inputs, a multiple of 32
} Matrix;

// One decoder layer.
typedef struct {
    Matrix qkv, o, gate_up, down;
    const float* input_norm;
    const float* post_norm;
    const float* qkv_bias;  // or null
    const float* q_norm;    // per head, or null
    const float* k_norm;
    half* keys;  // the pool of this layer: (slots, kv_heads, head_dim)
    half* values;
    int64_t window;  // keys seen, 0 for all
} Layer;

// All decoder layers, and what they have in common.
typedef struct {
    int32_t hidden, heads, kv_heads, head_dim, inner, num_layers;
    float eps, scale;
    const Layer* layers;  // (num_layers,)
    int32_t block_size;
} Model;

// Where one span of layers keeps a step's rows.
typedef struct {
    int32_t end;            // the layer above the span
    const int32_t* tables;  // (rows, stride): block ids
    int64_t stride;
    float* states;  // (slots, hidden): the pool of the states that leave the span, or null
} Places;

enum BankType { kFloat = 0, kHalf = 1, kByte = 2 };

// One adapter at one injection point, and the tokens of the step that it applies to.
typedef struct {
    int32_t layer;
    int32_t point;  // 0-6: q, k, v, o, gate, up, down
    int32_t rank;
    int32_t type;  // BankType
    int32_t d_in, d_out;
    int32_t count;          // tokens
    const void* a;          // (rank, d_in)
    const void* b;          // (rank, d_out): transposed, so that the expansion reads it in order
    const float* a_scales;  // (rank,), for bytes
    const float* b_scales;  // (rank,), for bytes
    const int32_t* tokens;  // (count,), ascending
    const float* weights;   // (count,): the term's weight times the adapter's scaling
    float* inner;           // (count, rank): A x
} Term;

enum GateSize { kGateTerms = 16 };  // most terms that a gate weighs

// A gate at one injection point, and the tokens of the step whose terms it weighs there.
typedef struct {
    int32_t layer;
    int32_t point;
    int32_t terms;  // those that have weights at the point
    int32_t top_k;  // of them, those that get a share
    int32_t d_in;
    int32_t count;          // tokens
    int32_t is_unsigned;    // whether a score counts by its size alone
    float temperature;
    const float* directions;  // (terms, d_in)
    const float* offsets;     // (terms,)
    const float* factors;     // (terms,): the term's weight times the adapter's scaling
    const int32_t* tokens;    // (count,), ascending
    float* weights;           // (terms, count): row i is the weights of the i-th of these terms
} Gate;

// A step: which token of which row, what it is computed under.
typedef struct {
    int32_t tokens, first_layer, last_layer, threads;
    float* hidden;        // (tokens, hidden), replaced by the states that leave the last layer
    const float* cosine;  // (positions, head_dim)
    const float* sine;
    const int32_t* rows;       // (tokens,): index into tables
    const int32_t* positions;  // (tokens,)
    const Places* places;      // by span, from the one of the first layer on
    int64_t longest;           // tokens of the longest context
    const Term* terms;         // sorted by layer, then point
    const int32_t* term_starts;  // (num_layers + 1,)
    const Gate* gates;           // sorted by layer
    const int32_t* gate_starts;  // (num_layers + 1,)
    const int32_t* attention_rows;  // (tokens,): row of `attention`, or -1; null where no attention is to be told
    int32_t first_told, last_told;  // layers whose attention is told: [first, last)
    int32_t rows_told;
    float* attention;  // (layers, rows, heads, 2): a token's weight on the token before it, and its entropy in nats
} Step;

// A LayerNorm.
typedef struct {
    const float *weight, *shift;
} Norm;

// One layer of an encoder.
typedef struct {
    Matrix qkv, attended, up, down;
    const float *qkv_bias, *attended_bias, *up_bias, *down_bias;
    Norm attended_norm, norm;
} EncoderLayer;

// All layers of an encoder, and how many threads may help.
typedef struct {
    int32_t hidden, heads, inner, num_layers;
    float eps;
    int32_t helpers;
    const EncoderLayer* layers;  // (num_layers,)
} EncoderModel;

// What the compiler has made of a record.
typedef struct {
    const char* name;
    int64_t size;  // bytes
} RecordSize;

// Every record above; the last entry has no name.
const RecordSize* adaptrix_record_sizes(void);

// A decoder over packed weights. It copies the layers' records, but not what they point to.
void* adaptrix_stack_new(const Model* model);
void adaptrix_stack_free(void* stack);
void adaptrix_stack_run(void* stack, const Step* step);

// An encoder; likewise. states (tokens, hidden) are replaced by those that leave the last layer; text i has tokens
// [bounds[i], bounds[i + 1]).
void* adaptrix_encoder_new(const EncoderModel* model);
void adaptrix_encoder_free(void* encoder);
void adaptrix_encoder_run(void* encoder, float* states, const int32_t* bounds, int32_t texts);

// out (rows, m.n) = x (rows, m.k), normalised where `norm` (m.k,) is given, times the matrix, plus bias (m.n,), if any;
// x is quantised on the way.
void adaptrix_linear(const Matrix* m, const float* norm, float eps, const float* x, int32_t rows, const float* bias,
                     float* out, int32_t threads);

// out (count, m.k): the given rows of an int8 matrix, as floats (embedding lookup).
void adaptrix_rows(const Matrix* m, const int64_t* ids, int64_t count, float* out);
