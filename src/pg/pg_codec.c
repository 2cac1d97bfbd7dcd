#include "pg/pg_codec.h"

#include "base/check.h"
#include "base/log.h"

#include <endian.h>
#include <stdio.h>
#include <stdlib.h>

/* PostgreSQL counts time from 2000-01-01. */
#define EPOCH_2000_US INT64_C(946684800000000)

#define OID_BPCHAR 1042
#define OID_VARCHAR 1043
#define OID_NAME 19
#define OID_BPCHAR_ARRAY 1014
#define OID_VARCHAR_ARRAY 1015
/* Objects made by users (enums, extensions' types) have numbers from here on. */
#define OID_FIRST_OF_USERS 16384

static const struct {
    const char *name;
    Oid oid;
    size_t size; /* of the C value */
    size_t optional_size;
    size_t optional_offset; /* of the value in its struct opt_… */
} types[] = {
    [PG_TYPE_BOOL] = {"bool", 16, 1, sizeof(struct opt_bool), offsetof(struct opt_bool, value)},
    [PG_TYPE_INT2] = {"int2", 21, 2, sizeof(struct opt_int16), offsetof(struct opt_int16, value)},
    [PG_TYPE_INT4] = {"int4", 23, 4, sizeof(struct opt_int32), offsetof(struct opt_int32, value)},
    [PG_TYPE_INT8] = {"int8", 20, 8, sizeof(struct opt_int64), offsetof(struct opt_int64, value)},
    [PG_TYPE_TEXT] = {"text", 25, sizeof(struct str), sizeof(struct str), 0},
    [PG_TYPE_JSON] = {"json", 114, sizeof(struct str), sizeof(struct str), 0},
    [PG_TYPE_JSONB] = {"jsonb", 3802, sizeof(struct str), sizeof(struct str), 0},
    [PG_TYPE_BYTEA] = {"bytea", 17, sizeof(struct str), sizeof(struct str), 0},
    [PG_TYPE_UUID] = {"uuid", 2950, 16, sizeof(struct opt_uuid), offsetof(struct opt_uuid, value)},
    [PG_TYPE_TIMESTAMPTZ] = {"timestamptz", 1184, 8, sizeof(struct opt_int64),
                             offsetof(struct opt_int64, value)},
};

