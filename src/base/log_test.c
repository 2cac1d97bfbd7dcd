#include "base/log.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <setjmp.h>

#include <cmocka.h>
#include <jansson.h>

/* What partners, databases and attackers put into their words. */
static const struct str nasty[] = {
    STR("plain"),
    STR(""),
    STR("a \"quoted\" word"),
    STR("a\\b\\"),
    STR("two\nlines\r\nand a third"),
    STR("\",\"level\":\"error\",\"x\":\""),
    STR("\x01\x02\x1b[31mred\x7f"),
    STR("nul\0inside"),
    STR("\xf0\x9f\x98\x80 \xe5\x9b\xbd\xe6\xb3\xb0"),
    STR("\xe2\x80\xae\xe2\x80\x8b\xe2\x80\xa8"),
    STR("%s%n%d %.*s"),
};

static char path[] = "/tmp/log_test_XXXXXX";

static int begin(void **state)
{
    (void)state;
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    log_start(LOG_DEBUG, path,
              (struct log_bounds){.bytes_per_s = 10000000, .file_bytes = 10000000, .files = 1});
    return 0;
}

/* Stops the log and returns its lines, parsed. */
static json_t *lines_read(void)
{
    log_stop();
    json_t *lines = json_array();
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    char *line = NULL;
    size_t size = 0;
    for (ssize_t length; (length = getline(&line, &size, file)) > 0;) {
        assert_true((size_t)length <= LOG_LINE_MAX);
        json_t *object = json_loadb(line, (size_t)length, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
        assert_non_null(object);
        json_array_append_new(lines, object);
    }
    free(line);
    fclose(file);
    unlink(path);
    memcpy(path + strlen(path) - 6, "XXXXXX", 6);
    return lines;
}

static void whatever_a_value_holds_its_line_is_json(void **state)
{
    (void)state;
    size_t count = sizeof nasty / sizeof nasty[0];
    for (size_t i = 0; i < count; i++)
        log_write(LOG_WARN, "partner said", LOG_STR("detail", nasty[i]), LOG_INT("n", -7),
                  LOG_BOOL("kept", true), LOG_STR("absent", STR_NONE));
    log_context_set(nasty[5], nasty[4]);
    log_write(LOG_INFO, "a \"message\"\n");
    log_context_clear();
    json_t *lines = lines_read();
    assert_int_equal(json_array_size(lines), count + 1);
    for (size_t i = 0; i < count; i++) {
        const json_t *line = json_array_get(lines, i), *detail = json_object_get(line, "detail");
        assert_int_equal(json_string_length(detail), nasty[i].len);
        assert_memory_equal(json_string_value(detail), nasty[i].ptr, nasty[i].len);
        assert_string_equal(json_string_value(json_object_get(line, "level")), "warn");
        assert_int_equal(json_integer_value(json_object_get(line, "n")), -7);
        assert_true(json_is_true(json_object_get(line, "kept")));
        assert_true(json_is_null(json_object_get(line, "absent")));
        assert_null(json_object_get(line, "cut"));
    }
    const json_t *last = json_array_get(lines, count);
    assert_string_equal(json_string_value(json_object_get(last, "message")), "a \"message\"\n");
    assert_string_equal(json_string_value(json_object_get(last, "level")), "info");
    json_decref(lines);
}

static void a_line_that_is_too_long_says_that_it_was_cut(void **state)
{
    (void)state;
    char *text = malloc(LOG_LINE_MAX);
    assert_non_null(text);
    memset(text, 'x', LOG_LINE_MAX);
    memcpy(text + LOG_TEXT_MAX - 1, "\xe5\x9b\xbd", 3); /* the cut falls into a character */
    log_write(LOG_INFO, "long", LOG_STR("detail", ((struct str){text, LOG_LINE_MAX})), LOG_INT("after", 1));
    memset(text, '\x01', LOG_LINE_MAX); /* six bytes each as JSON */
    struct str worst = {text, LOG_LINE_MAX};
    log_write(LOG_INFO, "longest", LOG_STR("a", worst), LOG_STR("b", worst), LOG_INT("after", 1));
    free(text);
    json_t *lines = lines_read();
    assert_int_equal(json_array_size(lines), 2);
    const json_t *line = json_array_get(lines, 0);
    assert_int_equal(json_string_length(json_object_get(line, "detail")), LOG_TEXT_MAX - 1);
    for (size_t i = 0; i < 2; i++) {
        assert_true(json_is_true(json_object_get(json_array_get(lines, i), "cut")));
        assert_int_equal(json_integer_value(json_object_get(json_array_get(lines, i), "after")), 1);
    }
    json_decref(lines);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(whatever_a_value_holds_its_line_is_json, begin),
        cmocka_unit_test_setup(a_line_that_is_too_long_says_that_it_was_cut, begin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
