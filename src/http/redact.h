/* Bodies for logs: values whose names tell that they are secret are taken out. */
#ifndef CATHAY_HTTP_REDACT_H
#define CATHAY_HTTP_REDACT_H

#include "base/buf.h"

/* True for names that hold secret, key, password, token, authorization, signature, card, number or cvc. */
bool redact_is_secret(struct str name);
/* Appends the body, JSON or form, with the values of such names replaced by [removed]; at most `most` bytes
 * of it. */
void redact_body(struct buf *out, struct str body, size_t most);

#endif
