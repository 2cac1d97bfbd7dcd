/* Text is read as code points in NFC or NFKC, then blanks are brought into one form, then what is left is
 * judged. That order makes a second preparation change nothing: blanks never compose with what stands beside
 * them, and a text that lost its ends at a blank is still in NFC.
 *
 * Most texts are printable ASCII in their final form already; they are recognised by one look at their bytes
 * and not copied. */
#include "base/text.h"

#include "base/text_points.h"

#include <sodium.h>
#include <utf8proc.h>

#define PASSWORD_POINTS_MAX 1024

struct rule {
    bool is_prepared;
    bool compatible; /* NFKC in place of NFC */
    bool lines;      /* line breaks and inner blanks stay */
    bool lenient;    /* what would be refused becomes a blank */
    bool one_word;   /* no blanks inside */
    bool letters;    /* has a letter or a digit, unless it is empty */
};

static const struct rule rules[] = {
    [TEXT_IDENTIFIER] = {.is_prepared = true, .compatible = true, .one_word = true},
    [TEXT_NAME] = {.is_prepared = true, .letters = true},
    [TEXT_LINE] = {.is_prepared = true},
    [TEXT_FREE] = {.is_prepared = true, .lines = true},
    [TEXT_QUERY] = {.is_prepared = true, .lenient = true},
    [TEXT_PHONE] = {.is_prepared = true, .compatible = true},
    [TEXT_PASSWORD] = {0},
};

/* ---- ASCII ---- */

static bool is_alnum(unsigned char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

static bool is_printable(struct str text)
{
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.ptr[i] - 0x20u > 0x7e - 0x20)
            return false;
    return true;
}

/* Whether the text is ASCII in its final form. */
static bool is_plain(const struct rule *rule, struct str text)
{
    bool letters = !rule->letters, blank = true; /* as if one stood before it */
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        if (c == ' ' && !blank && !rule->one_word) {
            blank = true;
            continue;
        }
        if (c <= ' ' || c > 0x7e)
            return false;
        blank = false;
        letters = letters || is_alnum(c);
    }
    return text.len && !blank && letters;
}

/* ---- blanks ---- */

static bool is_invisible(enum point_class class)
{
    return class == POINT_BLANK || class == POINT_BREAK || class == POINT_JOINER || class == POINT_INVISIBLE;
}

static struct points trim(struct points points)
{
    while (points.count && is_invisible(point_class(points.at[points.count - 1])))
        points.count--;
    while (points.count && is_invisible(point_class(points.at[0]))) {
        points.at++;
        points.count--;
    }
    return points;
}

/* Whether the variation or joiner at i belongs where it stands. */
static bool belongs(struct points points, size_t i)
{
    int32_t before = i ? points.at[i - 1] : ' ', behind = i + 1 < points.count ? points.at[i + 1] : ' ';
    if (point_class(points.at[i]) != POINT_JOINER)
        return point_class(before) == POINT_VISIBLE || point_class(before) == POINT_MARK;
    if (before == POINT_EMOJI_STYLE && i > 1)
        before = points.at[i - 2];
    return point_joins(before) && point_joins(behind);
}

/* One line: each run of blanks and breaks is one U+0020. */
static struct points collapse(struct points points, bool lenient)
{
    size_t count = 0;
    bool blank = true;
    for (size_t i = 0; i < points.count; i++) {
        int32_t point = points.at[i];
        enum point_class class = point_class(point);
        bool becomes_blank = class == POINT_BLANK || class == POINT_BREAK;
        if (lenient && class != POINT_VISIBLE && class != POINT_MARK)
            becomes_blank = !((class == POINT_JOINER || class == POINT_VARIATION) && belongs(points, i));
        if (!becomes_blank)
            points.at[count++] = point;
        else if (!blank)
            points.at[count++] = ' ';
        blank = becomes_blank;
    }
    points.count = count && blank ? count - 1 : count;
    return points;
}

