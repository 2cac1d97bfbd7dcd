#include "http/api_decode.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/id.h"
#include "base/json_view.h"

#include <stdio.h>
#include <stdlib.h>

/* All array structs are {items, count}; this one stands for all of them, by memcpy. */
struct any_array {
    const void *items;
    size_t count;
};

/* Where the decoder is: a member's name behind its parent's, or an index. They are put together for a fault
 * only. */
struct place {
    const struct place *parent;
    struct str name; /* STR_NONE: [index] */
    size_t index;
};

struct decoding {
    struct arena *arena;
    struct error *error;
    bool failed;
    const struct place *place;
};

/* What does not fit is cut off. */
static size_t put_path(const struct place *place, char *out, size_t size)
{
    if (!place)
        return 0;
    size_t len = put_path(place->parent, out, size);
    int wanted = place->name.ptr
                     ? snprintf(out + len, size - len, "%s%.*s", len ? "." : "", STR_ARG(place->name))
                     : snprintf(out + len, size - len, "[%zu]", place->index);
    CHECK(wanted >= 0);
    len += (size_t)wanted;
    return len < size ? len : size - 1;
}

static void fault(struct decoding *d, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void fault(struct decoding *d, const char *format, ...)
{
    char reason[sizeof((struct error_field *)0)->reason];
    va_list args;
    va_start(args, format);
    vsnprintf(reason, sizeof reason, format, args);
    va_end(args);
    d->failed = true;
    char path[sizeof((struct error_field *)0)->field];
    error_field_add(d->error, put_path(d->place, path, sizeof path) ? path : "body", "%s", reason);
}

/* ---- checks of texts ---- */

static bool is_alnum(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_one_of(char c, struct str set)
{
    return memchr(set.ptr, c, set.len) != NULL;
}

/* scheme ":" and printable ASCII without what RFC 3986 leaves out. */
static bool is_uri(struct str text)
{
    size_t i = 0;
    while (i < text.len && (is_alnum(text.ptr[i]) || (i && is_one_of(text.ptr[i], STR("+-.")))))
        i++;
    if (i == 0 || i + 1 >= text.len || text.ptr[i] != ':' || (text.ptr[0] >= '0' && text.ptr[0] <= '9'))
        return false;
    for (; i < text.len; i++)
        if (text.ptr[i] <= ' ' || text.ptr[i] >= 0x7f || is_one_of(text.ptr[i], STR("\"<>\\^`{|}")))
            return false;
    return true;
}

static bool has_format(enum api_format format, struct str text)
{
    struct uuid id;
    switch (format) {
    case API_FORMAT_URI:
        return is_uri(text);
    case API_FORMAT_UUID:
        return text.len == 36 && uuid_parse(text, &id);
    case API_FORMAT_NONE:
        break;
    }
    return true;
}

static const char *format_name(enum api_format format)
{
    static const char *const names[] = {"", "a URI", "a UUID"};
    return names[format];
}

static bool check_count(struct decoding *d, const struct api_schema *schema, int64_t count, const char *one,
                        const char *many)
{
    if (count < schema->minimum)
        fault(d, "has fewer than %lld %s", (long long)schema->minimum, schema->minimum == 1 ? one : many);
    else if (count > schema->maximum)
        fault(d, "has more than %lld %s", (long long)schema->maximum, schema->maximum == 1 ? one : many);
    else
        return true;
    return false;
}

static void check_string(struct decoding *d, const struct api_schema *schema, struct str text)
{
    if (!check_count(d, schema, (int64_t)str_code_points(text), "character", "characters"))
        return;
    if (!has_format(schema->format, text))
        fault(d, "is not %s", format_name(schema->format));
    else if (schema->pattern && !api_pattern_matches(schema->pattern, text))
        fault(d, "does not match the pattern %s", schema->pattern->source);
}

static void check_integer(struct decoding *d, const struct api_schema *schema, int64_t value)
{
    if (value < schema->minimum)
        fault(d, "is less than %lld", (long long)schema->minimum);
    else if (value > schema->maximum)
        fault(d, "is greater than %lld", (long long)schema->maximum);
    else if (schema->multiple_of && value % schema->multiple_of != 0)
        fault(d, "is not a multiple of %lld", (long long)schema->multiple_of);
}

static void check_boolean(struct decoding *d, const struct api_schema *schema, bool value)
{
    if (value < schema->minimum || value > schema->maximum)
        fault(d, "must be %s", schema->minimum ? "true" : "false");
}

int api_enum_parse(const char *const *names, size_t count, struct str text)
{
    for (size_t i = 0; i < count && text.len; i++)
        if (names[i][0] == text.ptr[0] && str_equal(str_from(names[i]), text)) /* there are 249 countries */
            return (int)i + 1;
    return 0;
}

static struct str take_string(struct decoding *d, const struct api_schema *schema, struct str text)
{
    const char *refusal = text_prepare(d->arena, schema->text, &text);
    if (refusal)
        fault(d, "%s", refusal);
    else
        check_string(d, schema, text);
    return text;
}

/* What text alone can say: bodies' strings, and parameters of all places. */
static void decode_text(struct decoding *d, const struct api_schema *schema, struct str text, void *out)
{
    if (schema->kind == API_KIND_STRING) {
        *(struct str *)out = take_string(d, schema, text);
    } else if (schema->kind == API_KIND_ENUM) {
        int value = api_enum_parse(schema->names, schema->member_count, text);
        if (!value)
            fault(d, "is not one of the values that the contract lists");
        *(int *)out = value;
    } else if (schema->kind == API_KIND_DATE_TIME) {
        if (!clock_parse(text, (int64_t *)out))
            fault(d, "is not a time as in RFC 3339");
    } else {
        CHECK(schema->kind == API_KIND_ID);
        if (!id_parse_prefixed(text, schema->id_prefix, (struct uuid *)out))
            fault(d, "is not an identifier of the form %s_ and 32 hex digits", schema->id_prefix);
    }
}

static void set_default(const struct api_member *member, void *base)
{
    char *out = (char *)base + member->offset;
    switch (member->schema->kind) {
    case API_KIND_STRING:
        *(struct str *)out = member->fallback->text;
        break;
    case API_KIND_INTEGER:
        *(int64_t *)out = member->fallback->integer;
        break;
    case API_KIND_BOOLEAN:
        *(bool *)out = member->fallback->integer != 0;
        break;
    case API_KIND_ENUM:
        *(int *)out = (int)member->fallback->integer;
        break;
    case API_KIND_ARRAY: /* the empty one */
    case API_KIND_DATE_TIME:
    case API_KIND_ID:
    case API_KIND_JSON:
    case API_KIND_OBJECT:
        break;
    }
}

/* A member that was not sent: its default, has_… false, or a fault. */
static void member_missing(struct decoding *d, const struct api_member *member, void *base)
{
    if (member->fallback)
        set_default(member, base);
    else if (member->has_offset < 0)
        fault(d, "is required");
}

/* ---- JSON ---- */

static void decode_node(struct decoding *d, const struct api_schema *schema, const struct json_view *json,
                        void *out);

static void decode_member(struct decoding *d, const struct api_member *member, const struct json_view *json,
                          void *base)
{
    if (!json) {
        member_missing(d, member, base);
        return;
    }
    if (member->has_offset >= 0)
        *((bool *)base + member->has_offset) = true;
    if (json->kind == JSON_VIEW_NULL && member->null_offset >= 0)
        *((bool *)base + member->null_offset) = true;
    else
        decode_node(d, member->schema, json, (char *)base + member->offset);
}

static bool is_known(const struct api_schema *schema, struct str name)
{
    for (size_t i = 0; i < schema->member_count; i++)
        if (str_equal(str_from(schema->members[i].name), name))
            return true;
    return false;
}

static void decode_object(struct decoding *d, const struct api_schema *schema, const struct json_view *json,
                          void *out)
{
    struct place here = {.parent = d->place};
    if (json->kind != JSON_VIEW_OBJECT) {
        fault(d, "must be an object");
        return;
    }
    if ((int64_t)json_view_count(json) < schema->minimum)
        fault(d, "needs at least %lld of its members", (long long)schema->minimum);
    d->place = &here;
    for (const struct json_view *sent = json->first; sent; sent = sent->next) {
        here.name = sent->name.ptr ? sent->name : STR("");
        if (!is_known(schema, here.name))
            fault(d, "is not a member that the contract knows");
    }
    for (size_t i = 0; i < schema->member_count; i++) {
        const struct api_member *member = &schema->members[i];
        here.name = str_from(member->name);
        decode_member(d, member, json_view_member(json, here.name), out);
    }
    d->place = here.parent;
}

static bool is_repeated(struct decoding *d, const struct json_view *array, const struct json_view *item)
{
    for (const struct json_view *earlier = array->first; earlier != item; earlier = earlier->next)
        if (json_view_equal(d->arena, earlier, item))
            return true;
    return false;
}

static void decode_array(struct decoding *d, const struct api_schema *schema, const struct json_view *json,
                         void *out)
{
    struct place here = {.parent = d->place};
    size_t count = json_view_count(json);
    if (json->kind != JSON_VIEW_ARRAY) {
        fault(d, "must be an array");
        return;
    }
    if (!check_count(d, schema, (int64_t)count, "item", "items"))
        return;
    char *items = arena_alloc(d->arena, schema->item_size * count + 1);
    d->place = &here;
    for (const struct json_view *item = json->first; item; item = item->next, here.index++) {
        decode_node(d, schema->items, item, items + here.index * schema->item_size);
        if (schema->unique_items && is_repeated(d, json, item))
            fault(d, "is there twice");
    }
    d->place = here.parent;
    struct any_array array = {items, count};
    memcpy(out, &array, sizeof array);
}

static bool is_whole(struct str number)
{
    for (size_t i = 0; i < number.len; i++)
        if (is_one_of(number.ptr[i], STR(".eE")))
            return false;
    return true;
}

static void decode_integer(struct decoding *d, const struct api_schema *schema, const struct json_view *json,
                           int64_t *out)
{
    if (json_view_integer(json, out))
        check_integer(d, schema, *out);
    else if (json->kind == JSON_VIEW_NUMBER && is_whole(json->text))
        fault(d, "does not fit into 64 bits");
    else
        fault(d, "must be an integer");
}

static unsigned json_type_of(const struct json_view *json)
{
    switch (json->kind) {
    case JSON_VIEW_OBJECT:
        return API_JSON_OBJECT;
    case JSON_VIEW_ARRAY:
        return API_JSON_ARRAY;
    case JSON_VIEW_STRING:
        return API_JSON_STRING;
    case JSON_VIEW_NUMBER:
        return API_JSON_NUMBER;
    case JSON_VIEW_LITERAL:
        return API_JSON_BOOLEAN;
    case JSON_VIEW_NULL:
        break;
    }
    return 0;
}

static void decode_node(struct decoding *d, const struct api_schema *schema, const struct json_view *json,
                        void *out)
{
    switch (schema->kind) {
    case API_KIND_STRING:
    case API_KIND_ENUM:
    case API_KIND_DATE_TIME:
    case API_KIND_ID:
        if (json->kind == JSON_VIEW_STRING)
            decode_text(d, schema, arena_copy(d->arena, json_view_string(d->arena, json)), out);
        else
            fault(d, "must be a string");
        break;
    case API_KIND_INTEGER:
        decode_integer(d, schema, json, out);
        break;
    case API_KIND_BOOLEAN:
        if (json->kind == JSON_VIEW_LITERAL) {
            *(bool *)out = json->text.len == 4;
            check_boolean(d, schema, *(bool *)out);
        } else {
            fault(d, "must be true or false");
        }
        break;
    case API_KIND_JSON:
        if (schema->json_types && !(schema->json_types & json_type_of(json)))
            fault(d, "has another type of JSON than the contract says");
        else
            *(struct str *)out = json_view_compact(d->arena, json);
        break;
    case API_KIND_ARRAY:
        decode_array(d, schema, json, out);
        break;
    case API_KIND_OBJECT:
        decode_object(d, schema, json, out);
        break;
    }
}

static const struct json_view *parse_json(struct arena *arena, struct str text, struct error *error)
{
    struct json_view_fault wrong;
    const struct json_view *json = json_view_read(arena, text, &wrong);
    if (json)
        return json;
    int line = 1, column = 1;
    for (size_t i = 0; i < wrong.at; i++, column++)
        if (text.ptr[i] == '\n') {
            line++;
            column = 0;
        }
    error_set(error, ERR_BAD_REQUEST, "The body is not valid JSON: line %d, column %d: %s.", line, column,
              wrong.reason);
    return NULL;
}

static bool finish(struct decoding *d)
{
    if (d->failed)
        error_set(d->error, ERR_VALIDATION, "%s", "The request does not match the contract; see errors.");
    return !d->failed;
}

bool api_decode_json(const struct api_schema *schema, struct str json, struct arena *arena, void *out,
                     struct error *error)
{
    struct decoding d = {.arena = arena, .error = error};
    const struct json_view *root = parse_json(arena, json, error);
    if (!root)
        return false;
    decode_node(&d, schema, root, out);
    return finish(&d);
}

/* ---- parameters ---- */

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

struct str api_percent_decode(struct arena *arena, struct str text, bool plus_is_space)
{
    if (text.len == 0)
        return STR("");
    bool plain = !memchr(text.ptr, '%', text.len) && !(plus_is_space && memchr(text.ptr, '+', text.len));
    struct str decoded = text;
    if (!plain) {
        char *out = arena_bytes(arena, text.len);
        decoded = (struct str){out, 0};
        for (size_t i = 0; i < text.len; i++) {
            char c = text.ptr[i];
            if (c == '%') {
                int high = i + 2 < text.len ? hex_digit(text.ptr[i + 1]) : -1;
                int low = high >= 0 ? hex_digit(text.ptr[i + 2]) : -1;
                if (low < 0)
                    return STR_NONE;
                c = (char)(high << 4 | low);
                i += 2;
            } else if (c == '+' && plus_is_space) {
                c = ' ';
            }
            out[decoded.len++] = c;
        }
    }
    return memchr(decoded.ptr, '\0', decoded.len) || !str_is_utf8(decoded) ? STR_NONE : decoded;
}

/* A value of a parameter, from text. */
static void decode_scalar(struct decoding *d, const struct api_schema *schema, struct str text, void *out)
{
    if (schema->kind == API_KIND_INTEGER) {
        if (str_to_int64(text, out))
            check_integer(d, schema, *(int64_t *)out);
        else
            fault(d, "must be an integer");
    } else if (schema->kind == API_KIND_BOOLEAN) {
        *(bool *)out = str_equal(text, STR("true"));
        if (*(bool *)out || str_equal(text, STR("false")))
            check_boolean(d, schema, *(bool *)out);
        else
            fault(d, "must be true or false");
    } else {
        decode_text(d, schema, text, out);
    }
}

struct query_field {
    struct str name, value;
    bool used;
};

static void mark_present(const struct api_member *member, void *base)
{
    if (member->has_offset >= 0)
        *((bool *)base + member->has_offset) = true;
}

static void decode_query_array(struct decoding *d, const struct api_member *member,
                               struct query_field *fields, size_t field_count, void *base)
{
    const struct api_schema *schema = member->schema;
    char *items = NULL;
    size_t count = 0;
    for (size_t i = 0; i < field_count; i++) {
        if (!str_equal(fields[i].name, str_from(member->name)))
            continue;
        fields[i].used = true;
        if (!items)
            items = arena_alloc(d->arena, schema->item_size * (field_count - i));
        for (size_t earlier = 0; schema->unique_items && earlier < i; earlier++)
            if (str_equal(fields[earlier].name, fields[i].name) &&
                str_equal(fields[earlier].value, fields[i].value)) {
                fault(d, "is given twice with the same value");
                break;
            }
        const struct place here = {.parent = d->place, .index = count};
        d->place = &here;
        decode_scalar(d, schema->items, fields[i].value, items + count * schema->item_size);
        d->place = here.parent;
        count++;
    }
    if (!items) {
        member_missing(d, member, base);
        return;
    }
    mark_present(member, base);
    check_count(d, schema, (int64_t)count, "value", "values");
    struct any_array array = {items, count};
    memcpy((char *)base + member->offset, &array, sizeof array);
}

static void decode_query_parameter(struct decoding *d, const struct api_member *member,
                                   struct query_field *fields, size_t field_count, void *base)
{
    if (member->schema->kind == API_KIND_ARRAY) {
        decode_query_array(d, member, fields, field_count, base);
        return;
    }
    bool found = false;
    for (size_t i = 0; i < field_count; i++) {
        if (!str_equal(fields[i].name, str_from(member->name)))
            continue;
        fields[i].used = true;
        if (found) {
            fault(d, "is given more than once");
            return;
        }
        found = true;
        mark_present(member, base);
        decode_scalar(d, member->schema, fields[i].value, (char *)base + member->offset);
    }
    if (!found)
        member_missing(d, member, base);
}

/* open: what cannot be read is nobody's and left out. */
static size_t split_query(struct decoding *d, struct str query, bool open, struct query_field *fields)
{
    const struct place here = {.name = STR("query")};
    size_t count = 0;
    d->place = &here;
    while (query.ptr) {
        struct str value = str_split(&query, '&');
        if (value.len == 0)
            continue;
        struct str name = str_split(&value, '=');
        if (count == API_QUERY_FIELDS_MAX) {
            if (!open)
                fault(d, "has more than %d parameters", API_QUERY_FIELDS_MAX);
            break;
        }
        name = api_percent_decode(d->arena, name, true);
        value = value.ptr ? api_percent_decode(d->arena, value, true) : STR("");
        if (name.ptr && value.ptr)
            fields[count++] = (struct query_field){.name = name, .value = value};
        else if (!open)
            fault(d, "is not percent-encoded UTF-8");
    }
    d->place = NULL;
    return count;
}

static void decode_header(struct decoding *d, const struct api_member *member, const struct api_input *input,
                          void *base)
{
    struct str text = input->header ? input->header(input->header_context, str_from(member->name)) : STR_NONE;
    if (!text.ptr) {
        member_missing(d, member, base);
        return;
    }
    mark_present(member, base);
    if (!str_is_utf8(text) || memchr(text.ptr, '\0', text.len))
        fault(d, "is not UTF-8");
    else
        decode_scalar(d, member->schema, text, (char *)base + member->offset);
}

static void decode_parameters(struct decoding *d, const struct api_request_schema *schema,
                              const struct api_input *input, void *base)
{
    struct query_field fields[API_QUERY_FIELDS_MAX];
    size_t field_count = split_query(d, input->query, schema->open_query, fields);
    size_t path_index = 0;
    struct place here = {0};
    d->place = &here;
    for (size_t i = 0; i < schema->parameter_count; i++) {
        const struct api_parameter *parameter = &schema->parameters[i];
        const struct api_member *member = &parameter->member;
        here.name = str_from(member->name);
        if (parameter->place == API_PLACE_PATH) {
            CHECK(path_index < input->path_param_count);
            decode_scalar(d, member->schema, input->path_params[path_index++], (char *)base + member->offset);
        } else if (parameter->place == API_PLACE_QUERY) {
            decode_query_parameter(d, member, fields, field_count, base);
        } else {
            decode_header(d, member, input, base);
        }
    }
    for (size_t i = 0; i < field_count; i++) {
        here.name = fields[i].name;
        if (!fields[i].used && !schema->open_query)
            fault(d, "is not a query parameter of this operation");
    }
    d->place = NULL;
}

static bool decode_body(struct decoding *d, const struct api_member *body, struct str text, void *base)
{
    if (text.len == 0) {
        member_missing(d, body, base);
        return true;
    }
    const struct json_view *json = parse_json(d->arena, text, d->error);
    if (json)
        decode_member(d, body, json, base);
    return json != NULL;
}

bool api_decode(const struct api_request_schema *schema, const struct api_input *input, struct arena *arena,
                void **out, struct error *error)
{
    struct decoding d = {.arena = arena, .error = error};
    char *base = arena_alloc(arena, schema->size);
    *out = base;
    decode_parameters(&d, schema, input, base);
    if (schema->raw_body_offset >= 0)
        *(struct str *)(void *)(base + schema->raw_body_offset) = input->body;
    else if (schema->body && !decode_body(&d, schema->body, input->body, base))
        return false;
    return finish(&d);
}
