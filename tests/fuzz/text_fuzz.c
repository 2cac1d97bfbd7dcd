/* Preparation of texts, of each kind: what was prepared is UTF-8, has nothing that its kind refuses, and
 * stays as it is when it is prepared again. */
#include "base/check.h"
#include "base/text.h"

#include <stdlib.h>
#include <utf8proc.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_form(struct str text, bool compatible)
{
    utf8proc_uint8_t *normal;
    utf8proc_ssize_t len =
        utf8proc_map((const utf8proc_uint8_t *)text.ptr, (utf8proc_ssize_t)text.len, &normal,
                     UTF8PROC_STABLE | UTF8PROC_COMPOSE | (compatible ? UTF8PROC_COMPAT : 0));
    CHECK(len >= 0 && str_equal(text, (struct str){(const char *)normal, (size_t)len}));
    free(normal);
}

static void try_kind(struct arena *arena, enum text_kind kind, struct str text)
{
    struct str again;
    if (text_prepare(arena, kind, &text))
        return;
    again = text;
    CHECK(!text_prepare(arena, kind, &again) && str_equal(text, again));
    if (kind == TEXT_PASSWORD || kind == TEXT_AS_GIVEN)
        return;
    check_form(text, kind == TEXT_IDENTIFIER);
    if (kind != TEXT_FREE)
        CHECK(!text_has_controls(text));
    if (kind == TEXT_EMAIL)
        CHECK(text.len <= TEXT_EMAIL_BYTES_MAX && memchr(text.ptr, '@', text.len) &&
              !memchr(text.ptr, ' ', text.len));
}

static void try_password(struct str text)
{
    char once[2048], twice[2048];
    size_t len = text_password(text, once, sizeof once);
    if (len)
        CHECK(text_password((struct str){once, len}, twice, sizeof twice) == len &&
              memcmp(once, twice, len) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct arena *arena = arena_new();
    /* A copy of its own, so that a read behind the end is seen. */
    char *bytes = malloc(size);
    CHECK(bytes);
    memcpy(bytes, data + 1, size - 1);
    struct str text = {bytes, size - 1};
    unsigned kind = data[0] % (TEXT_PASSWORD + 2);
    if (kind <= TEXT_PASSWORD)
        try_kind(arena, (enum text_kind)kind, text);
    if (kind == TEXT_PASSWORD)
        try_password(text);
    if (kind > TEXT_PASSWORD) {
        struct str clean = text_clean(arena, text, 40);
        CHECK(str_is_utf8(clean) && str_code_points(clean) <= 40 && !text_has_controls(clean));
        CHECK(str_equal(clean, text_clean(arena, clean, 40)));
        CHECK(!str_is_utf8(text) || str_is_utf8(text_fold(arena, text)));
    }
    free(bytes);
    arena_free(arena);
    return 0;
}
