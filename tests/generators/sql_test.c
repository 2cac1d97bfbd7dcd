/* What the SQL generator makes of fixture.sql, against a real PostgreSQL: TEST_DATABASE_URL names one
 * where temporary tables may be made. The codec's tests that need none run without it. */
#include "app/sql_check.h"
#include "base/check.h"
#include "fixture_sql.h"
#include "sql_catalogue.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static struct arena *arena;
static struct pg *db;

#define AT_US INT64_C(1772328600123456) /* 2026-03-01T01:30:00.123456Z */

static void need_database(void)
{
    if (!db)
        skip();
}

static void assert_str(struct str actual, const char *expected)
{
    assert_non_null(actual.ptr);
    assert_int_equal(actual.len, strlen(expected));
    assert_memory_equal(actual.ptr, expected, actual.len);
}

static void every_type_comes_back(void **state)
{
    (void)state;
    need_database();
    struct fixture_echo_args args = {.b = true,
                                     .i2 = INT16_MIN,
                                     .i4 = INT32_MIN,
                                     .i8 = INT64_MAX,
                                     .t = STR("\xE7\x87\x88 'quoted'"),
                                     .j = STR("{\"a\": 1}"),
                                     .jb = STR("[1, \"x\"]"),
                                     .raw = {"\0\xff\0", 3},
                                     .u = uuid_new(),
                                     .order_id = order_id_new(),
                                     .at = AT_US};
    struct fixture_echo_row row;
    bool found = false;
    assert_int_equal(fixture_echo(db, arena, args, &row, &found), ERR_OK);
    assert_true(found && row.b);
    assert_int_equal(row.i2, INT16_MIN);
    assert_int_equal(row.i4, INT32_MIN);
    assert_true(row.i8 == INT64_MAX && row.at == AT_US);
    assert_str(row.t, "\xE7\x87\x88 'quoted'");
    assert_str(row.j, "{\"a\": 1}");
    assert_str(row.jb, "[1, \"x\"]");
    assert_int_equal(row.raw.len, 3);
    assert_memory_equal(row.raw.ptr, "\0\xff\0", 3);
    assert_true(uuid_equal(row.u, args.u) && order_id_equal(row.order_id, args.order_id));
    /* A text that may not be NULL and has no bytes is the empty text. Times before 2000 and without end. */
    args.t = args.raw = STR_NONE;
    args.at = -1;
    assert_int_equal(fixture_echo(db, arena, args, &row, &found), ERR_OK);
    assert_str(row.t, "");
    assert_true(row.at == -1);
    args.at = INT64_MAX;
    assert_int_equal(fixture_echo(db, arena, args, &row, &found), ERR_OK);
    assert_true(row.at == INT64_MAX);
}

static void nulls_and_values_that_may_be_null(void **state)
{
    (void)state;
    need_database();
    struct fixture_echo_null_row row;
    bool found;
    assert_int_equal(fixture_echo_null(db, arena, (struct fixture_echo_null_args){0}, &row, &found), ERR_OK);
    assert_true(found);
    assert_false(row.b.present || row.i2.present || row.i4.present || row.i8.present || row.u.present ||
                 row.order_id.present || row.at.present);
    assert_null(row.t.ptr);
    assert_null(row.j.ptr);
    assert_null(row.jb.ptr);
    assert_null(row.raw.ptr);
    assert_null(row.list.items);
    struct str none_at_all[1];
    struct fixture_echo_null_args args = {.b = opt_bool(false),
                                          .i2 = {true, -2},
                                          .i4 = opt_int32(4),
                                          .i8 = opt_int64(-8),
                                          .t = STR(""),
                                          .j = STR("null"),
                                          .jb = STR("{}"),
                                          .raw = STR(""),
                                          .u = {true, uuid_new()},
                                          .order_id = opt_order_id(order_id_new()),
                                          .at = opt_int64(AT_US),
                                          .list = {none_at_all, 0}};
    assert_int_equal(fixture_echo_null(db, arena, args, &row, &found), ERR_OK);
    assert_true(row.b.present && !row.b.value && row.i2.present && row.i2.value == -2 && row.i4.value == 4);
    assert_true(row.i8.present && row.i8.value == -8 && row.at.present && row.at.value == AT_US);
    assert_str(row.t, "");
    assert_str(row.j, "null");
    assert_str(row.jb, "{}");
    assert_str(row.raw, "");
    assert_true(row.u.present && uuid_equal(row.u.value, args.u.value));
    assert_true(row.order_id.present && order_id_equal(row.order_id.value, args.order_id.value));
    assert_non_null(row.list.items);
    assert_int_equal(row.list.count, 0);
}

