/* The other half of api_decode.h: values to JSON, and patterns. */
#include "http/api_decode.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/id.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdio.h>

/* Steps of matching that one text may cost; a pattern that needs more does not match. */
#define PATTERN_STEPS_MAX 100000

static void encode_object(struct buf *out, const struct api_schema *schema, const void *value)
{
    bool first = true;
    buf_char(out, '{');
    for (size_t i = 0; i < schema->member_count; i++) {
        const struct api_member *member = &schema->members[i];
        if (member->has_offset >= 0 && !*((const bool *)value + member->has_offset))
            continue;
        if (!first)
            buf_char(out, ',');
        first = false;
        buf_json_str(out, str_from(member->name));
        buf_char(out, ':');
        const void *inner = (const char *)value + member->offset;
        bool holds_str = member->schema->kind == API_KIND_STRING || member->schema->kind == API_KIND_JSON;
        if (member->null_offset >= 0 && (*((const bool *)value + member->null_offset) ||
                                         (holds_str && !((const struct str *)inner)->ptr)))
            BUF_LITERAL(out, "null");
        else
            api_encode(out, member->schema, inner);
    }
    buf_char(out, '}');
}

static void encode_array(struct buf *out, const struct api_schema *schema, const void *value)
{
    struct {
        const void *items;
        size_t count;
    } array;
    memcpy(&array, value, sizeof array);
    buf_char(out, '[');
    for (size_t i = 0; i < array.count; i++) {
        if (i)
            buf_char(out, ',');
        api_encode(out, schema->items, (const char *)array.items + i * schema->item_size);
    }
    buf_char(out, ']');
}

static void encode_enum(struct buf *out, const struct api_schema *schema, int value)
{
    /* Out of a row that a newer release wrote: there is no word for it here, and no answer. */
    if (value < 1 || (size_t)value > schema->member_count)
        out->overflow = true;
    else
        buf_json_str(out, str_from(schema->names[value - 1]));
}

void api_encode(struct buf *out, const struct api_schema *schema, const void *value)
{
    char text[ID_TEXT_MAX > CLOCK_TEXT_MAX ? ID_TEXT_MAX : CLOCK_TEXT_MAX];
    struct str str;
    switch (schema->kind) {
    case API_KIND_STRING:
        str = *(const struct str *)value;
        buf_json_str(out, str.ptr ? str : STR(""));
        break;
    case API_KIND_INTEGER:
        buf_int(out, *(const int64_t *)value);
        break;
    case API_KIND_BOOLEAN:
        buf_append(out, *(const bool *)value ? STR("true") : STR("false"));
        break;
    case API_KIND_ENUM:
        encode_enum(out, schema, *(const int *)value);
        break;
    case API_KIND_DATE_TIME:
        str.len = clock_format(*(const int64_t *)value, text);
        buf_json_str(out, (struct str){text, str.len});
        break;
    case API_KIND_ID:
        str.len = id_format(*(const struct uuid *)value, schema->id_prefix, text);
        buf_json_str(out, (struct str){text, str.len});
        break;
    case API_KIND_JSON:
        str = *(const struct str *)value;
        buf_append(out, str.len ? str : STR("null"));
        break;
    case API_KIND_ARRAY:
        encode_array(out, schema, value);
        break;
    case API_KIND_OBJECT:
        encode_object(out, schema, value);
        break;
    }
}

/* '$' is the very end and \u0041 a character, as in ECMA-262, the dialect of JSON Schema. */
static pcre2_code *compile(const char *source)
{
    int number;
    PCRE2_SIZE offset;
    pcre2_code *code =
        pcre2_compile((PCRE2_SPTR)source, PCRE2_ZERO_TERMINATED,
                      PCRE2_UTF | PCRE2_DOLLAR_ENDONLY | PCRE2_ALT_BSUX | PCRE2_MATCH_UNSET_BACKREF, &number,
                      &offset, NULL);
    if (!code) {
        PCRE2_UCHAR reason[128];
        pcre2_get_error_message(number, reason, sizeof reason);
        fprintf(stderr, "pattern %s: at %zu: %s\n", source, offset, (const char *)reason);
    }
    CHECK(code); /* the contract holds a pattern that PCRE2 does not take */
    return code;
}

void api_pattern_compile(struct api_pattern *pattern)
{
    if (__atomic_load_n(&pattern->compiled, __ATOMIC_ACQUIRE))
        return;
    void *none = NULL;
    pcre2_code *code = compile(pattern->source);
    if (!__atomic_compare_exchange_n(&pattern->compiled, &none, (void *)code, false, __ATOMIC_ACQ_REL,
                                     __ATOMIC_ACQUIRE))
        pcre2_code_free(code); /* another thread was first */
}

bool api_pattern_matches(struct api_pattern *pattern, struct str text)
{
    api_pattern_compile(pattern);
    pcre2_match_data *data = pcre2_match_data_create(1, NULL);
    pcre2_match_context *context = pcre2_match_context_create(NULL);
    CHECK(data && context);
    pcre2_set_match_limit(context, PATTERN_STEPS_MAX);
    int count =
        pcre2_match(__atomic_load_n(&pattern->compiled, __ATOMIC_ACQUIRE),
                    (PCRE2_SPTR)(text.ptr ? text.ptr : ""), text.len, 0, PCRE2_NO_UTF_CHECK, data, context);
    pcre2_match_context_free(context);
    pcre2_match_data_free(data);
    return count >= 0;
}
