/* Calls to partners over HTTP (libcurl): time limit, retries with backoff and full jitter for what may be
 * repeated, a circuit breaker per partner, logs of request and response with secrets removed. Blocks; never
 * call it with a transaction open (checked). One struct http_partner per partner and process, thread-safe. */
#ifndef CATHAY_HTTP_CLIENT_H
#define CATHAY_HTTP_CLIENT_H

#include "base/arena.h"
#include "base/error.h"

struct http_partner;

struct http_call {
    struct str method;       /* GET, POST, DELETE */
    struct str path;         /* with query; joined to the partner's base address */
    struct str content_type; /* absent without a body */
    struct str body;
    struct str idempotency_key; /* sent as Idempotency-Key; makes a POST repeatable */
    const char *const *headers; /* further "Name: value", NULL-terminated, or NULL */
};

struct http_answer {
    int status;
    struct str body; /* in the arena */
};

#define HTTP_ANSWER_MAX ((size_t)4 * 1024 * 1024)
#define HTTP_CALL_ATTEMPTS 3

/* `authorization`: the header's value ("Bearer sk_…", "Basic …"); kept out of every log. */
struct http_partner *http_partner_new(const char *name, const char *base_url, const char *authorization,
                                      int64_t timeout_ms);
void http_partner_free(struct http_partner *partner);
/* Whether the circuit is open: a call now would fail without being made. Thread-safe. */
bool http_partner_is_away(struct http_partner *partner);
/* ERR_OK for any answer with a status below 500; ERR_PARTNER (5xx after the retries, refused, unreadable,
 * circuit open), ERR_PARTNER_TIMEOUT. db: the caller's connection, only to check that no transaction is open;
 * may be NULL. */
struct pg;
enum error_code http_partner_call(struct http_partner *partner, struct pg *db, const struct http_call *call,
                                  struct arena *arena, struct http_answer *answer, struct error *error);

#endif
