/* Pages that are part of the program; tools/embed_page.py writes their text and the policy that allows
 * exactly the scripts and styles within them. */
#ifndef CATHAY_HTTP_PAGES_H
#define CATHAY_HTTP_PAGES_H

#include "base/str.h"

extern const struct str page_docs, page_docs_csp;

#endif