static void arrays_of_every_type(void **state)
{
    (void)state;
    need_database();
    bool b[] = {true, false};
    int16_t i2[] = {-1, 2};
    int32_t i4[] = {INT32_MAX};
    int64_t i8[] = {1, 2, 3}, at[] = {0, AT_US};
    struct str t[] = {STR("a"), STR(""), STR("{,\"}")}, j[] = {STR("1"), STR("\"x\"")}, raw[] = {{"\0", 1}};
    struct uuid u[] = {uuid_new(), uuid_new()};
    struct order_id ids[] = {order_id_new()};
    struct fixture_echo_array_args args = {.b = {b, 2},
                                           .i2 = {i2, 2},
                                           .i4 = {i4, 1},
                                           .i8 = {i8, 3},
                                           .t = {t, 3},
                                           .j = {j, 2},
                                           .jb = {j, 2},
                                           .raw = {raw, 1},
                                           .u = {u, 2},
                                           .order_ids = {ids, 1},
                                           .at = {at, 2}};
    struct fixture_echo_array_row row;
    bool found;
    assert_int_equal(fixture_echo_array(db, arena, args, &row, &found), ERR_OK);
    assert_true(row.b.count == 2 && row.b.items[0] && !row.b.items[1]);
    assert_true(row.i2.count == 2 && row.i2.items[0] == -1);
    assert_true(row.i4.count == 1 && row.i4.items[0] == INT32_MAX);
    assert_true(row.i8.count == 3 && row.i8.items[2] == 3);
    assert_int_equal(row.t.count, 3);
    assert_str(row.t.items[1], "");
    assert_str(row.t.items[2], "{,\"}");
    assert_str(row.jb.items[1], "\"x\"");
    assert_int_equal(row.raw.items[0].len, 1);
    assert_true(row.u.count == 2 && uuid_equal(row.u.items[1], u[1]));
    assert_true(row.order_ids.count == 1 && order_id_equal(row.order_ids.items[0], ids[0]));
    assert_true(row.at.count == 2 && row.at.items[0] == 0 && row.at.items[1] == AT_US);
    assert_int_equal(fixture_echo_array(db, arena, (struct fixture_echo_array_args){0}, &row, &found),
                     ERR_OK);
    assert_true(row.t.count == 0 && row.t.items && row.i8.count == 0);
}

static void arrays_with_holes(void **state)
{
    (void)state;
    need_database();
    struct opt_int64 numbers[] = {{false, 0}, opt_int64(7)};
    struct str texts[] = {STR("a"), STR_NONE, STR("")};
    struct opt_order_id ids[] = {{0}, opt_order_id(order_id_new())};
    struct fixture_echo_holes_row row;
    bool found;
    struct fixture_echo_holes_args args = {.numbers = {numbers, 2}, .texts = {texts, 3}, .ids = {ids, 2}};
    assert_int_equal(fixture_echo_holes(db, arena, args, &row, &found), ERR_OK);
    assert_true(row.numbers.count == 2 && !row.numbers.items[0].present && row.numbers.items[1].value == 7);
    assert_int_equal(row.texts.count, 3);
    assert_null(row.texts.items[1].ptr);
    assert_str(row.texts.items[2], "");
    assert_true(!row.ids.items[0].present && row.ids.items[1].present);
    assert_true(order_id_equal(row.ids.items[1].value, ids[1].value));
}

static void the_server_sees_what_was_meant(void **state)
{
    (void)state;
    need_database();
    struct str texts[] = {STR("a b"), STR_NONE};
    int32_t numbers[] = {1, 2, 3};
    struct fixture_as_text_args args = {
        .at = AT_US, .jb = STR("{\"b\":1,\"a\":2}"), .texts = {texts, 2}, .numbers = {numbers, 3}};
    assert_true(uuid_parse(STR("0192f3c4-a5b6-7c8d-9e0f-1a2b3c4d5e6f"), &args.u));
    struct fixture_as_text_row row;
    bool found;
    assert_int_equal(fixture_as_text(db, arena, args, &row, &found), ERR_OK);
    assert_str(row.at, "2026-03-01 01:30:00.123456+00");
    assert_str(row.jb, "{\"a\": 2, \"b\": 1}");
    assert_str(row.u, "0192f3c4-a5b6-7c8d-9e0f-1a2b3c4d5e6f");
    assert_str(row.texts, "{\"a b\",NULL}");
    assert_str(row.numbers, "{1,2,3}");
    assert_str(row.slice, "{1,2}");
}