/* Lines end with U+000A, without blanks before it. */
static struct points lines_end(struct points points)
{
    size_t count = 0, seen = 0; /* seen: behind the last visible point of the line */
    for (size_t i = 0; i < points.count; i++) {
        int32_t point = points.at[i];
        enum point_class class = point_class(point);
        if (class == POINT_BREAK) {
            if (point == '\r' && i + 1 < points.count && points.at[i + 1] == '\n')
                i++;
            count = seen;
            points.at[count++] = '\n';
            seen = count;
            continue;
        }
        points.at[count++] = point;
        if (class != POINT_BLANK)
            seen = count;
    }
    points.count = count;
    return points;
}

/* ---- judgement ---- */

/* Free text may hold what has a use in it: marks of direction (but nothing that turns it), places where a
 * line may break, what a later Unicode has assigned. */
static bool is_free(int32_t point, enum point_class class)
{
    switch (class) {
    case POINT_BREAK:
        return point == '\n';
    case POINT_BIDI:
        return point == 0x200e || point == 0x200f || point == 0x061c;
    case POINT_JOINER:
    case POINT_VARIATION:
        return true;
    case POINT_INVISIBLE:
        return point != 0xfeff;
    case POINT_UNASSIGNED:
        return utf8proc_category(point) == UTF8PROC_CATEGORY_CN && (point & 0xfffe) != 0xfffe &&
               !(point >= 0xfdd0 && point <= 0xfdef);
    default:
        return false;
    }
}

static const char *point_refusal(struct arena *arena, const struct rule *rule, struct points points, size_t i)
{
    int32_t point = points.at[i];
    enum point_class class = point_class(point);
    if (class == POINT_VISIBLE || class == POINT_MARK || (class == POINT_BLANK && !rule->one_word))
        return NULL;
    if (rule->lines ? is_free(point, class)
                    : (class == POINT_JOINER || class == POINT_VARIATION) && belongs(points, i))
        return NULL;
    static const char *const what[] = {
        [POINT_BLANK] = "has a blank in it",
        [POINT_BREAK] = "has a line break in it",
        [POINT_CONTROL] = "has a control character",
        [POINT_BIDI] = "has a control of the direction of writing",
        [POINT_JOINER] = "has a joiner where nothing is joined",
        [POINT_VARIATION] = "has a variation of nothing",
        [POINT_INVISIBLE] = "has a character that cannot be seen",
        [POINT_UNASSIGNED] = "has a character that is not in Unicode 14",
    };
    return arena_printf(arena, "%s, U+%04X", what[class], (unsigned)point).ptr;
}

static const char *refusal(struct arena *arena, const struct rule *rule, struct points points)
{
    bool letters = false;
    size_t marks = 0;
    for (size_t i = 0; i < points.count; i++) {
        const char *reason = point_refusal(arena, rule, points, i);
        if (reason)
            return reason;
        enum point_class class = point_class(points.at[i]);
        marks = class == POINT_MARK ? marks + 1 : 0;
        if (marks > TEXT_MARKS_MAX)
            return "has more than 8 marks on one character";
        letters = letters || point_is_letter_or_digit(points.at[i]);
    }
    if (points.count && !rule->lines && point_class(points.at[0]) == POINT_MARK)
        return "begins with a mark that belongs on a letter";
    return rule->letters && points.count && !letters ? "has neither a letter nor a digit" : NULL;
}

static const char *prepare_by_rule(struct arena *arena, const struct rule *rule, struct str *text)
{
    struct points points;
    if (!points_read(arena, *text, rule->compatible, false, &points))
        return "is not UTF-8";
    if (rule->lines) {
        points = trim(lines_end(points));
    } else {
        points = trim(points);
        if (!rule->one_word)
            points = collapse(points, rule->lenient);
    }
    const char *reason = rule->lenient ? NULL : refusal(arena, rule, points);
    *text = points_text(arena, points);
    return reason;
}

/* ---- phones ---- */

/* Dashes of any length are U+002D. */
static const char *phone_to_ascii(struct arena *arena, struct str *text)
{
    struct points points;
    const char *reason = prepare_by_rule(arena, &rules[TEXT_PHONE], text);
    if (reason)
        return reason;
    points_read(arena, *text, false, false, &points);
    for (size_t i = 0; i < points.count; i++)
        if (utf8proc_category(points.at[i]) == UTF8PROC_CATEGORY_PD || points.at[i] == 0x2212)
            points.at[i] = '-';
    *text = points_text(arena, points);
    return NULL;
}

