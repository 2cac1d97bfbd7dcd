/* Code points by their properties in Unicode, as utf8proc has them. */
#include "base/text_points.h"

#include "base/check.h"

#include <utf8proc.h>

static bool within(int32_t point, int32_t first, int32_t last)
{
    return point >= first && point <= last;
}

static bool is_one_of(int32_t point, const int32_t *set, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (set[i] == point)
            return true;
    return false;
}
#define IS_ONE_OF(point, ...)                                                                                \
    is_one_of(point, (const int32_t[]){__VA_ARGS__}, sizeof((int32_t[]){__VA_ARGS__}) / sizeof(int32_t))

enum point_class point_class(int32_t point)
{
    if (within(point, 0x21, 0x7e))
        return POINT_VISIBLE;
    if (within(point, '\n', '\r') || IS_ONE_OF(point, 0x85, 0x2028, 0x2029))
        return POINT_BREAK;
    /* The tab, Hangul fillers, and the pattern of Braille without dots. */
    if (IS_ONE_OF(point, ' ', '\t', 0x115f, 0x1160, 0x3164, 0xffa0, 0x2800))
        return POINT_BLANK;
    if (within(point, 0x202a, 0x202e) || within(point, 0x2066, 0x2069) ||
        IS_ONE_OF(point, 0x200e, 0x200f, 0x061c))
        return POINT_BIDI;
    if (within(point, 0x200c, 0x200d))
        return POINT_JOINER;
    if (within(point, 0xfe00, 0xfe0f) || within(point, 0xe0100, 0xe01ef) || within(point, 0x180b, 0x180d) ||
        point == 0x180f)
        return POINT_VARIATION;
    if (within(point, 0xe0000, 0xe0fff) || IS_ONE_OF(point, 0x034f, 0x17b4, 0x17b5))
        return POINT_INVISIBLE;
    switch (utf8proc_category(point)) {
    case UTF8PROC_CATEGORY_CC:
        return POINT_CONTROL;
    case UTF8PROC_CATEGORY_CF:
        return POINT_INVISIBLE;
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_CS:
        return POINT_UNASSIGNED;
    case UTF8PROC_CATEGORY_ZS:
        return POINT_BLANK;
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
        return POINT_MARK;
    default:
        return POINT_VISIBLE;
    }
}

bool point_is_letter_or_digit(int32_t point)
{
    utf8proc_category_t category = utf8proc_category(point);
    return (category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_LO) ||
           (category >= UTF8PROC_CATEGORY_ND && category <= UTF8PROC_CATEGORY_NO);
}

bool point_joins(int32_t point)
{
    enum point_class class = point_class(point);
    return (class == POINT_VISIBLE || class == POINT_MARK) &&
           (within(point, 0x0590, 0x1dbf) || within(point, 0xa800, 0xabff) || /* Hebrew to Indic and beyond */
            within(point, 0x2190, 0x2bff) || within(point, 0x1f000, 0x1faff)); /* pictures */
}

bool points_read(struct arena *arena, struct str text, bool compatible, bool folded, struct points *points)
{
    utf8proc_option_t options = UTF8PROC_STABLE | UTF8PROC_COMPOSE | (compatible ? UTF8PROC_COMPAT : 0) |
                                (folded ? UTF8PROC_CASEFOLD : 0);
    const utf8proc_uint8_t *bytes = (const utf8proc_uint8_t *)text.ptr;
    utf8proc_ssize_t size = (utf8proc_ssize_t)text.len + 16, count;
    *points = (struct points){0};
    if (!text.len)
        return true;
    for (;;) {
        points->at = ARENA_ARRAY(arena, int32_t, (size_t)size + 1);
        count = utf8proc_decompose(bytes, (utf8proc_ssize_t)text.len, points->at, size, options);
        if (count <= size)
            break;
        size = count;
    }
    if (count < 0)
        return false;
    count = utf8proc_normalize_utf32(points->at, count, options);
    CHECK(count >= 0);
    points->count = (size_t)count;
    return true;
}

struct str points_text(struct arena *arena, struct points points)
{
    char *out = arena_bytes(arena, points.count * 4 + 1);
    size_t len = 0;
    for (size_t i = 0; i < points.count; i++)
        len += (size_t)utf8proc_encode_char(points.at[i], (utf8proc_uint8_t *)out + len);
    return (struct str){out, len};
}
