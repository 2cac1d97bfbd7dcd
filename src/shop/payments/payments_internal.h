/* Shared by the files of this module only. */
#ifndef CATHAY_SHOP_PAYMENTS_PAYMENTS_INTERNAL_H
#define CATHAY_SHOP_PAYMENTS_PAYMENTS_INTERNAL_H

#include "http/request.h"
#include "shop/payments/payments.h"
#include "work/lanes.h"
#include "work/work.h"

/* How long webhooks are kept, and how many refusals of one minute. */
#define WEBHOOK_KEPT_DAYS 45
#define WEBHOOK_REFUSALS_PER_MINUTE 200

/* An attempt that the gateway knows of or may know of. */
struct payment_attempt {
    struct payment_id id;
    struct order_id order_id;
    int64_t order_number;
    struct money amount;
    struct str intent_id; /* absent: the gateway was asked, its answer was lost */
    int ask_failures;     /* times in a row that asking about it came to nothing */
};
/* Of rows of the queries that list attempts. */
#define PAYMENT_ATTEMPT(row)                                                                                 \
    payment_attempt_of((row)->id, (row)->order_id, (row)->number, (row)->amount_minor, (row)->currency,      \
                       (row)->intent_id, (row)->ask_failures)
struct payment_attempt payment_attempt_of(struct payment_id id, struct order_id order_id, int64_t number,
                                          int64_t amount_minor, struct str currency, struct str intent_id,
                                          int ask_failures);

/* What the gateway does not know is taken for gone after so many askings in a row: a key of another account
 * would make it know nothing. */
#define PAYMENT_UNKNOWN_ENDS_AFTER 5

/* Whether one row of a list may be the reason; the others have their turn then. */
bool payment_failure_is_of_row(enum error_code code);
/* Logs, counts and notes what came of asking about an attempt, ERR_OK or not: after a failure the attempt has
 * its next turn later. Errors are those of the note: the database is away. */
enum error_code payment_asked(struct pg *db, struct payment_id id, enum error_code code,
                              const struct error *error);
/* Logs and counts a row of a list that could not be done; `what` names the list. */
void payment_row_failed(const char *what, const char *id, enum error_code code, const struct error *error);

/* Outside of transactions: the intent as it is at the gateway; where its answer was lost, the same question
 * again makes the same intent, and it is noted. What the gateway refuses for good is
 * GATEWAY_INTENT_REFUSED. */
enum error_code payment_ask(struct pg *db, struct arena *arena, const struct payment_attempt *attempt,
                            struct gateway_intent *intent, struct error *error);
/* Outside of transactions: cancels the intent at the gateway, unless it has succeeded, and makes what it is
 * now true here. Where the gateway will not cancel it the attempt fails all the same, so that nothing waits
 * for it, and stays to be closed: ERR_PARTNER_REFUSED. ERR_CONFLICT: the gateway is working on it. */
enum error_code payment_resolve(struct pg *db, struct arena *arena, const struct payment_attempt *attempt,
                                struct error *error);
/* In a transaction, parts of a refund of a whole order, with the order locked: the points that it gives back;
 * what follows for points, stock and order. */
enum error_code refund_points_left(struct pg *db, struct arena *arena, const struct order *order,
                                   int64_t *points);
enum error_code refund_follow(struct pg *db, struct arena *arena, struct order *order, int64_t points,
                              struct refund_id refund_id, const struct order_cause *cause);
enum error_code refund_publish(struct pg *db, struct arena *arena, const char *type,
                               const struct order *order, struct refund_id id, int64_t amount_minor,
                               int64_t points);
/* In a transaction: a refund that the shop has not made becomes one of its own. ERR_CONFLICT: not yet, `why`
 * says for what it waits. */
enum error_code refund_adopt_one(struct pg *db, struct arena *arena, const struct gateway_refund *gateway,
                                 enum payment_finding *finding, const char **why);
/* Outside of transactions: takes over what the gateway lists. */
enum error_code refund_look_for(struct pg *db, struct arena *arena, struct str intent_id, int64_t since_s,
                                struct error *error);
/* In a transaction. */
enum error_code payment_dispute_note(struct pg *db, struct arena *arena,
                                     const struct gateway_dispute *dispute, enum payment_finding *finding,
                                     const char **why);
