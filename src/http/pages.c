#include "http/pages.h"

#include "base/buf.h"
#include "base/check.h"

#define PAGE_MAX ((size_t)64 * 1024)

static struct str value_of(const struct page_value *values, size_t count, struct str name)
{
    for (size_t i = 0; i < count; i++)
        if (str_equal(name, str_from(values[i].name)))
            return values[i].value;
    CHECK(false);
    return STR_NONE;
}

struct str page_fill(struct arena *arena, struct str page, const struct page_value *values, size_t count)
{
    struct buf out = buf_new(PAGE_MAX);
    const char *at = page.ptr, *end = page.ptr + page.len;
    for (const char *open; (open = memmem(at, (size_t)(end - at), "{{", 2)) != NULL;) {
        buf_append(&out, (struct str){at, (size_t)(open - at)});
        const char *close = memmem(open, (size_t)(end - open), "}}", 2);
        CHECK(close);
        buf_html(&out, value_of(values, count, (struct str){open + 2, (size_t)(close - open) - 2}));
        at = close + 2;
    }
    buf_append(&out, (struct str){at, (size_t)(end - at)});
    CHECK(!out.overflow); /* settings and our own words */
    struct str filled = arena_copy(arena, buf_str(&out));
    buf_free(&out);
    return filled;
}