/* The tables treat every kind of id as a uuid, and its optional and array as theirs. */
#define ID_KIND(name, prefix)                                                                                \
    _Static_assert(sizeof(struct name##_id) == sizeof(struct uuid) &&                                        \
                       sizeof(struct opt_##name##_id) == sizeof(struct opt_uuid) &&                          \
                       offsetof(struct opt_##name##_id, value) == offsetof(struct opt_uuid, value),          \
                   "an id is laid out like a uuid");
#include "base/ids.def"
#undef ID_KIND

/* Every array struct is {items, count}; this one stands for all of them, by memcpy. */
struct any_array {
    const void *items;
    size_t count;
};

const char *pg_type_name(enum pg_type type)
{
    return types[type].name;
}

static bool holds_str(enum pg_type type)
{
    return type == PG_TYPE_TEXT || type == PG_TYPE_JSON || type == PG_TYPE_JSONB || type == PG_TYPE_BYTEA;
}

bool pg_field_reads(const struct pg_field *field, Oid oid)
{
    if (oid == field->oid)
        return true;
    if (field->type != PG_TYPE_TEXT)
        return false;
    if (field->flags & PG_FIELD_ARRAY)
        return oid == OID_BPCHAR_ARRAY || oid == OID_VARCHAR_ARRAY || oid >= OID_FIRST_OF_USERS;
    return oid == OID_BPCHAR || oid == OID_VARCHAR || oid == OID_NAME || oid >= OID_FIRST_OF_USERS;
}

/* ---- encoding ---- */

static void put16(unsigned char *out, uint16_t value)
{
    value = htobe16(value);
    memcpy(out, &value, sizeof value);
}

static void put32(unsigned char *out, uint32_t value)
{
    value = htobe32(value);
    memcpy(out, &value, sizeof value);
}

static void put64(unsigned char *out, uint64_t value)
{
    value = htobe64(value);
    memcpy(out, &value, sizeof value);
}

/* What is before the first time that there is stays so: PostgreSQL refuses it (22008). */
static int64_t timestamp_to_pg(int64_t us)
{
    if (us == INT64_MAX || us == INT64_MIN)
        return us;
    return us < INT64_MIN + 1 + EPOCH_2000_US ? INT64_MIN + 1 : us - EPOCH_2000_US;
}

/* The last thirty years that PostgreSQL can say, before the year 294276, are one moment here. */
static int64_t timestamp_from_pg(int64_t us)
{
    if (us == INT64_MAX || us == INT64_MIN)
        return us;
    return us > INT64_MAX - 1 - EPOCH_2000_US ? INT64_MAX - 1 : us + EPOCH_2000_US;
}

/* Writes a number, flag or uuid; returns its length on the wire. */
static size_t put_fixed(unsigned char *out, enum pg_type type, const void *value)
{
    switch (type) {
    case PG_TYPE_BOOL:
        out[0] = *(const bool *)value;
        return 1;
    case PG_TYPE_INT2:
        put16(out, (uint16_t) * (const int16_t *)value);
        return 2;
    case PG_TYPE_INT4:
        put32(out, (uint32_t) * (const int32_t *)value);
        return 4;
    case PG_TYPE_INT8:
        put64(out, (uint64_t) * (const int64_t *)value);
        return 8;
    case PG_TYPE_TIMESTAMPTZ:
        put64(out, (uint64_t)timestamp_to_pg(*(const int64_t *)value));
        return 8;
    case PG_TYPE_UUID:
        memcpy(out, value, 16);
        return 16;
    case PG_TYPE_TEXT:
    case PG_TYPE_JSON:
    case PG_TYPE_JSONB:
    case PG_TYPE_BYTEA:
        break;
    }
    check_failed("a type of fixed size", __FILE__, __LINE__);
}

static size_t wire_size(enum pg_type type, const void *value)
{
    if (holds_str(type))
        return ((const struct str *)value)->len + (type == PG_TYPE_JSONB);
    return types[type].size;
}

static size_t put_value(unsigned char *out, enum pg_type type, const void *value)
{
    if (!holds_str(type))
        return put_fixed(out, type, value);
    const struct str *text = value;
    size_t at = 0;
    if (type == PG_TYPE_JSONB)
        out[at++] = 1; /* the version of jsonb's binary form */
    if (text->len)
        memcpy(out + at, text->ptr, text->len);
    return at + text->len;
}

/* One item of an array: where its value is, NULL for a null. */
static const void *item_value(const struct pg_field *field, const void *items, size_t index)
{
    if (!(field->flags & PG_FIELD_ITEM_NULLABLE))
        return (const char *)items + index * types[field->type].size;
    const char *item = (const char *)items + index * types[field->type].optional_size;
    if (holds_str(field->type))
        return ((const struct str *)item)->ptr ? item : NULL;
    return *(const bool *)item ? item + types[field->type].optional_offset : NULL;
}

/* array_recv(): dimensions, has nulls, OID of the items, then length and lower bound of each dimension, then
 * the items with their lengths; -1 is a null. An empty array has no dimensions. NULL: it is too large. */
static char *encode_array(const struct pg_field *field, const struct any_array *array, int *length)
{
    if (array->count > PG_ARRAY_ITEMS_MAX)
        return NULL;
    size_t size = array->count ? 20 : 12;
    bool has_null = false;
    for (size_t i = 0; i < array->count; i++) {
        const void *value = item_value(field, array->items, i);
        has_null |= !value;
        size_t bytes = value ? wire_size(field->type, value) : 0;
        if (bytes > PG_VALUE_BYTES_MAX || size + bytes + 4 > PG_VALUE_BYTES_MAX)
            return NULL;
        size += 4 + bytes;
    }
    unsigned char *out = malloc(size);
    CHECK(out);
    put32(out, array->count ? 1 : 0);
    put32(out + 4, has_null);
    put32(out + 8, types[field->type].oid);
    size_t at = 12;
    if (array->count) {
        put32(out + 12, (uint32_t)array->count);
        put32(out + 16, 1);
        at = 20;
    }
    for (size_t i = 0; i < array->count; i++) {
        const void *value = item_value(field, array->items, i);
        size_t bytes = value ? put_value(out + at + 4, field->type, value) : 0;
        put32(out + at, value ? (uint32_t)bytes : UINT32_MAX);
        at += 4 + bytes;
    }
    CHECK(at == size);
    *length = (int)size;
    return (char *)out;
}

static bool encode_str(struct pg_encoded *out, int index, enum pg_type type, const struct str *text)
{
    if (text->len >= PG_VALUE_BYTES_MAX)
        return false;
    if (type == PG_TYPE_JSONB) {
        out->owned[index] = malloc(text->len + 1);
        CHECK(out->owned[index]);
        put_value((unsigned char *)out->owned[index], type, text);
        out->values[index] = out->owned[index];
        out->lengths[index] = (int)text->len + 1;
    } else {
        out->values[index] = text->ptr ? text->ptr : "";
        out->lengths[index] = (int)text->len;
    }
    return true;
}

static bool encode_field(struct pg_encoded *out, int index, const struct pg_field *field, const void *value)
{
    bool nullable = field->flags & PG_FIELD_NULLABLE;
    if (field->flags & PG_FIELD_ARRAY) {
        struct any_array array;
        memcpy(&array, value, sizeof array);
        if (nullable && !array.items)
            return true;
        out->values[index] = out->owned[index] = encode_array(field, &array, &out->lengths[index]);
        return out->owned[index] != NULL;
    } else if (holds_str(field->type)) {
        const struct str *text = value;
        if (!nullable || text->ptr)
            return encode_str(out, index, field->type, text);
    } else {
        if (nullable) {
            if (!*(const bool *)value)
                return true;
            value = (const char *)value + types[field->type].optional_offset;
        }
        if (field->type == PG_TYPE_UUID) {
            out->values[index] = value;
            out->lengths[index] = 16;
        } else {
            out->values[index] = (const char *)out->scratch[index];
            out->lengths[index] = (int)put_fixed(out->scratch[index], field->type, value);
        }
    }
    return true;
}

bool pg_encode(struct pg_encoded *out, const struct pg_field *fields, int count, const void *args)
{
    CHECK(count >= 0 && count <= PG_PARAMS_MAX);
    bool fits = true;
    for (int i = 0; i < count; i++) {
        out->values[i] = NULL;
        out->owned[i] = NULL;
        out->lengths[i] = 0;
        out->formats[i] = 1;
        fits &= encode_field(out, i, &fields[i], (const char *)args + fields[i].offset);
    }
    out->params = (struct pg_params){
        .count = count, .values = out->values, .lengths = out->lengths, .formats = out->formats};
    return fits;
}

void pg_encoded_free(struct pg_encoded *encoded)
{
    for (int i = 0; i < encoded->params.count; i++)
        free(encoded->owned[i]);
}

/* ---- decoding ---- */

static uint32_t get32(const unsigned char *in)
{
    uint32_t value;
    memcpy(&value, in, sizeof value);
    return be32toh(value);
}

/* These return false for what is not of the declared type. */
static bool decode_value(enum pg_type type, const unsigned char *in, size_t len, struct arena *arena,
                         void *out)
{
    uint16_t two;
    uint32_t four;
    uint64_t eight;
    if (type == PG_TYPE_JSONB) {
        if (len < 1 || in[0] != 1)
            return false;
        in++;
        len--;
    }
    if (holds_str(type)) {
        /* One byte more, so that an empty text has an address and is not taken for a NULL. */
        char *copy = arena_bytes(arena, len + 1);
        memcpy(copy, in, len);
        copy[len] = '\0';
        *(struct str *)out = (struct str){copy, len};
        return true;
    }
    if (len != types[type].size)
        return false;
    switch (len) {
    case 1:
        *(bool *)out = in[0] != 0;
        break;
    case 2:
        memcpy(&two, in, 2);
        *(int16_t *)out = (int16_t)be16toh(two);
        break;
    case 4:
        memcpy(&four, in, 4);
        *(int32_t *)out = (int32_t)be32toh(four);
        break;
    case 8:
        memcpy(&eight, in, 8);
        *(int64_t *)out = type == PG_TYPE_TIMESTAMPTZ ? timestamp_from_pg((int64_t)be64toh(eight))
                                                      : (int64_t)be64toh(eight);
        break;
    default:
        memcpy(out, in, 16);
    }
    return true;
}

static bool decode_optional(enum pg_type type, const unsigned char *in, size_t len, struct arena *arena,
                            void *out)
{
    if (holds_str(type))
        return decode_value(type, in, len, arena, out);
    *(bool *)out = true;
    return decode_value(type, in, len, arena, (char *)out + types[type].optional_offset);
}

static bool decode_array(const struct pg_field *field, const unsigned char *in, size_t len,
                         struct arena *arena, void *out)
{
    bool item_nullable = field->flags & PG_FIELD_ITEM_NULLABLE;
    size_t item_size = item_nullable ? types[field->type].optional_size : types[field->type].size;
    if (len < 12)
        return false;
    uint32_t dimensions = get32(in);
    if (dimensions == 0) {
        struct any_array empty = {arena_alloc(arena, 1), 0};
        memcpy(out, &empty, sizeof empty);
        return true;
    }
    if (dimensions != 1 || len < 20)
        return false;
    size_t count = get32(in + 12);
    if (count > PG_ARRAY_ITEMS_MAX || count > (len - 20) / 4)
        return false;
    char *items = arena_alloc(arena, item_size * count + 1);
    size_t at = 20;
    for (size_t i = 0; i < count; i++) {
        if (len - at < 4)
            return false;
        uint32_t bytes = get32(in + at);
        at += 4;
        if (bytes == UINT32_MAX && item_nullable)
            continue; /* the arena's zeroes are an absent value */
        if (bytes > len - at)
            return false;
        char *item = items + i * item_size;
        if (!(item_nullable ? decode_optional(field->type, in + at, bytes, arena, item)
                            : decode_value(field->type, in + at, bytes, arena, item)))
            return false;
        at += bytes;
    }
    struct any_array array = {items, count};
    memcpy(out, &array, sizeof array);
    return at == len;
}

static bool decode_column(const struct pg_field *field, const unsigned char *in, size_t len,
                          struct arena *arena, void *out)
{
    if (field->flags & PG_FIELD_ARRAY)
        return decode_array(field, in, len, arena, out);
    if (field->flags & PG_FIELD_NULLABLE)
        return decode_optional(field->type, in, len, arena, out);
    return decode_value(field->type, in, len, arena, out);
}

bool pg_decode_row(const struct pg_field *columns, int column_count, const PGresult *result, int row_index,
                   struct arena *arena, void *row)
{
    for (int i = 0; i < column_count; i++) {
        const struct pg_field *field = &columns[i];
        void *out = (char *)row + field->offset;
        bool is_null = PQgetisnull(result, row_index, i);
        if (is_null && field->flags & PG_FIELD_NULLABLE)
            continue; /* rows are zeroed, and zeroes are an absent value */
        const unsigned char *in = (const unsigned char *)PQgetvalue(result, row_index, i);
        size_t len = (size_t)PQgetlength(result, row_index, i);
        if (!is_null && decode_column(field, in, len, arena, out))
            continue;
        log_write(LOG_ERROR, "a value is not what its query declares", LOG_TEXT("column", field->name),
                  LOG_BOOL("null", is_null));
        return false;
    }
    return true;
}

/* ---- whole queries ---- */

enum error_code pg_queue(struct pg *db, const struct pg_query *query, const void *args)
{
    struct pg_encoded encoded;
    enum error_code code = pg_encode(&encoded, query->params, query->statement.param_count, args)
                               ? pg_query_send(db, &query->statement, &encoded.params)
                               : pg_query_refuse(db, &query->statement);
    pg_encoded_free(&encoded);
    return code;
}

/* ERR_INTERNAL where the result is not of the declared shape. */
static enum error_code misfit(const struct pg_query *query, const char *what)
{
    log_write(LOG_ERROR, what, LOG_TEXT("statement", query->statement.name),
              LOG_TEXT("file", query->statement.file), LOG_INT("line", query->statement.line));
    return ERR_INTERNAL;
}

static enum error_code check_columns(const struct pg_query *query, const PGresult *result)
{
    bool fits = PQnfields(result) == query->column_count;
    for (int i = 0; fits && i < query->column_count; i++)
        fits = PQfformat(result, i) == 1 && pg_field_reads(&query->columns[i], PQftype(result, i));
    return fits ? ERR_OK : misfit(query, "columns are not what their query declares");
}

enum error_code pg_fetch_one(struct pg *db, const struct pg_query *query, struct arena *arena, void *row,
                             bool *found)
{
    PGresult *result = NULL;
    *found = false;
    memset(row, 0, query->row_size);
    enum error_code code = pg_query_result(db, &result);
    if (!code)
        code = check_columns(query, result);
    int rows = code ? 0 : PQntuples(result);
    if (rows > 1)
        code = misfit(query, "a query that finds one row found more");
    else if (rows == 1 && pg_decode_row(query->columns, query->column_count, result, 0, arena, row))
        *found = true;
    else if (rows == 1)
        code = misfit(query, "a row does not fit its query");
    if (code)
        memset(row, 0, query->row_size);
    PQclear(result);
    return code;
}

enum error_code pg_fetch_many(struct pg *db, const struct pg_query *query, struct arena *arena, void **items,
                              size_t *count)
{
    PGresult *result = NULL;
    *items = NULL;
    *count = 0;
    enum error_code code = pg_query_result(db, &result);
    if (!code)
        code = check_columns(query, result);
    if (!code) {
        int rows = PQntuples(result);
        char *out = arena_alloc(arena, query->row_size * (size_t)rows + 1);
        for (int i = 0; !code && i < rows; i++)
            if (!pg_decode_row(query->columns, query->column_count, result, i, arena,
                               out + (size_t)i * query->row_size))
                code = misfit(query, "a row does not fit its query");
        if (!code) {
            *items = out;
            *count = (size_t)rows;
        }
    }
    PQclear(result);
    return code;
}

enum error_code pg_fetch_affected(struct pg *db, const struct pg_query *query, int64_t *affected)
{
    PGresult *result = NULL;
    (void)query;
    enum error_code code = pg_query_result(db, &result);
    if (affected) {
        *affected = 0;
        if (code == ERR_OK)
            str_to_int64(str_from(PQcmdTuples(result)), affected);
    }
    PQclear(result);
    return code;
}