static const char *prepare_phone(struct arena *arena, struct str *text)
{
    const char *reason = is_plain(&rules[TEXT_PHONE], *text) ? NULL : phone_to_ascii(arena, text);
    if (reason)
        return reason;
    int digits = 0;
    for (size_t i = 0; i < text->len; i++) {
        char c = text->ptr[i];
        if (c >= '0' && c <= '9')
            digits++;
        else if (c == '+' ? digits > 0 : !(c == ' ' || c == '(' || c == ')' || c == '-'))
            return "is not a phone number: digits, blanks, ( ) - and a + before them";
    }
    return digits >= 5 && digits <= 15 ? NULL : "is not a phone number: it has 5 to 15 digits";
}

const char *text_prepare(struct arena *arena, enum text_kind kind, struct str *text)
{
    const struct rule *rule = &rules[kind];
    switch (kind) {
    case TEXT_TOKEN:
        return is_printable(*text) ? NULL : "has other characters than printable ASCII";
    case TEXT_EMAIL:
        return text_prepare_email(arena, text);
    case TEXT_PHONE:
        return prepare_phone(arena, text);
    default:
        if (!rule->is_prepared || is_plain(rule, *text))
            return NULL;
        return prepare_by_rule(arena, rule, text);
    }
}

struct str text_clean(struct arena *arena, struct str bytes, size_t most)
{
    if (!bytes.ptr)
        return STR_NONE;
    struct str text = bytes;
    if (!str_is_utf8(bytes)) {
        char *out = arena_bytes(arena, bytes.len * 3);
        text = (struct str){out, 0};
        for (size_t i = 0; i < bytes.len;) {
            utf8proc_int32_t point;
            utf8proc_ssize_t len = utf8proc_iterate((const utf8proc_uint8_t *)bytes.ptr + i,
                                                    (utf8proc_ssize_t)(bytes.len - i), &point);
            text.len +=
                (size_t)utf8proc_encode_char(len > 0 ? point : 0xfffd, (utf8proc_uint8_t *)out + text.len);
            i += len > 0 ? (size_t)len : 1;
        }
    }
    if (!is_plain(&rules[TEXT_QUERY], text))
        prepare_by_rule(arena, &rules[TEXT_QUERY], &text);
    size_t points = 0, end = 0;
    for (; end < text.len; end++) {
        points += ((unsigned char)text.ptr[end] & 0xC0) != 0x80;
        if (points > most)
            break;
    }
    if (end < text.len) { /* what the cut has left at the end may mean nothing there */
        text.len = end;
        prepare_by_rule(arena, &rules[TEXT_QUERY], &text);
    }
    return text;
}

struct str text_fold(struct arena *arena, struct str text)
{
    struct points points;
    return points_read(arena, text, true, true, &points) ? points_text(arena, points) : text;
}

/* ---- passwords ---- */

size_t text_password(struct str password, char *out, size_t size)
{
    int32_t points[PASSWORD_POINTS_MAX + 1];
    const utf8proc_option_t options = UTF8PROC_STABLE | UTF8PROC_COMPOSE;
    size_t len = 0;
    utf8proc_ssize_t count = password.len ? utf8proc_decompose((const utf8proc_uint8_t *)password.ptr,
                                                               (utf8proc_ssize_t)password.len, points,
                                                               PASSWORD_POINTS_MAX, options)
                                          : 0;
    if (count > 0 && count <= PASSWORD_POINTS_MAX)
        count = utf8proc_normalize_utf32(points, count, options);
    for (utf8proc_ssize_t i = 0; count <= PASSWORD_POINTS_MAX && i < count; i++) {
        if (utf8proc_category(points[i]) == UTF8PROC_CATEGORY_ZS)
            points[i] = ' ';
        if (len + 4 > size) {
            len = 0;
            break;
        }
        len += (size_t)utf8proc_encode_char(points[i], (utf8proc_uint8_t *)out + len);
    }
    sodium_memzero(points, sizeof points);
    return len;
}

bool text_has_controls(struct str text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        if (c < 0x20 || c == 0x7f ||
            (c == 0xc2 && i + 1 < text.len && (unsigned char)text.ptr[i + 1] < 0xa0)) /* U+0080 to U+009F */
            return true;
    }
    return false;
}
