/* Pages that are part of the program; tools/embed_page.py writes their text and the policy that allows
 * exactly the scripts and styles within them. */
#ifndef CATHAY_HTTP_PAGES_H
#define CATHAY_HTTP_PAGES_H

#include "base/arena.h"

extern const struct str page_docs, page_docs_csp;
extern const struct str page_home, page_home_csp;         /* {{shop}} */
extern const struct str page_returned, page_returned_csp; /* {{shop}} {{title}} {{text}} {{link}} */

struct page_value {
    const char *name;
    struct str value;
};
/* The page with each {{name}} replaced by its value, as text: nothing of it becomes markup. A name without a
 * value is a bug. */
struct str page_fill(struct arena *arena, struct str page, const struct page_value *values, size_t count);

#endif
