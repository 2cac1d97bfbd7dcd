/* HMAC-SHA256 (RFC 2104) over several pieces, as the signatures of incoming and outgoing webhooks need it.
 * Nothing blocks or fails. */
#ifndef CATHAY_BASE_HMAC_H
#define CATHAY_BASE_HMAC_H

#include "base/str.h"

#define HMAC_HEX_LEN 64

/* Lower-case hex, terminated. The pieces are taken one after the other, with nothing in between. */
void hmac_sha256_hex(struct str key, const struct str *pieces, size_t count, char out[HMAC_HEX_LEN + 1]);

/* Whether a given text is that signature, in a time that does not depend on where they differ. */
bool hmac_hex_equal(const char expected[HMAC_HEX_LEN + 1], struct str given);

#endif
