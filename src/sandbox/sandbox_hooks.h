/* What only a sandbox has, under /sandbox: faults, deliveries to look at, events to repeat. For tests and the
 * curious. */
#ifndef CATHAY_SANDBOX_SANDBOX_HOOKS_H
#define CATHAY_SANDBOX_SANDBOX_HOOKS_H

#include "sandbox/sandbox.h"

extern const struct api_route sandbox_hook_routes[]; /* ends with an entry without a path */

/* For hooks of the parts: the body as a JSON object (json_t *, to be freed by the caller); an empty body is
 * {}. NULL after a 400 was answered. */
struct json_t;
struct json_t *sandbox_hook_body(struct request *req, const struct sandbox_input *in);
enum error_code sandbox_hook_wrong(struct request *req, int status, const char *message);

#endif
