/* Bodies of type application/x-www-form-urlencoded and query strings, with names in brackets as Stripe's API
 * has them: metadata[order_id]=…, payment_method_types[]=…, payment_method_types[0]=…. Nothing blocks. */
#ifndef CATHAY_SANDBOX_FORM_H
#define CATHAY_SANDBOX_FORM_H

#include "base/arena.h"
#include "base/buf.h"

#define FORM_PAIRS_MAX 200

struct form_pair {
    struct str name, value; /* decoded; in the arena or in the text */
};
struct form {
    struct form_pair *pairs;
    size_t count;
};

/* False: a broken escape, bytes that are not UTF-8, or more than FORM_PAIRS_MAX pairs. */
bool form_parse(struct str text, struct arena *arena, struct form *form);
/* The last value of that exact name; STR_NONE where there is none. */
struct str form_value(const struct form *form, struct str name);
/* Values of name[] and name[0], name[1] … in order of appearance. Returns how many there are, at most `most`.
 */
size_t form_list(const struct form *form, struct str name, struct str *values, size_t most);
/* The members of name[key] as a JSON object of texts; a repeated key counts once, with its last value. */
struct str form_object_json(const struct form *form, struct str name, struct arena *arena);
/* The first name whose part before '[' is none of `known` (NULL-terminated); STR_NONE where all are known. */
struct str form_unknown(const struct form *form, const char *const *known);

#endif
