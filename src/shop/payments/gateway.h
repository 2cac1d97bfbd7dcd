/* The payment gateway as the shop sees it: a table of functions, so that another provider is another table.
 * What the shop relies on, whichever it is:
 *
 * - An intent is a payment that the gateway waits for. It is made with the shop's own identifiers in its
 * metadata and with the payment's id as idempotency key: asking twice makes one.
 * - The shopper pays on the gateway's page. No card data reaches the shop.
 * - Refunds carry the refund's id as idempotency key and in their metadata.
 * - The gateway tells what has happened by signed webhooks, at least once, in any order.
 *
 * Functions that take a struct pg call the gateway and block: no transaction may be open (checked by
 * http/client.h). Their errors are of two kinds, which mean different things to every caller:
 *
 * - Away: ERR_PARTNER, ERR_PARTNER_TIMEOUT. Nothing is known; ask again later. This is also the answer where
 * the gateway refuses the shop's key or a key of idempotency: it says nothing of the thing that was asked
 * about, and the log tells operators.
 * - An answer: ERR_NOT_FOUND (it knows no such thing), ERR_CONFLICT (the state of the thing does not allow
 * it), ERR_PARTNER_REFUSED (it will never do that: the same question has the same answer). `failure` of the
 * result is the gateway's code then.
 *
 * error->detail says more, without personal data. Results are in the arena. */
#ifndef CATHAY_SHOP_PAYMENTS_GATEWAY_H
#define CATHAY_SHOP_PAYMENTS_GATEWAY_H

#include "base/arena.h"
#include "base/error.h"
#include "base/id.h"
#include "base/money.h"
#include "pg/pg.h"
#include "shop/loyalty/loyalty.h"

#define GATEWAY_VERSION 1

enum gateway_intent_state {
    GATEWAY_INTENT_OPEN,      /* waits for the shopper, or is being worked on */
    GATEWAY_INTENT_SUCCEEDED, /* the money is taken */
    GATEWAY_INTENT_FAILED,    /* the last attempt was declined; the shopper may try again there */
    GATEWAY_INTENT_CANCELLED, /* nobody can pay it any more */
    GATEWAY_INTENT_REFUSED    /* there is none: the gateway did not make it, or does not know it */
};

struct gateway_intent {
    struct str id;
    enum gateway_intent_state state;
    struct money amount;
    int64_t received_minor;       /* of SUCCEEDED */
    struct str redirect_url;      /* the hosted page; absent when there is nothing to do there */
    struct str failure;           /* a code; absent where nothing failed */
    struct order_id order_id;     /* of the metadata; zero where it is not ours */
    struct payment_id payment_id; /* likewise */
    struct str response;          /* the gateway's JSON, without secrets */
};

enum gateway_refund_state { GATEWAY_REFUND_PENDING, GATEWAY_REFUND_SUCCEEDED, GATEWAY_REFUND_FAILED };

struct gateway_refund {
    struct str id;
    enum gateway_refund_state state;
    struct money amount;
    struct str intent_id;
    struct str failure;
    struct refund_id refund_id; /* of the metadata; zero where it is not ours */
    struct str response;
};

enum gateway_event_kind {
    GATEWAY_EVENT_OTHER, /* nothing that the shop acts on */
    GATEWAY_EVENT_INTENT,
    GATEWAY_EVENT_REFUND,
    GATEWAY_EVENT_DISPUTE
};

/* A payer's bank takes a payment back, or asks about it. */
struct gateway_dispute {
    struct str id, intent_id, reason, status; /* words of the gateway */
    struct money amount;
    bool closed;
};

struct gateway_refund_page {
    struct gateway_refund *refunds; /* newest first */
    size_t count;
    bool more;
};

struct gateway_event {
    struct str id, type;
    enum gateway_event_kind kind;
    struct gateway_intent intent;
    struct gateway_refund refund;
    struct gateway_dispute dispute;
};

struct gateway_intent_request {
    struct payment_id payment_id; /* also the idempotency key */
    struct order_id order_id;
    int64_t order_number;
    struct money amount;
    struct str return_url;
};

struct gateway_refund_request {
    struct refund_id refund_id; /* also the idempotency key */
    struct order_id order_id;
    struct str intent_id;
    struct money amount;
};

struct gateway {
    int version; /* GATEWAY_VERSION */
    const char *provider;
    const char *signature_header;
    enum error_code (*start)(struct error *error);
    void (*stop)(void);
    /* Whether calls fail at once, without asking: the circuit is open. What fails then says nothing of what
     * was asked about. Thread-safe, does not block. */
    bool (*is_away)(void);
    /* Pure. The least and most that can be charged at once, in the smallest unit. */
    struct cash_limits (*charge_limits)(struct currency currency);

    /* An intent whose payment is declined at once is an intent (GATEWAY_INTENT_FAILED). */
    enum error_code (*create_intent)(struct pg *db, struct arena *arena,
                                     const struct gateway_intent_request *request,
                                     struct gateway_intent *intent, struct error *error);
    enum error_code (*retrieve_intent)(struct pg *db, struct arena *arena, struct str intent_id,
                                       struct gateway_intent *intent, struct error *error);
    /* ERR_CONFLICT: it has succeeded or was cancelled before; retrieve_intent tells. */
    enum error_code (*cancel_intent)(struct pg *db, struct arena *arena, struct str intent_id,
                                     struct gateway_intent *intent, struct error *error);
    /* ERR_CONFLICT: nothing is left to refund, or the gateway will never do it. */
    enum error_code (*create_refund)(struct pg *db, struct arena *arena,
                                     const struct gateway_refund_request *request,
                                     struct gateway_refund *refund, struct error *error);
    enum error_code (*retrieve_refund)(struct pg *db, struct arena *arena, struct str gateway_id,
                                       struct gateway_refund *refund, struct error *error);
    /* The refund with these ids among those of an intent, for after the gateway has forgotten the idempotency
     * key. ERR_NOT_FOUND. */
    enum error_code (*find_refund)(struct pg *db, struct arena *arena, struct str intent_id,
                                   struct refund_id refund_id, struct gateway_refund *refund,
                                   struct error *error);

    /* Refunds whoever made them, of one intent or (absent) of all; made since then (0: ever); behind `after`,
     * the last of the page before (absent: from the newest). */
    enum error_code (*list_refunds)(struct pg *db, struct arena *arena, struct str intent_id, int64_t since_s,
                                    struct str after, struct gateway_refund_page *page, struct error *error);

    /* Pure. ERR_SIGNATURE: forged, stale, or not signed at all; error->detail says which. */
    enum error_code (*verify_webhook)(struct str signature, struct str body, int64_t now_us,
                                      struct error *error);
    /* Pure. ERR_BAD_REQUEST: not an event of this gateway. */
    enum error_code (*parse_event)(struct arena *arena, struct str body, struct gateway_event *event,
                                   struct error *error);
};

/* The one in use. */
const struct gateway *payment_gateway(void);

extern const struct gateway gateway_stripe;

#endif
