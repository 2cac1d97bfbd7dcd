/* The sandbox gateway: the subset of Stripe's REST API that a shop needs, as https://docs.stripe.com/api
 * describes it: PaymentIntents, Refunds, Events, WebhookEndpoints, error objects, Idempotency-Key, lists by
 * cursor; and a hosted page where a person pays, declines or goes back. Only redirect payment methods: no
 * card number is ever asked for.
 *
 * gateway.c: calls, errors, idempotency. gateway_intent.c, gateway_refund.c, gateway_event.c: the resources.
 * gateway_page.c: the hosted page. gateway_hooks.c: what tests press instead of its buttons. */
#ifndef CATHAY_SANDBOX_GATEWAY_H
#define CATHAY_SANDBOX_GATEWAY_H

#include "sandbox/form.h"
#include "sandbox/sandbox.h"

extern const struct sandbox_part sandbox_gateway;

#define GATEWAY_NAME "gateway"
#define GATEWAY_LIST_MAX 100

/* One call of the API. An operation reads `form` and fills the answer; it may run more than once. */
struct gateway_call {
    struct request *req;
    const struct sandbox_input *in;
    struct pg *db;
    struct arena *arena;
    struct form form; /* of the body, or of the query for GET */
    int status;
    struct str body;
    bool refused; /* the answer is an error object: nothing is kept */
};
typedef enum error_code gateway_operation(struct gateway_call *call);

/* Authentication, faults, form and answer around a read, or a change: that one in a transaction, with its
 * Idempotency-Key. `known`: the parameters that the operation takes, NULL-terminated. */
enum error_code gateway_read(struct request *req, const void *in, const char *const *known,
                             gateway_operation *operation);
enum error_code gateway_change(struct request *req, const void *in, const char *const *known,
                               gateway_operation *operation);

/* For operations: the answer is this object. */
enum error_code gateway_answer(struct gateway_call *call, struct str body);
/* … or this error (type invalid_request_error); code and param may be NULL. Rolls back. */
enum error_code gateway_refuse(struct gateway_call *call, int status, const char *code, const char *param,
                               const char *format, ...) __attribute__((format(printf, 5, 6)));
enum error_code gateway_missing(struct gateway_call *call, const char *what, struct str id);

/* No amount of any currency has more digits. */
#define GATEWAY_AMOUNT_MAX INT64_C(999999999999)
/* A whole number between 1 and GATEWAY_AMOUNT_MAX in a parameter. ERR_OK, or refused. */
enum error_code gateway_amount(struct gateway_call *call, struct str text, int64_t *amount);

/* limit, starting_after and ending_before. */
struct gateway_paging {
    int64_t limit;
    struct str after, before;
};
enum error_code gateway_paging(struct gateway_call *call, struct gateway_paging *paging);
/* A list object of at most paging->limit of these; one more than that says that there are more. */
enum error_code gateway_answer_list(struct gateway_call *call, const char *path,
                                    const struct gateway_paging *paging, const struct str *bodies,
                                    size_t count);
/* The bodies of generated rows whose only column is `body`. */
#define GATEWAY_BODIES(arena, rows, bodies)                                                                  \
    struct str *bodies = ARENA_ARRAY((arena), struct str, (rows).count + 1);                                 \
    for (size_t body_at = 0; body_at < (rows).count; body_at++)                                              \
        bodies[body_at] = (rows).items[body_at].body;

/* In a transaction: an event about an object, kept and sent to who listens. */
enum error_code gateway_event(struct pg *db, struct arena *arena, const char *type, struct str object_id,
                              struct str object);

/* In a transaction. What the person at the hosted page does, and the hooks. ERR_NOT_FOUND; ERR_CONFLICT where
 * the state does not allow it; a repetition does nothing. */
enum error_code gateway_intent_pay(struct pg *db, struct arena *arena, struct str id);
enum error_code gateway_intent_decline(struct pg *db, struct arena *arena, struct str id);

/* Routes of the parts; each array ends with an entry without a path. */
extern const struct api_route gateway_intent_routes[], gateway_refund_routes[], gateway_event_routes[],
    gateway_page_routes[], gateway_hook_routes[];

#endif