static void many_rows_and_none(void **state)
{
    (void)state;
    need_database();
    struct fixture_series_rows rows;
    assert_int_equal(fixture_series(db, arena, (struct fixture_series_args){1, 3}, &rows), ERR_OK);
    assert_int_equal(rows.count, 3);
    assert_null(rows.items[0].word.ptr);
    assert_str(rows.items[1].word, ":even");
    assert_true(rows.items[2].n == 3 && rows.items[2].default_ && !rows.items[0].default_);
    assert_int_equal(fixture_series(db, arena, (struct fixture_series_args){1, 0}, &rows), ERR_OK);
    assert_int_equal(rows.count, 0);
    struct fixture_char_row text;
    bool found;
    assert_int_equal(fixture_char(db, arena, &text, &found), ERR_OK);
    assert_str(text.currency, "HKD");
    assert_str(text.mood, "high");
    assert_str(text.name, "x");
}

static void affected_rows(void **state)
{
    (void)state;
    need_database();
    int64_t ids[] = {1, 2, 3}, affected = -1;
    struct str notes[] = {STR("x"), STR_NONE, STR("")};
    assert_int_equal(fixture_make(db, NULL), ERR_OK);
    assert_int_equal(fixture_put(db, (struct fixture_put_args){{ids, 3}, {notes, 3}}, &affected), ERR_OK);
    assert_int_equal(affected, 3);
    struct fixture_count_row count;
    bool found;
    assert_int_equal(fixture_count(db, arena, &count, &found), ERR_OK);
    assert_true(count.rows == 3 && count.notes == 2);
    /* The same again: the key is taken, nothing is affected. */
    assert_int_equal(fixture_put(db, (struct fixture_put_args){{ids, 3}, {notes, 3}}, &affected),
                     ERR_DATABASE_CONSTRAINT);
    assert_int_equal(affected, 0);
}

static void errors_leave_outputs_empty(void **state)
{
    (void)state;
    need_database();
    struct fixture_fail_row row;
    bool found = true;
    assert_int_equal(fixture_fail(db, arena, (struct fixture_fail_args){0}, &row, &found), ERR_INTERNAL);
    assert_false(found);
    assert_string_equal(pg_error(db)->sqlstate, "22012");
    assert_int_equal(fixture_fail(db, arena, (struct fixture_fail_args){1}, &row, &found), ERR_OK);
    assert_true(found && row.quotient == 1);
}

/* Halves in a pipeline, each statement used for the first time on its connection, one of them twice. */
static void pipelines(void **state)
{
    (void)state;
    need_database();
    pg_disconnect(db);
    struct fixture_series_rows rows;
    struct fixture_fail_row row;
    bool found;
    assert_int_equal(pg_pipeline_begin(db), ERR_OK);
    assert_int_equal(fixture_series_queue(db, (struct fixture_series_args){1, 2}), ERR_OK);
    assert_int_equal(fixture_series_queue(db, (struct fixture_series_args){5, 5}), ERR_OK);
    assert_int_equal(fixture_fail_queue(db, (struct fixture_fail_args){1}), ERR_OK);
    assert_int_equal(pg_pipeline_sync(db), ERR_OK);
    assert_int_equal(fixture_series_fetch(db, arena, &rows), ERR_OK);
    assert_int_equal(rows.count, 2);
    assert_int_equal(fixture_series_fetch(db, arena, &rows), ERR_OK);
    assert_true(rows.count == 1 && rows.items[0].n == 5);
    assert_int_equal(fixture_fail_fetch(db, arena, &row, &found), ERR_OK);
    assert_int_equal(pg_pipeline_end(db), ERR_OK);
    /* A failure takes those behind it along; the next pipeline works again, also with statements whose
     * preparation was skipped by the failure. */
    pg_disconnect(db);
    assert_int_equal(pg_pipeline_begin(db), ERR_OK);
    assert_int_equal(fixture_fail_queue(db, (struct fixture_fail_args){0}), ERR_OK);
    assert_int_equal(fixture_series_queue(db, (struct fixture_series_args){1, 2}), ERR_OK);
    assert_int_equal(pg_pipeline_sync(db), ERR_OK);
    assert_int_equal(fixture_fail_fetch(db, arena, &row, &found), ERR_INTERNAL);
    assert_int_not_equal(fixture_series_fetch(db, arena, &rows), ERR_OK);
    assert_int_not_equal(pg_pipeline_end(db), ERR_OK);
    assert_int_equal(pg_pipeline_begin(db), ERR_OK);
    assert_int_equal(fixture_series_queue(db, (struct fixture_series_args){1, 2}), ERR_OK);
    assert_int_equal(fixture_fail_queue(db, (struct fixture_fail_args){1}), ERR_OK);
    assert_int_equal(pg_pipeline_sync(db), ERR_OK);
    assert_int_equal(fixture_series_fetch(db, arena, &rows), ERR_OK);
    assert_int_equal(rows.count, 2);
    assert_int_equal(fixture_fail_fetch(db, arena, &row, &found), ERR_OK);
    assert_int_equal(pg_pipeline_end(db), ERR_OK);
}

