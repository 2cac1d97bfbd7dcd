/* Texts that people and programs outside write: brought into one form by their kind, or refused with a
 * reason. What is stored, compared and shown has been through here. docs/architecture.md, "Texts", says what
 * each kind takes; the contract names the kind of each string (x-text).
 *
 * Prepared text is UTF-8 in NFC (UAX #15) and stays as it is when it is prepared again. Thread-safe; nothing
 * blocks. */
#ifndef CATHAY_BASE_TEXT_H
#define CATHAY_BASE_TEXT_H

#include "base/arena.h"
#include "base/str.h"

enum text_kind {
    TEXT_AS_GIVEN,   /* judged by other means: a pattern, a list */
    TEXT_TOKEN,      /* made by a program: printable ASCII, unchanged */
    TEXT_IDENTIFIER, /* one word, in NFKC */
    TEXT_NAME,       /* one line that names something: has a letter or a digit */
    TEXT_LINE,       /* one line */
    TEXT_FREE,       /* lines as they were written */
    TEXT_QUERY,      /* what is searched for: nothing is refused, what cannot be seen is a blank */
    TEXT_EMAIL,      /* ASCII in lower case; the domain as A-labels (RFC 5890) */
    TEXT_PHONE,      /* digits, + ( ) - and single blanks; 5 to 15 digits (E.164) */
    TEXT_PASSWORD,   /* as given: text_password() is for its hash */
};

#define TEXT_EMAIL_BYTES_MAX 254
#define TEXT_MARKS_MAX 8 /* combining marks on one character */

/* Replaces *text by its prepared form, in the arena or the text itself where nothing changes. NULL, or the
 * reason why it is refused, for a sentence that begins with the field's name ("has a control character,
 * U+0007"); *text is undefined then. A text of nothing but blanks becomes an empty one: its least length is
 * for the caller to ask about. */
const char *text_prepare(struct arena *arena, enum text_kind kind, struct str *text);

/* One line out of whatever bytes a partner or a file has sent, of at most `most` code points: broken UTF-8 is
 * U+FFFD, what cannot be seen is a blank. Never fails; may be empty. Absent stays absent. */
struct str text_clean(struct arena *arena, struct str bytes, size_t most);

/* What is the same to a careless eye has the same fold: NFKC without regard to case. For comparing; not to be
 * shown. The text has to be UTF-8. */
struct str text_fold(struct arena *arena, struct str text);

/* OpaqueString (RFC 8265, 4.2): all blanks are U+0020, NFC; case and blanks at the ends stay. Returns the
 * bytes written; 0 where the text is empty, not UTF-8 or too long for `size`. Leaves no copy behind. */
size_t text_password(struct str password, char *out, size_t size);

/* Whether a password may hold it: no control characters. */
bool text_has_controls(struct str text);

#endif
