/* Values of attributes and options in one form each, as they are stored, counted as facets and asked for in
 * filters: 1.0 is 1, #ABCDEF is #abcdef, and a text is prepared as a line. */
#include "shop/catalog/attribute_value.h"

#include "base/text.h"
#include "shop/catalog/catalog.h"

#include <ctype.h>

/* The digits of a JSON number with the place of its point: 12.50e3 is 1250 with the point behind 5 of them.
 */
struct decimal {
    bool negative;
    char digits[ATTRIBUTE_NUMBER_MAX];
    int count;
    int64_t point; /* digits before it; may be outside of them */
};

static struct decimal decimal_read(struct str number)
{
    struct decimal decimal = {.negative = number.ptr[0] == '-'};
    bool behind_point = false;
    for (size_t i = decimal.negative; i < number.len; i++) {
        char c = number.ptr[i];
        if (c == '.') {
            behind_point = true;
        } else if (c == 'e' || c == 'E') {
            struct str exponent = {number.ptr + i + 1, number.len - i - 1};
            int64_t shift = 0;
            if (exponent.len && exponent.ptr[0] == '+')
                exponent = (struct str){exponent.ptr + 1, exponent.len - 1};
            if (!str_to_int64(exponent, &shift) || shift > 1000 || shift < -1000)
                shift = exponent.ptr[0] == '-' ? -1000 : 1000;
            decimal.point += shift;
            break;
        } else {
            decimal.point += !behind_point;
            if (decimal.count == 0 && c == '0')
                decimal.point--; /* a leading zero has no place */
            else
                decimal.digits[decimal.count++] = c;
        }
    }
    while (decimal.count && decimal.digits[decimal.count - 1] == '0')
        decimal.count--;
    return decimal;
}

/* Absent: it is longer than ATTRIBUTE_NUMBER_MAX, typed or written out. */
static struct str number_form(struct arena *arena, struct str number)
{
    if (number.len > ATTRIBUTE_NUMBER_MAX)
        return STR_NONE;
    struct decimal decimal = decimal_read(number);
    if (decimal.count == 0)
        return STR("0");
    if (decimal.point > ATTRIBUTE_NUMBER_MAX || decimal.point < -ATTRIBUTE_NUMBER_MAX)
        return STR_NONE;
    char *out = arena_bytes(arena, 4 * ATTRIBUTE_NUMBER_MAX);
    size_t len = 0;
    if (decimal.negative)
        out[len++] = '-';
    if (decimal.point <= 0)
        out[len++] = '0';
    int64_t first = decimal.point < 0 ? decimal.point : 0;
    int64_t last = decimal.point > decimal.count ? decimal.point : decimal.count;
    for (int64_t i = first; i < last; i++) {
        if (i == decimal.point || (i == first && decimal.point <= 0))
            out[len++] = '.';
        out[len++] = i >= 0 && i < decimal.count ? decimal.digits[i] : '0';
    }
    return len <= ATTRIBUTE_NUMBER_MAX ? (struct str){out, len} : STR_NONE;
}

static bool is_colour(struct str text)
{
    if (text.len != 7 || text.ptr[0] != '#')
        return false;
    for (size_t i = 1; i < 7; i++) {
        if (!isxdigit((unsigned char)text.ptr[i]))
            return false;
    }
    return true;
}

static struct str lower(struct arena *arena, struct str text)
{
    char *out = arena_bytes(arena, text.len);
    for (size_t i = 0; i < text.len; i++)
        out[i] = (char)tolower((unsigned char)text.ptr[i]);
    return (struct str){out, text.len};
}

static bool is_choice(struct arena *arena, struct str text, const struct json_view *choices)
{
    for (const struct json_view *choice = choices ? choices->first : NULL; choice; choice = choice->next)
        if (str_equal(text, json_view_string(arena, choice)))
            return true;
    return false;
}

static const char *text_value(struct arena *arena, struct buf *out, const struct json_view *value,
                              struct str type, const struct json_view *choices)
{
    struct str typed = json_view_string(arena, value), text = typed;
    const char *refusal = text_prepare(arena, TEXT_LINE, &text);
    if (str_equal(type, STR("choice"))) {
        if (is_choice(arena, typed, choices)) /* one of before texts were prepared */
            text = typed;
        else if (refusal || !is_choice(arena, text, choices))
            return "is not one of the choices";
    } else if (str_equal(type, STR("colour"))) {
        if (refusal || !is_colour(text))
            return "is not a colour like #1f2a44";
        text = lower(arena, text);
    } else if (refusal) {
        return refusal;
    } else {
        size_t length = str_code_points(text);
        if (length < 1 || length > ATTRIBUTE_TEXT_MAX)
            return "is empty or longer than 200 characters";
    }
    buf_json_str(out, text);
    return NULL;
}

const char *attribute_value(struct arena *arena, struct buf *out, const struct json_view *value,
                            const struct json_view *definition)
{
    if (!definition)
        return "is not an attribute of this shop";
    struct str type = json_view_string(arena, json_view_member(definition, STR("type")));
    if (str_equal(type, STR("number"))) {
        if (value->kind != JSON_VIEW_NUMBER)
            return "is not a number";
        struct str number = number_form(arena, value->text);
        buf_append(out, number);
        return number.ptr ? NULL : "is too large or longer than 30 characters";
    }
    if (str_equal(type, STR("boolean"))) {
        buf_append(out, value->text);
        return value->kind == JSON_VIEW_LITERAL ? NULL : "is neither true nor false";
    }
    if (value->kind != JSON_VIEW_STRING)
        return "is not a text";
    return text_value(arena, out, value, type, json_view_member(definition, STR("choices")));
}

const char *attribute_value_of_option(struct arena *arena, struct buf *out, const struct json_view *value)
{
    struct str text = json_view_string(arena, value);
    const char *refusal = text.ptr ? text_prepare(arena, TEXT_LINE, &text) : "is not a text";
    size_t length = refusal ? 0 : str_code_points(text);
    buf_json_str(out, text);
    if (refusal)
        return refusal;
    return length < 1 || length > OPTION_VALUE_MAX ? "is not a text of 1 to 60 characters" : NULL;
}