static void sql_check_finds_what_is_wrong(void **state)
{
    (void)state;
    need_database();
    pg_disconnect(db);
    assert_int_equal(fixture_make(db, NULL), ERR_OK);
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    assert_non_null(out);
    assert_int_equal(sql_check(db, out), 1);
    fclose(out);
    assert_string_equal(
        text, "tests/generators/wrong.sql:2: wrong_type: column n is bigint, but declared int4\n"
              "tests/generators/wrong.sql:6: wrong_name: column 1 is named sum, but declared total\n"
              "tests/generators/wrong.sql:10: wrong_count: returns 2 columns, but declares 1\n"
              "tests/generators/wrong.sql:14: wrong_table: relation \"no_such_table\" does not exist, near: "
              "no_such_table "
              "WHERE id = $1\n"
              "tests/generators/wrong.sql:17: wrong_operator: operator does not exist: uuid = text, near: = "
              "$1 AS found "
              "(No operator matches the given name and argument types. You might need to add explicit type "
              "casts.)\n"
              "tests/generators/wrong.sql:21: wrong_null: note: column rolvaliduntil of pg_authid may be "
              "NULL, but is "
              "declared without '?'\n"
              "sql-check: 19 queries, 5 faults, 1 notes\n");
    free(text);
}

/* Without a database: what the encoder writes, byte for byte. */
static void wire_format(void **state)
{
    (void)state;
    struct {
        int64_t at;
        struct str json;
        struct int32_array numbers;
        struct opt_int64 none;
    } args;
    int32_t numbers[] = {1, -1};
    memset(&args, 0, sizeof args);
    args.at = INT64_C(946684800000001);
    args.json = STR("{}");
    args.numbers = (struct int32_array){numbers, 2};
    const struct pg_field fields[] = {
        {"at", PG_TYPE_TIMESTAMPTZ, 0, 0, 1184},
        {"json", PG_TYPE_JSONB, 0, (size_t)((char *)&args.json - (char *)&args), 3802},
        {"numbers", PG_TYPE_INT4, PG_FIELD_ARRAY, (size_t)((char *)&args.numbers - (char *)&args), 1007},
        {"none", PG_TYPE_INT8, PG_FIELD_NULLABLE, (size_t)((char *)&args.none - (char *)&args), 20},
    };
    struct pg_encoded encoded;
    assert_true(pg_encode(&encoded, fields, 4, &args));
    assert_int_equal(encoded.params.count, 4);
    assert_int_equal(encoded.lengths[0], 8);
    assert_memory_equal(encoded.values[0], "\0\0\0\0\0\0\0\1", 8);
    assert_int_equal(encoded.lengths[1], 3);
    assert_memory_equal(encoded.values[1], "\1{}", 3);
    assert_int_equal(encoded.lengths[2], 36);
    assert_memory_equal(encoded.values[2],
                        "\0\0\0\1\0\0\0\0\0\0\0\x17\0\0\0\2\0\0\0\1\0\0\0\4\0\0\0\1\0\0\0\4\xff\xff\xff\xff",
                        36);
    assert_null(encoded.values[3]);
    assert_int_equal(encoded.formats[3], 1);
    pg_encoded_free(&encoded);
}

static enum error_code echo_with(struct fixture_echo_args args)
{
    struct fixture_echo_row row;
    bool found;
    args.j = args.j.ptr ? args.j : STR("1");
    args.jb = args.jb.ptr ? args.jb : STR("1");
    return fixture_echo(db, arena, args, &row, &found);
}

/* What a request, a partner or a row may bring reaches no abort(), and the connection is as good as before.
 */
