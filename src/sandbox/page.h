/* What the sandbox's pages for people share: one frame, one style, words for amounts and times. No scripts;
 * nothing is loaded from elsewhere. */
#ifndef CATHAY_SANDBOX_PAGE_H
#define CATHAY_SANDBOX_PAGE_H

#include "sandbox/sandbox.h"

/* Head and beginning of the body, with a way to the index unless it is `narrow`: a card as partners show it
 * to shoppers. The title is a constant. */
void page_begin(struct buf *out, const char *title, bool narrow);
/* Ends the page and answers with it; the buffer is freed. form_target: the origin that its forms may lead to
 * besides our own, or STR_NONE. A page that did not fit its buffer is an error, not a bug: people write what
 * it shows. */
enum error_code page_respond(struct request *req, int status, struct str form_target, struct buf *out);
/* The headers of such a page, for a redirect that takes its place. */
void page_headers(struct request *req, struct str form_target);
/* "HKD 1,234.50" of minor units. */
void page_amount(struct buf *out, int64_t amount, struct str currency);
/* "30 Nov 2026, 21:40 UTC" of "2026-11-30T21:40:00Z"; another text as it is. */
void page_time(struct buf *out, struct str time);
/* What a carrier's status means to who waits for the parcel. */
const char *page_parcel_words(struct str status);

/* GET / and GET /style.css */
extern const struct api_route page_index_routes[];

#endif
