/* Code points of a text and what they are: for text.c and text_email.c alone. */
#ifndef CATHAY_BASE_TEXT_POINTS_H
#define CATHAY_BASE_TEXT_POINTS_H

#include "base/arena.h"
#include "base/str.h"

enum point_class {
    POINT_VISIBLE,
    POINT_MARK,  /* stands on the character before it */
    POINT_BLANK, /* of any width, and letters that look like one */
    POINT_BREAK, /* of a line */
    POINT_CONTROL,
    POINT_BIDI,      /* turns or marks the direction of writing */
    POINT_JOINER,    /* ZWJ, ZWNJ */
    POINT_VARIATION, /* chooses the look of the character before it */
    POINT_INVISIBLE,
    POINT_UNASSIGNED, /* by Unicode, or for private use */
};

#define POINT_EMOJI_STYLE 0xfe0f /* a variation: the character before it as a picture */

struct points {
    int32_t *at;
    size_t count;
};

enum point_class point_class(int32_t point);
bool point_is_letter_or_digit(int32_t point);
/* Whether a joiner between this and the next means something: scripts that join letters, and pictographs. */
bool point_joins(int32_t point);

/* In NFC; compatible: NFKC; folded: also without case. False: not UTF-8. */
bool points_read(struct arena *arena, struct str text, bool compatible, bool folded, struct points *points);
struct str points_text(struct arena *arena, struct points points);

/* text_email.c */
const char *text_prepare_email(struct arena *arena, struct str *text);

#endif