static void values_that_the_database_cannot_take(void **state)
{
    (void)state;
    need_database();
    const int64_t times[] = {INT64_MIN + 1, INT64_MIN + AT_US / 4, INT64_MIN + AT_US,
                             -INT64_C(300000000000000000)};
    for (size_t i = 0; i < sizeof times / sizeof *times; i++)
        assert_int_equal(echo_with((struct fixture_echo_args){.at = times[i]}), ERR_VALIDATION);
    assert_int_equal(echo_with((struct fixture_echo_args){.at = INT64_MIN}), ERR_OK);
    assert_int_equal(echo_with((struct fixture_echo_args){.at = INT64_MAX - 1}), ERR_OK);
    assert_int_equal(echo_with((struct fixture_echo_args){.t = {"a\0b", 3}}), ERR_VALIDATION);
    assert_int_equal(echo_with((struct fixture_echo_args){.t = STR("\xff\xfe")}), ERR_VALIDATION);
    assert_int_equal(echo_with((struct fixture_echo_args){.t = STR("\xed\xa0\x80")}), ERR_VALIDATION);
    assert_int_equal(echo_with((struct fixture_echo_args){.j = STR("{")}), ERR_VALIDATION);
    assert_int_equal(echo_with((struct fixture_echo_args){.jb = STR("\"\\u0000\"")}), ERR_VALIDATION);
    assert_int_equal(echo_with((struct fixture_echo_args){.jb = STR("")}), ERR_VALIDATION);
    assert_int_equal(echo_with((struct fixture_echo_args){.t = STR("well")}), ERR_OK);
}

static enum error_code refuse_within(struct pg *with, void *context)
{
    int32_t *calls = context;
    ++*calls;
    static const int32_t items[1];
    struct fixture_as_text_args args = {.jb = STR("1"), .numbers = {items, PG_ARRAY_ITEMS_MAX + 1}};
    assert_int_equal(fixture_as_text_queue(with, args), ERR_VALIDATION);
    return ERR_VALIDATION;
}

static void values_that_are_too_large_are_not_sent(void **state)
{
    (void)state;
    need_database();
    int32_t calls = 0;
    assert_int_equal(refuse_within(db, &calls), ERR_VALIDATION);
    assert_int_equal(pg_transaction(db, refuse_within, &calls), ERR_VALIDATION);
    assert_int_equal(calls, 2);
    assert_int_equal(echo_with((struct fixture_echo_args){.t = STR("well")}), ERR_OK);
}

static void rows_that_are_not_as_declared(void **state)
{
    (void)state;
    need_database();
    struct fixture_unlike_row row;
    bool found;
    assert_int_equal(fixture_unlike(db, arena, (struct fixture_unlike_args){2, 1}, &row, &found), ERR_OK);
    assert_true(found && row.n == 1 && row.list.count == 2);
    assert_int_equal(fixture_unlike(db, arena, (struct fixture_unlike_args){1, 1}, &row, &found),
                     ERR_INTERNAL);
    assert_true(!found && row.n == 0 && !row.list.items);
    assert_int_equal(fixture_unlike(db, arena, (struct fixture_unlike_args){9, 2}, &row, &found),
                     ERR_INTERNAL);
    assert_false(found);
    assert_int_equal(fixture_unlike(db, arena, (struct fixture_unlike_args){2, 1}, &row, &found), ERR_OK);
}

static void catalogue(void **state)
{
    (void)state;
    assert_int_equal(sql_catalogue_count, SQL_STATEMENT_COUNT);
    assert_string_equal(sql_catalogue[0]->statement.name, "fixture_echo");
    assert_string_equal(sql_catalogue[0]->statement.file, "tests/generators/fixture.sql");
    assert_int_equal(sql_catalogue[0]->statement.line, 2);
    assert_int_equal(sql_catalogue[0]->statement.param_count, 11);
    assert_int_equal(sql_catalogue[0]->column_count, 11);
}

static int set_up(void **state)
{
    (void)state;
    const char *url = getenv("TEST_DATABASE_URL");
    arena = arena_new();
    db = url ? pg_new(url, "sql_test", NULL) : NULL;
    if (!url)
        print_message("TEST_DATABASE_URL is not set: tests that need a database are skipped\n");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    pg_free(db);
    arena_free(arena);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wire_format),
        cmocka_unit_test(values_that_the_database_cannot_take),
        cmocka_unit_test(values_that_are_too_large_are_not_sent),
        cmocka_unit_test(rows_that_are_not_as_declared),
        cmocka_unit_test(catalogue),
        cmocka_unit_test(every_type_comes_back),
        cmocka_unit_test(nulls_and_values_that_may_be_null),
        cmocka_unit_test(arrays_of_every_type),
        cmocka_unit_test(arrays_with_holes),
        cmocka_unit_test(the_server_sees_what_was_meant),
        cmocka_unit_test(many_rows_and_none),
        cmocka_unit_test(affected_rows),
        cmocka_unit_test(errors_leave_outputs_empty),
        cmocka_unit_test(pipelines),
        cmocka_unit_test(sql_check_finds_what_is_wrong),
    };
    return cmocka_run_group_tests_name("SQL generator", tests, set_up, tear_down);
}
