/* Typed values to and from PostgreSQL's binary format: what the functions that tools/sql_gen.py writes stand
 * on. A query is described by tables of fields (type, flags, place in the C struct); parameters are encoded
 * from a struct of arguments, rows are decoded into an array of row structs.
 *
 * Nothing here stops the process, since values come from requests, partners and rows that people wrote. A
 * parameter that is too large is ERR_VALIDATION before it is sent; one that PostgreSQL cannot take (a time
 * out of its range, text with NUL or not UTF-8) is refused there, which keeps pipelines in order, and is
 * ERR_VALIDATION too (pg.h). What the server sends is compared with the declared types: another OID, a wrong
 * length, a NULL where none was declared, a second row of a query for one is a bug in a query, logged with
 * its name, and ERR_INTERNAL. `cathay sql-check` finds wrong types beforehand.
 *
 * Wire formats: PostgreSQL 15, src/backend/utils/adt, the *_send and *_recv functions. */
#ifndef CATHAY_PG_PG_CODEC_H
#define CATHAY_PG_PG_CODEC_H

#include "base/arena.h"
#include "base/error.h"
#include "pg/pg.h"
#include "pg/pg_types.h"

#include <libpq-fe.h>
#include <stddef.h>

#define PG_PARAMS_MAX 64
/* Items of one array; a bound against runaway inputs, far above any batch. */
#define PG_ARRAY_ITEMS_MAX 1000000
#define PG_VALUE_BYTES_MAX ((size_t)256 * 1024 * 1024)

enum pg_type {
    PG_TYPE_BOOL,        /* bool */
    PG_TYPE_INT2,        /* int16_t */
    PG_TYPE_INT4,        /* int32_t */
    PG_TYPE_INT8,        /* int64_t */
    PG_TYPE_TEXT,        /* struct str; as a result also varchar, char(n), name and enums */
    PG_TYPE_JSON,        /* struct str */
    PG_TYPE_JSONB,       /* struct str */
    PG_TYPE_BYTEA,       /* struct str */
    PG_TYPE_UUID,        /* struct uuid, struct order_id … */
    PG_TYPE_TIMESTAMPTZ, /* int64_t microseconds since 1970; infinity is INT64_MAX, -infinity INT64_MIN */
};

enum {
    /* The value may be NULL: struct opt_…; for text and the like a struct str with ptr NULL, for arrays items
       NULL. */
    PG_FIELD_NULLABLE = 1,
    PG_FIELD_ARRAY = 2,
    PG_FIELD_ITEM_NULLABLE = 4,
};

struct pg_field {
    const char *name;
    enum pg_type type;
    unsigned flags;
    size_t offset; /* in the struct of arguments or the row */
    Oid oid;
};

struct pg_query {
    struct pg_statement statement;
    const struct pg_field *params; /* statement.param_count of them */
    const struct pg_field *columns;
    int column_count;
    size_t row_size;
};

/* The name of the type as a .sql file has it ("text"), without array and null marks. */
const char *pg_type_name(enum pg_type type);
/* Whether a column with that OID can be read as the field. */
bool pg_field_reads(const struct pg_field *field, Oid oid);

/* Encodes `args` and sends the query; errors as pg_query_send(). Blocks as that does. */
enum error_code pg_queue(struct pg *db, const struct pg_query *query, const void *args);

/* Read the result of the query sent first among those not yet read; errors as pg_query_result(). On an error
 * the outputs are empty: no row found, no rows, none affected. Strings and arrays are copied into the arena.
 */
enum error_code pg_fetch_one(struct pg *db, const struct pg_query *query, struct arena *arena, void *row,
                             bool *found);
enum error_code pg_fetch_many(struct pg *db, const struct pg_query *query, struct arena *arena, void **items,
                              size_t *count);
/* `affected`: rows inserted, updated, deleted or selected; may be NULL. */
enum error_code pg_fetch_affected(struct pg *db, const struct pg_query *query, int64_t *affected);

/* For tests: encodes arguments into params that are valid until pg_encoded_free(), false when one is too
 * large; decodes one row, false when it is not as declared. */
struct pg_encoded {
    struct pg_params params;
    const char *values[PG_PARAMS_MAX];
    int lengths[PG_PARAMS_MAX];
    int formats[PG_PARAMS_MAX];
    unsigned char scratch[PG_PARAMS_MAX][8];
    char *
        owned[PG_PARAMS_MAX]; /* arrays and jsonb, malloc'ed; the rest points into the arguments or scratch */
};
bool pg_encode(struct pg_encoded *out, const struct pg_field *fields, int count, const void *args);
void pg_encoded_free(struct pg_encoded *encoded);
bool pg_decode_row(const struct pg_field *columns, int column_count, const PGresult *result, int row_index,
                   struct arena *arena, void *row);

#endif
