/* Rows as a server might send them, whatever they hold, and arguments as requests might bring them. Decoding
 * and encoding succeed or fail, and do nothing else; what was encoded comes back. The first byte chooses the
 * type, the second its flags. */
#include "base/check.h"
#include "base/log.h"
#include "pg/pg_codec.h"

#include <stdlib.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define TYPES ((unsigned)PG_TYPE_TIMESTAMPTZ + 1)

/* Large enough for every type: arrays are {items, count}. */
struct value {
    _Alignas(16) unsigned char bytes[64];
};

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    log_start(LOG_ERROR, "/dev/null", (struct log_bounds){0});
    return 0;
}

static PGresult *result_of(const char *bytes, int len)
{
    PGresAttDesc column = {.name = "x", .format = 1};
    PGresult *result = PQmakeEmptyPGresult(NULL, PGRES_TUPLES_OK);
    CHECK(result && PQsetResultAttrs(result, 1, &column));
    CHECK(PQsetvalue(result, 0, 0, (char *)(uintptr_t)bytes, len));
    return result;
}

static bool decode(const struct pg_field *field, const char *bytes, int len, struct arena *arena,
                   struct value *value)
{
    memset(value, 0, sizeof *value);
    PGresult *result = result_of(bytes, len);
    bool taken = pg_decode_row(field, 1, result, 0, arena, value);
    PQclear(result);
    return taken;
}

/* What was decoded is encoded, and that is decoded to something which is encoded the same. */
static void there_and_back(const struct pg_field *field, const struct value *value, struct arena *arena)
{
    struct pg_encoded first, second;
    struct value again;
    CHECK(pg_encode(&first, field, 1, value));
    if (first.values[0]) {
        CHECK(decode(field, first.values[0], first.lengths[0], arena, &again));
        CHECK(pg_encode(&second, field, 1, &again));
        CHECK(first.lengths[0] == second.lengths[0]);
        CHECK(memcmp(first.values[0], second.values[0], (size_t)first.lengths[0]) == 0);
        pg_encoded_free(&second);
    }
    pg_encoded_free(&first);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    struct pg_field field = {.name = "x", .type = (enum pg_type)(data[0] % TYPES), .flags = data[1] & 7};
    if (!(field.flags & PG_FIELD_ARRAY))
        field.flags &= PG_FIELD_NULLABLE;
    struct arena *arena = arena_new();
    struct value value = {{0}};
    if (decode(&field, (const char *)data + 2, (int)size - 2, arena, &value))
        there_and_back(&field, &value, arena);
    /* As an argument: numbers and times of any bits. */
    if (!(field.flags & PG_FIELD_ARRAY) && field.type != PG_TYPE_BOOL && size >= 18) {
        struct pg_encoded encoded;
        bool text = field.type >= PG_TYPE_TEXT && field.type <= PG_TYPE_BYTEA;
        memset(&value, 0, sizeof value);
        if (text)
            *(struct str *)(void *)&value = (struct str){(const char *)data + 2, size - 2};
        else
            memcpy(value.bytes + (field.flags ? 8 : 0), data + 2, 16);
        if (field.flags && !text)
            value.bytes[0] = 1;
        CHECK(pg_encode(&encoded, &field, 1, &value));
        CHECK(encoded.lengths[0] >= 0);
        pg_encoded_free(&encoded);
    }
    arena_free(arena);
    return 0;
}