/* A transaction around refund_finalise. */
enum error_code refund_finalise_now(struct pg *db, struct arena *arena, struct refund_id id,
                                    const struct gateway_refund *refund);
/* In a transaction: a task that closes what the order has at the gateway and does not wait for. */
enum error_code payment_close_enqueue(struct pg *db, struct order_id order_id);
/* The intent that was refused for good when it was asked for. */
struct gateway_intent payment_refused_intent(const struct payment_attempt *attempt, struct str failure);
/* A transaction around payment_finalise. */
enum error_code payment_finalise_now(struct pg *db, struct arena *arena, const struct gateway_intent *intent);

/* payment_finalise for one piece of news after the other, any number about one payment or order, as parts of
 * the caller's transaction and pipelines (pg/pg.h): begin, alone, move, between, settle.
 *
 * begin locks, in a pipeline of its own, and decides: finding and why of each are set. Orders that wait and
 * are paid are confirmed all together, in the pipelines of move and settle, by at most
 * PAYMENT_FINALISE_STATEMENTS statements whatever their number. Everything else that changes something locks
 * stock or the gateway's other attempts behind an order that is locked already, so that it would break the
 * order of locks among several orders: it is done only where `count` is 1, by alone, outside of pipelines,
 * and left otherwise (PAYMENT_LEFT). Where nothing is to be done a part sends nothing. */
#define PAYMENT_FINALISE_STATEMENTS (3 + ORDER_CONFIRM_STATEMENTS)
struct finalising;
typedef enum error_code payment_finalise_fn(struct finalising *finalising);
enum error_code payment_finalise_begin(struct pg *db, struct arena *arena, struct payment_news *news,
                                       size_t count, struct finalising **finalising);
payment_finalise_fn payment_finalise_alone;
payment_finalise_fn payment_finalise_move_queue, payment_finalise_move_fetch, payment_finalise_between;
payment_finalise_fn payment_finalise_settle_queue, payment_finalise_settle_fetch;
/* Whether settle has something to do; it refuses nothing, so that its pipeline may commit. */
bool payment_finalise_settles(const struct finalising *finalising);

/* ---- webhooks ---- */

enum webhook_state { WEBHOOK_RECEIVED, WEBHOOK_PROCESSED, WEBHOOK_IGNORED, WEBHOOK_MISMATCHED };
/* As in the database. */
const char *payment_webhook_state_text(enum webhook_state state);
/* Pure. What a webhook has come to by this finding about its event. */
enum webhook_state payment_webhook_state_of(enum gateway_event_kind kind, enum payment_finding finding);
/* Logs what does not fit. */
void payment_webhook_note(enum webhook_state state, struct str event_id, const char *why);

/* A webhook on its way through the lanes; everything in the request's arena. */
struct webhook_command {
    struct lane_item item; /* the lanes' own */
    uint64_t touch;        /* likewise */
    struct request *req;   /* the body is the webhook's */
    bool refused;          /* forged, stale or unreadable: only that is noted, for the reason in req->error */
    struct gateway_event event;
    void (*finish)(struct webhook_command *command, enum error_code code);
    /* the batch's own */
    struct webhook_id id;
    size_t arrival;
    struct str body; /* as it is stored */
    bool repeated;   /* the same event stands before it in the batch */
    bool stored;     /* now, not before */
    enum webhook_state state;
    const char *why;
};
/* Thread-safe, does not block. finish is called once, on a lane's thread: ERR_OK: the event is stored, now or
 * before. ERR_OVERLOADED: finish is not called. */
enum error_code payment_webhook_submit(struct webhook_command *command);

/* Where the shopper comes back to. */
struct str payment_return_url(struct arena *arena, struct order_id order_id);

/* An event of this module about an order. */
struct event payment_event_of(struct arena *arena, const char *type, const struct order *order,
                              const char *id_name, struct str id, int64_t amount_minor, int64_t points);

extern const struct task_definition payment_tasks[];
extern const struct schedule_definition payment_schedules[];
extern const struct invariant payment_invariants[];

/* Tasks, by file. */
task_fn payment_webhook_process, payment_sweep, payment_expire, payment_close, payment_refund_send,
    payment_forget, payment_end_unbegun, payment_reconcile;

#endif
