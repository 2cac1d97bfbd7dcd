/* Rules of the catalog: plain functions on plain data. */
#include "shop/catalog/catalog.h"

#include "base/json_view.h"
#include "shop/catalog/attribute_value.h"

#include <ctype.h>

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

/* The members of `values`, each as `put` writes it, into the arena; what is wrong goes to the error. */
struct form {
    struct arena *arena;
    struct buf out;
    const char *field; /* before a member's name */
    struct error *error;
    bool failed;
};

static void form_fault(struct form *form, struct str name, const char *fault)
{
    char field[96];
    snprintf(field, sizeof field, "%s.%.*s", form->field, STR_ARG(name));
    error_field_add(form->error, field, "%s", fault);
    form->failed = true;
}

static void form_name(struct form *form, struct str name)
{
    buf_char(&form->out, form->out.len ? ',' : '{');
    buf_json_str(&form->out, name);
    buf_char(&form->out, ':');
}

static struct str form_end(struct form *form)
{
    buf_append(&form->out, form->out.len ? STR("}") : STR("{}"));
    struct str text = arena_copy(form->arena, buf_str(&form->out));
    buf_free(&form->out);
    return text;
}

enum error_code catalog_attributes_check(struct arena *arena, struct str *attributes, struct str definitions,
                                         struct error *error)
{
    const struct json_view *values = object_of(arena, *attributes), *known = object_of(arena, definitions);
    struct form form = {arena, buf_new(BUF_DEFAULT_MAX), "attributes", error, !values || !known};
    for (const struct json_view *value = form.failed ? NULL : values->first; value; value = value->next) {
        form_name(&form, value->name);
        const char *fault = attribute_value(arena, &form.out, value, json_view_member(known, value->name));
        if (fault)
            form_fault(&form, value->name, fault);
    }
    *attributes = form_end(&form);
    return form.failed ? error_set(error, ERR_VALIDATION, "The attributes do not fit their definitions")
                       : ERR_OK;
}

static bool has_option(struct str_array options, struct str code)
{
    for (size_t i = 0; i < options.count; i++) {
        if (str_equal(options.items[i], code))
            return true;
    }
    return false;
}

enum error_code catalog_options_check(struct arena *arena, struct str *chosen, struct str_array options,
                                      struct error *error)
{
    const struct json_view *object = object_of(arena, *chosen);
    if (!object) {
        error_field_add(error, "options", "is not an object");
        return error_set(error, ERR_VALIDATION, "The options cannot be read");
    }
    struct form form = {arena, buf_new(BUF_DEFAULT_MAX), "options", error, false};
    for (const struct json_view *value = object->first; value; value = value->next) {
        form_name(&form, value->name);
        const char *fault = has_option(options, value->name)
                                ? attribute_value_of_option(arena, &form.out, value)
                                : "is not an option of this product";
        if (fault)
            form_fault(&form, value->name, fault);
    }
    for (size_t i = 0; i < options.count; i++)
        if (!json_view_member(object, options.items[i]))
            form_fault(&form, options.items[i], "is missing");
    *chosen = form_end(&form);
    return form.failed ? error_set(error, ERR_VALIDATION, "The options are not those of the product")
                       : ERR_OK;
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
