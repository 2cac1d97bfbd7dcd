/* Rules of the catalog: plain functions on plain data. */
#include "shop/catalog/catalog.h"

#include "base/json_view.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>

/* NULL: it is none. */
static const struct json_view *object_of(struct arena *arena, struct str text)
{
    const struct json_view *value = json_view_read(arena, text, NULL);
    return value && value->kind == JSON_VIEW_OBJECT ? value : NULL;
}

enum error_code catalog_attribute_codes(struct arena *arena, struct str attributes, struct str_array *codes,
                                        struct error *error)
{
    const struct json_view *object = object_of(arena, attributes);
    size_t count = json_view_count(object);
    if (!object || count > PRODUCT_ATTRIBUTES_MAX) {
        error_field_add(error, "attributes", "is not an object of at most %d attributes",
                        PRODUCT_ATTRIBUTES_MAX);
        return error_set(error, ERR_VALIDATION, "The attributes cannot be read");
    }
    struct str *items = ARENA_ARRAY(arena, struct str, count + 1);
    size_t used = 0;
    for (const struct json_view *member = object->first; member; member = member->next)
        items[used++] = member->name.ptr ? member->name : STR("");
    *codes = (struct str_array){items, used};
    return ERR_OK;
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

static bool is_choice(struct arena *arena, struct str text, const struct json_view *choices)
{
    for (const struct json_view *choice = choices ? choices->first : NULL; choice; choice = choice->next)
        if (str_equal(text, json_view_string(arena, choice)))
            return true;
    return false;
}

/* What is wrong with a value; NULL: nothing. */
static const char *attribute_fault(struct arena *arena, const struct json_view *value,
                                   const struct json_view *definition)
{
    if (!definition)
        return "is not an attribute of this shop";
    struct str type = json_view_string(arena, json_view_member(definition, STR("type")));
    if (str_equal(type, STR("number"))) {
        if (value->kind != JSON_VIEW_NUMBER)
            return "is not a number";
        /* What a program that reads the answer takes for infinite was not meant. */
        bool fits =
            value->text.len <= ATTRIBUTE_NUMBER_MAX && isfinite(strtod(arena_cstr(arena, value->text), NULL));
        return fits ? NULL : "is too large or longer than 30 characters";
    }
    if (str_equal(type, STR("boolean")))
        return value->kind == JSON_VIEW_LITERAL ? NULL : "is neither true nor false";
    if (value->kind != JSON_VIEW_STRING)
        return "is not a text";
    struct str text = json_view_string(arena, value);
    if (str_equal(type, STR("colour")))
        return is_colour(text) ? NULL : "is not a colour like #1f2a44";
    if (str_equal(type, STR("choice")))
        return is_choice(arena, text, json_view_member(definition, STR("choices")))
                   ? NULL
                   : "is not one of the choices";
    size_t length = str_code_points(text);
    return length >= 1 && length <= ATTRIBUTE_TEXT_MAX ? NULL : "is empty or longer than 200 characters";
}

enum error_code catalog_attributes_check(struct arena *arena, struct str attributes, struct str definitions,
                                         struct error *error)
{
    const struct json_view *values = object_of(arena, attributes), *known = object_of(arena, definitions);
    enum error_code code = values && known ? ERR_OK : ERR_VALIDATION;
    for (const struct json_view *value = code ? NULL : values->first; value; value = value->next) {
        const char *fault = attribute_fault(arena, value, json_view_member(known, value->name));
        if (!fault)
            continue;
        char field[96];
        snprintf(field, sizeof field, "attributes.%.*s", STR_ARG(value->name));
        error_field_add(error, field, "%s", fault);
        code = ERR_VALIDATION;
    }
    return code ? error_set(error, code, "The attributes do not fit their definitions") : ERR_OK;
}

static bool has_option(struct str_array options, struct str code)
{
    for (size_t i = 0; i < options.count; i++) {
        if (str_equal(options.items[i], code))
            return true;
    }
    return false;
}

enum error_code catalog_options_check(struct arena *arena, struct str chosen, struct str_array options,
                                      struct error *error)
{
    const struct json_view *object = object_of(arena, chosen);
    if (!object) {
        error_field_add(error, "options", "is not an object");
        return error_set(error, ERR_VALIDATION, "The options cannot be read");
    }
    enum error_code result = ERR_OK;
    char field[96];
    for (const struct json_view *value = object->first; value; value = value->next) {
        size_t length = str_code_points(json_view_string(arena, value));
        const char *fault = !has_option(options, value->name)         ? "is not an option of this product"
                            : length < 1 || length > OPTION_VALUE_MAX ? "is not a text of 1 to 60 characters"
                                                                      : NULL;
        if (!fault)
            continue;
        snprintf(field, sizeof field, "options.%.*s", STR_ARG(value->name));
        error_field_add(error, field, "%s", fault);
        result = ERR_VALIDATION;
    }
    for (size_t i = 0; i < options.count; i++) {
        if (json_view_member(object, options.items[i]))
            continue;
        snprintf(field, sizeof field, "options.%.*s", STR_ARG(options.items[i]));
        error_field_add(error, field, "is missing");
        result = ERR_VALIDATION;
    }
    return result ? error_set(error, result, "The options are not those of the product") : ERR_OK;
}

/* The ASCII letter that a Latin letter of two UTF-8 bytes (U+00C0 to U+00FF) is written with, else 0. */
static char latin_letter(unsigned char first, unsigned char second)
{
    static const char letters[] = "aaaaaaaceeeeiiiidnooooo-ouuuuytsaaaaaaaceeeeiiiidnooooo-ouuuuyty";
    return first == 0xc3 && second >= 0x80 && second <= 0xbf ? letters[second - 0x80] : 0;
}

struct str catalog_slug(struct arena *arena, struct str name, struct product_id id)
{
    char text[72];
    size_t length = 0;
    for (size_t i = 0; i < name.len && length < 60; i++) {
        unsigned char c = (unsigned char)name.ptr[i];
        char letter = isalnum(c) ? (char)tolower(c) : 0;
        if (c >= 0xc0 && i + 1 < name.len)
            letter = latin_letter(c, (unsigned char)name.ptr[i + 1]);
        if (letter && letter != '-')
            text[length++] = letter;
        else if (length > 0 && text[length - 1] != '-' && c < 0x80)
            text[length++] = '-';
    }
    while (length > 0 && text[length - 1] == '-')
        length--;
    char hex[32];
    uuid_hex(id.uuid, hex);
    return arena_printf(arena, "%.*s%s%.6s", (int)length, text, length ? "-" : "", hex + 26);
}

static bool begins(struct str bytes, const char *magic, size_t count)
{
    return bytes.len >= count && memcmp(bytes.ptr, magic, count) == 0;
}

struct str catalog_picture_type(struct str content_type, struct str bytes)
{
    struct str type = str_trim(str_split(&content_type, ';'));
    if (str_equal_ignoring_case(type, STR("image/png")))
        return begins(bytes, "\x89PNG\r\n\x1a\n", 8) ? STR("image/png") : STR_NONE;
    if (str_equal_ignoring_case(type, STR("image/jpeg")))
        return begins(bytes, "\xff\xd8\xff", 3) ? STR("image/jpeg") : STR_NONE;
    if (str_equal_ignoring_case(type, STR("image/webp")))
        return begins(bytes, "RIFF", 4) && bytes.len > 12 && memcmp(bytes.ptr + 8, "WEBP", 4) == 0
                   ? STR("image/webp")
                   : STR_NONE;
    if (!str_equal_ignoring_case(type, STR("image/svg+xml")) || !str_is_utf8(bytes))
        return STR_NONE;
    /* Whatever a drawing holds is shown in a sandbox; here it only has to be one. */
    return bytes.len && bytes.ptr[0] == '<' && memmem(bytes.ptr, bytes.len, "<svg", 4) ? STR("image/svg+xml")
                                                                                       : STR_NONE;
}

struct str catalog_facet(struct arena *arena, struct str asked)
{
    struct str code = str_split(&asked, ':');
    return arena_printf(arena, "%.*s=%.*s", STR_ARG(code), STR_ARG(asked));
}
