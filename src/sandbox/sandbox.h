/* The sandbox: partners (payment gateway, carrier, mailbox) for development and tests. They speak the
 * partners' public protocols, so that the shop's code cannot tell them apart but by address and key. One HTTP
 * server for all of them; what they know is in the schema `sandbox` of a PostgreSQL database, so that a
 * killed sandbox goes on where it was.
 *
 * A part is a partner: routes and what has to run. Its routes are served on worker threads with a connection.
 * Files: sandbox.c (frame), sandbox_hooks.c (what only a sandbox has: faults, repeated deliveries),
 * webhooks.c (delivery). */
#ifndef CATHAY_SANDBOX_SANDBOX_H
#define CATHAY_SANDBOX_SANDBOX_H

#include "api.h"
#include "base/arena.h"
#include "base/error.h"
#include "http/request.h"

struct sandbox;

/* Makes the schema, starts the parts and the HTTP server (sandbox_host, sandbox_port). Blocks until it
 * answers. */
enum error_code sandbox_start(struct sandbox **sandbox, struct error *error);
int sandbox_port(const struct sandbox *sandbox);
void sandbox_stop(struct sandbox *sandbox);
/* Makes the schema `sandbox`, or drops and makes it again where db/sandbox has changed. */
enum error_code sandbox_schema_apply(struct pg *db, struct error *error);

/* Whether a Host header names this sandbox: a loopback name, where it listens, or one of sandbox_names. */
bool sandbox_answers_to(struct str host, const char *listens_on, const char *names);

struct sandbox_part {
    const char *name;
    const struct api_route *const
        *routes; /* tables, NULL-terminated; each ends with an entry without a path */
    /* The schema is there; the connection is the caller's. May be NULL. */
    enum error_code (*start)(struct pg *db, struct error *error);
    void (*stop)(void);
    /* The signature headers of a webhook, "Name: value\n" each. NULL: the part sends none. */
    void (*sign)(struct str secret, struct str body, int64_t now_us, struct buf *headers);
};
extern const struct sandbox_part *const sandbox_parts[]; /* NULL-terminated; sandbox_parts.c */

/* The database of the sandbox: sandbox_database_url, or database_url. */
const char *sandbox_database(void);
/* True once it is being stopped: whoever sleeps looks every now and then. */
bool sandbox_is_stopping(void);
/* Sleeps, less where the sandbox is being stopped. */
void sandbox_sleep_ms(int64_t ms);

/* Routes are written by hand: the handler's `in` is a struct sandbox_input. */
struct sandbox_input {
    struct str params[API_PATH_PARAMS_MAX]; /* of the path, decoded */
    size_t param_count;
    struct str query;
    struct str body;
};
bool sandbox_decode(const struct api_input *input, struct arena *arena, void **out, struct error *error);
#define SANDBOX_BODY_MAX ((size_t)256 * 1024)
#define SANDBOX_ROUTE(name, verb, where, handler)                                                            \
    {                                                                                                        \
        .operation = API_OPERATION_COUNT, .operation_id = (name), .method = (verb), .path = (where),         \
        .roles = 1u << ROLE_ANONYMOUS, .limit = API_LIMIT_NONE, .run = API_RUN_WORKER,                       \
        .idempotency = API_IDEMPOTENCY_NONE, .body_max = SANDBOX_BODY_MAX, .raw_body = true,                 \
        .decode = sandbox_decode, .handle = (handler)                                                        \
    }

/* Faults, set by POST /sandbox/faults {partner, name, calls, value}:
 *   api_error   the next calls answer 500 and do nothing
 *   api_lost    the next calls do their work and answer 500
 *   api_hang    the next calls wait `value` ms before they do anything
 *   api_refuse  the next calls answer the status `value`, else 400, and do nothing
 *   webhook_drop, webhook_delay (value ms), webhook_duplicate (value copies): of the next events
 * and what a part adds. Takes one use of each that has any left, and tells which: one statement, as every
 * call asks. */
struct sandbox_use {
    const char *fault;
    bool fails;
    int64_t value; /* kept as it was where it does not fail */
};
void sandbox_faults_take(struct pg *db, struct arena *arena, const char *partner, struct sandbox_use *uses,
                         size_t count);

enum sandbox_fault { SANDBOX_FAULT_NONE, SANDBOX_FAULT_ERROR, SANDBOX_FAULT_LOST, SANDBOX_FAULT_REFUSED };
/* For the beginning of an API call: waits where it has to hang. *status: of SANDBOX_FAULT_REFUSED. */
enum sandbox_fault sandbox_fault_of_call(struct pg *db, struct arena *arena, const char *partner,
                                         int *status);

/* A new identifier in the partners' manner: prefix and 32 hex digits, sortable by time. */
struct str sandbox_id(struct arena *arena, const char *prefix);

/* The partner's secret key as clients send it: "Bearer key", or "Basic base64(key:)". STR_NONE without one.
 */
struct str sandbox_key_sent(struct request *req);
/* Compared in constant time with the one that is set; where none is set, any of the partner's form will do.
 */
bool sandbox_key_fits(struct str key, const char *set, struct str form);

/* The scheme, host and port under which this request came in: "http://127.0.0.1:8090". */
struct str sandbox_origin(const struct request *req);

#endif
