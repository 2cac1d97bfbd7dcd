/* The one function by which payments end. It is called for every webhook, in batches; by the sweeper, when
 * the shopper comes back, and when an order expires, each a batch of one. Whoever comes second finds that
 * there is nothing left to do.
 *
 * The orders are locked first, then all of their attempts are read: two pieces of news about one order wait
 * for each other, whichever attempt they are about. What each means is decided in memory, in order of arrival
 * (payment_decide.c); a decision changes what the next one sees. Then everything is written at once. */
#include "shop/payments/payments.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/config.h"
#include "base/log.h"
#include "payments_sql.h"
#include "shop/payments/payment_decide.h"
#include "shop/payments/payments_internal.h"

#include <stdlib.h>

const struct gateway *payment_gateway(void)
{
    return &gateway_stripe;
}

struct event payment_event_of(struct arena *arena, const char *type, const struct order *order,
                              const char *id_name, struct str id, int64_t amount_minor, int64_t points)
{
    char order_id[ID_TEXT_MAX], customer_id[ID_TEXT_MAX];
    order_id_text(order->id, order_id);
    user_id_text(order->customer_id, customer_id);
    return (struct event){
        .type = str_from(type),
        .aggregate_id = order->id.uuid,
        .payload = arena_printf(arena,
                                "{\"order_id\":\"%s\",\"number\":%lld,\"customer_id\":\"%s\",\"%s\":\"%.*s\","
                                "\"currency\":\"%s\",\"amount_minor\":%lld,\"points\":%lld}",
                                order_id, (long long)order->number, customer_id, id_name, STR_ARG(id),
                                order->cash.currency.code, (long long)amount_minor, (long long)points),
    };
}

/* ---- what is locked ---- */

struct finalised_order {
    struct order order;
    struct payment_order_facts facts;
};

struct finalising {
    struct pg *db;
    struct arena *arena;
    struct finalised_order *orders; /* by id */
    size_t order_count;
    struct payment_facts *payments; /* by id */
    size_t payment_count;
    /* what is confirmed: in parallel */
    struct payment_news **paid;
    struct payment_facts **paid_payments;
    struct order **paid_orders;
    size_t paid_count;
    struct order_confirming *confirming;
    struct order_cause cause;
    /* what is done by itself: the one piece of news; payment and order are NULL where there are none */
    struct payment_news *alone;
    struct payment_facts *alone_payment;
    struct finalised_order *alone_of;
    struct payment_decision decision;
    int64_t now_us;
};

static int compare_order(const void *key, const void *item)
{
    return uuid_compare(((const struct order_id *)key)->uuid,
                        ((const struct finalised_order *)item)->order.id.uuid);
}

static struct finalised_order *order_of(const struct finalising *f, struct order_id id)
{
    return f->order_count ? bsearch(&id, f->orders, f->order_count, sizeof *f->orders, compare_order) : NULL;
}

static int compare_payment(const void *key, const void *item)
{
    return uuid_compare(((const struct payment_id *)key)->uuid,
                        ((const struct payment_facts *)item)->id.uuid);
}

/* Whose intent it is; before the shop has noted the intent, its metadata say so. */
static struct payment_facts *payment_of(const struct finalising *f, const struct gateway_intent *intent)
{
    struct payment_facts *named = f->payment_count
                                      ? bsearch(&intent->payment_id, f->payments, f->payment_count,
                                                sizeof *f->payments, compare_payment)
                                      : NULL;
    if (!intent->id.ptr || (named && str_equal(named->intent_id, intent->id)))
        return named;
    for (size_t i = 0; i < f->payment_count; i++)
        if (str_equal(f->payments[i].intent_id, intent->id))
            return &f->payments[i];
    return named && !named->intent_id.ptr ? named : NULL;
}

static bool is_open(const struct payment_facts *payment)
{
    return payment->state == PAYMENT_CREATED || payment->state == PAYMENT_PENDING;
}

static void take_orders(struct finalising *f, const struct order *orders, size_t count)
{
    f->orders = ARENA_ARRAY(f->arena, struct finalised_order, count);
    f->order_count = count;
    for (size_t i = 0; i < count; i++)
        f->orders[i] = (struct finalised_order){
            .order = orders[i],
            .facts = {.state = orders[i].state,
                      .placed_at_us = uuid_time_ms(orders[i].id.uuid) * 1000,
                      .expires_at_us = orders[i].expires_at_us},
        };
}

static void take_payments(struct finalising *f, const struct payment_list_batch_rows *rows)
{
    f->payments = ARENA_ARRAY(f->arena, struct payment_facts, rows->count);
    f->payment_count = rows->count;
    for (size_t i = 0; i < rows->count; i++) {
        const struct payment_list_batch_row *row = &rows->items[i];
        struct payment_facts *payment = &f->payments[i];
        struct currency currency;
        CHECK(currency_parse(row->currency, &currency));
        *payment = (struct payment_facts){
            .id = row->id,
            .order_id = row->order_id,
            .attempt = row->attempt,
            .amount = money_of(row->amount_minor, currency),
            .intent_id = row->intent_id,
            .requested = row->requested,
        };
        CHECK(payment_state_parse(row->state, &payment->state));
        struct finalised_order *of = order_of(f, row->order_id);
        if (!of)
            continue;
        if (row->attempt > of->facts.newest_attempt)
            of->facts.newest_attempt = row->attempt;
        of->facts.open_requested += is_open(payment) && payment->requested;
    }
}

static enum error_code lock_all(struct finalising *f, const struct order_id *ids, size_t count)
{
    struct order *orders;
    size_t order_count;
    struct payment_list_batch_rows payments = {0};
    enum error_code code = pg_pipeline_begin(f->db);
    if (code)
        return code;
    code = order_lock_queue(f->db, ids, count);
    if (!code)
        code = payment_list_batch_queue(f->db, (struct payment_list_batch_args){{ids, count}});
    if (!code)
        code = pg_pipeline_sync(f->db);
    if (!code)
        code = order_lock_fetch(f->db, f->arena, &orders, &order_count);
    if (!code)
        code = payment_list_batch_fetch(f->db, f->arena, &payments);
    enum error_code end = pg_pipeline_end(f->db);
    if (code || end)
        return code ? code : end;
    take_orders(f, orders, order_count);
    take_payments(f, &payments);
    return ERR_OK;
}

/* The orders that the gateway's metadata name: without them no intent fits. */
static enum error_code lock_and_read(struct finalising *f, const struct payment_news *news, size_t count)
{
    struct order_id *ids = ARENA_ARRAY(f->arena, struct order_id, count);
    size_t named = 0, distinct = 0;
    for (size_t i = 0; i < count; i++)
        if (!uuid_is_zero(news[i].intent->order_id.uuid))
            ids[named++] = news[i].intent->order_id;
    qsort(ids, named, sizeof *ids, order_id_compare);
    for (size_t i = 0; i < named; i++)
        if (distinct == 0 || order_id_compare(&ids[i], &ids[distinct - 1]) != 0)
            ids[distinct++] = ids[i];
    return distinct ? lock_all(f, ids, distinct) : ERR_OK;
}

/* ---- what is confirmed, all together ---- */

static void list_paid(struct finalising *f, struct payment_news *news, struct payment_facts *payment,
                      struct finalised_order *of)
{
    CHECK(payment && of);
    of->facts.open_requested -= is_open(payment) && payment->requested;
    of->facts.state = ORDER_CONFIRMED;
    payment->state = PAYMENT_SUCCEEDED;
    payment->intent_id = news->intent->id;
    f->paid[f->paid_count] = news;
    f->paid_payments[f->paid_count] = payment;
    f->paid_orders[f->paid_count++] = &of->order;
}

static void begin_confirming(struct finalising *f)
{
    struct str *traces = ARENA_ARRAY(f->arena, struct str, f->paid_count);
    for (size_t i = 0; i < f->paid_count; i++)
        traces[i] = f->paid[i]->traceparent;
    f->cause = (struct order_cause){.actor = ACTOR_GATEWAY, .reason = STR("Payment received")};
    f->confirming = order_confirm_begin(f->db, f->arena, f->paid_orders, f->paid_count, traces, &f->cause);
}

enum error_code payment_finalise_move_queue(struct finalising *f)
{
    size_t count = f->paid_count;
    if (count == 0)
        return ERR_OK;
    struct payment_id *ids = ARENA_ARRAY(f->arena, struct payment_id, count);
    struct str *intents = ARENA_ARRAY(f->arena, struct str, count);
    struct str *failures = ARENA_ARRAY(f->arena, struct str, count);
    struct str *answers = ARENA_ARRAY(f->arena, struct str, count);
    for (size_t i = 0; i < count; i++) {
        const struct gateway_intent *intent = f->paid[i]->intent;
        ids[i] = f->paid_payments[i]->id;
        intents[i] = intent->id;
        failures[i] = intent->failure;
        answers[i] = intent->response;
    }
    struct payment_state_set_batch_args args = {
        .ids = {ids, count},
        .state = str_from(payment_state_text(PAYMENT_SUCCEEDED)),
        .intent_ids = {intents, count},
        .failures = {failures, count},
        .answers = {answers, count},
    };
    enum error_code code = payment_state_set_batch_queue(f->db, args);
    return code ? code : order_confirm_move_queue(f->confirming);
}

enum error_code payment_finalise_move_fetch(struct finalising *f)
{
    if (f->paid_count == 0)
        return ERR_OK;
    enum error_code code = payment_state_set_batch_fetch(f->db, NULL);
    return code ? code : order_confirm_move_fetch(f->confirming);
}

enum error_code payment_finalise_between(struct finalising *f)
{
    return f->paid_count ? order_confirm_between(f->confirming) : ERR_OK;
}

enum error_code payment_finalise_settle_queue(struct finalising *f)
{
    return f->paid_count ? order_confirm_settle_queue(f->confirming) : ERR_OK;
}

enum error_code payment_finalise_settle_fetch(struct finalising *f)
{
    return f->paid_count ? order_confirm_settle_fetch(f->confirming) : ERR_OK;
}

bool payment_finalise_settles(const struct finalising *f)
{
    return f->paid_count > 0;
}

/* ---- what is done by itself ---- */

/* One payment, its order, and what the gateway says. */
struct alone {
    struct pg *db;
    struct arena *arena;
    struct payment_news *news;
    const struct payment_facts *payment;
    struct order *order;
};

/* event_type: NULL: what becomes of the order tells. */
static enum error_code set_state(const struct alone *a, enum payment_state state, const char *event_type)
{
    const struct gateway_intent *intent = a->news->intent;
    struct payment_state_set_batch_args args = {
        .ids = {&a->payment->id, 1},
        .state = str_from(payment_state_text(state)),
        .closed = intent->state == GATEWAY_INTENT_CANCELLED || intent->state == GATEWAY_INTENT_REFUSED,
        .intent_ids = {&intent->id, 1},
        .failures = {&intent->failure, 1},
        .answers = {&intent->response, 1},
    };
    enum error_code code = payment_state_set_batch(a->db, args, NULL);
    if (code || !event_type)
        return code;
    char id[ID_TEXT_MAX];
    struct str text = {id, payment_id_text(a->payment->id, id)};
    struct event event =
        payment_event_of(a->arena, event_type, a->order, "payment_id", text, a->payment->amount.minor, 0);
    event.traceparent = a->news->traceparent;
    return outbox_publish(a->db, &event, NULL);
}

/* Money that has come for nothing goes back by itself. */
static enum error_code send_back(const struct alone *a, const char *reason)
{
    struct refund_id refund_id;
    enum error_code code =
        payment_surplus_set(a->db, (struct payment_surplus_set_args){a->payment->id}, NULL);
    if (code)
        return code;
    code = refund_cash(a->db, a->arena, a->order, a->payment->id, a->payment->amount.minor, 0,
                       str_from(reason), (struct uuid){{0}}, &refund_id);
    struct event event = {
        .type = STR("payment.returned"), /* the shopper is told */
        .aggregate_id = a->order->id.uuid,
        .payload = order_event_payload(a->arena, a->order, str_from(reason)),
    };
    if (code == ERR_OK)
        code = outbox_publish(a->db, &event, NULL);
    a->news->why = reason;
    return code;
}

static enum error_code revive(const struct alone *a)
{
    struct order_cause cause = {.actor = ACTOR_GATEWAY, .reason = STR("A late payment was received")};
    enum error_code code = order_reacquire(a->db, a->arena, a->order, &cause);
    if (code == ERR_OUT_OF_STOCK)
        return send_back(a, "The payment came when the goods were gone");
    if (code == ERR_SALE_RELEASED)
        return send_back(a, "The payment came when the sale had given the goods to others");
    if (code == ERR_POINTS_SHORT)
        return send_back(a, "The payment came when the miles were spent");
    return code ? code : order_confirm(a->db, a->arena, a->order, &cause);
}

enum error_code payment_close_enqueue(struct pg *db, struct order_id order_id)
{
    char id[ID_TEXT_MAX];
    struct task_request request = {
        .name = STR("payment_close"),
        .unique_key = {id, order_id_text(order_id, id)},
        .aggregate_id = order_id.uuid,
        .payload = STR("{}"),
    };
    return task_enqueue(db, &request);
}

/* The newest attempt came to nothing. */
static enum error_code release(const struct alone *a, int64_t now_us)
{
    bool refused = a->news->intent->state == GATEWAY_INTENT_REFUSED;
    bool failed = refused || a->news->intent->state == GATEWAY_INTENT_FAILED;
    bool expired = !failed && a->order->expires_at_us && a->order->expires_at_us <= now_us;
    struct order_cause cause = {
        .actor = failed ? ACTOR_GATEWAY : ACTOR_SYSTEM,
        .reason = refused   ? STR("The payment gateway does not take this payment")
                  : failed  ? STR("The payment was declined")
                  : expired ? STR("Not paid in time")
                            : STR("The payment was cancelled at the gateway"),
    };
    return order_release(a->db, a->arena, a->order, expired ? ORDER_EXPIRED : ORDER_PAYMENT_FAILED, &cause);
}

static enum error_code act(const struct alone *a, const struct payment_decision *decision, int64_t now_us)
{
    bool declined = a->news->intent->state == GATEWAY_INTENT_FAILED;
    bool failed = declined || a->news->intent->state == GATEWAY_INTENT_REFUSED;
    enum error_code code = ERR_OK;
    switch (decision->step) {
    case PAYMENT_STEP_NONE:
    case PAYMENT_STEP_CONFIRM:
        break; /* done with the others */
    case PAYMENT_STEP_REVIVE:
    case PAYMENT_STEP_SEND_BACK:
        code = set_state(a, PAYMENT_SUCCEEDED, NULL);
        if (!code)
            code = decision->step == PAYMENT_STEP_REVIVE ? revive(a) : send_back(a, decision->why);
        break;
    case PAYMENT_STEP_END:
    case PAYMENT_STEP_RELEASE:
        code = set_state(a, failed ? PAYMENT_FAILED : PAYMENT_CANCELLED,
                         failed ? "payment.failed" : "payment.cancelled");
        if (!code && decision->step == PAYMENT_STEP_RELEASE)
            code = release(a, now_us);
        break;
    }
    /* What was declined can still be paid at the gateway. */
    bool ends = decision->step == PAYMENT_STEP_END || decision->step == PAYMENT_STEP_RELEASE;
    bool close = decision->close_others || (ends && declined);
    return code || !close ? code : payment_close_enqueue(a->db, a->order->id);
}

/* ---- all of it ---- */

static bool goes_together(const struct payment_decision *decision)
{
    return decision->step == PAYMENT_STEP_NONE ||
           (decision->step == PAYMENT_STEP_CONFIRM && !decision->close_others);
}

static void decide_all(struct finalising *f, struct payment_news *news, size_t count)
{
    int64_t late_us = config()->late_payment_s * 1000000;
    for (size_t i = 0; i < count; i++) {
        struct payment_facts *payment = payment_of(f, news[i].intent);
        struct finalised_order *of = payment ? order_of(f, payment->order_id) : NULL;
        struct payment_decision decision =
            payment_decide(news[i].intent, payment, of ? &of->facts : NULL, f->now_us, late_us);
        if (count > 1 && !goes_together(&decision))
            decision =
                (struct payment_decision){.finding = PAYMENT_LEFT, .why = "it is worked out by itself"};
        news[i].finding = decision.finding;
        news[i].why = decision.why;
        if (decision.step == PAYMENT_STEP_CONFIRM)
            list_paid(f, &news[i], payment, of);
        if (count == 1 && of) {
            f->alone = news;
            f->alone_payment = payment;
            f->alone_of = of;
            f->decision = decision;
        }
    }
}

enum error_code payment_finalise_begin(struct pg *db, struct arena *arena, struct payment_news *news,
                                       size_t count, struct finalising **out)
{
    CHECK(pg_in_transaction(db));
    struct finalising *f = ARENA_NEW(arena, struct finalising);
    *f = (struct finalising){.db = db,
                             .arena = arena,
                             .paid = ARENA_ARRAY(arena, struct payment_news *, count),
                             .paid_payments = ARENA_ARRAY(arena, struct payment_facts *, count),
                             .paid_orders = ARENA_ARRAY(arena, struct order *, count),
                             .now_us = clock_wall_us()};
    *out = f;
    enum error_code code = lock_and_read(f, news, count);
    if (code)
        return code;
    decide_all(f, news, count);
    if (f->paid_count > 0)
        begin_confirming(f);
    return ERR_OK;
}

enum error_code payment_finalise_alone(struct finalising *f)
{
    if (!f->alone)
        return ERR_OK;
    struct alone alone = {f->db, f->arena, f->alone, f->alone_payment, &f->alone_of->order};
    return act(&alone, &f->decision, f->now_us);
}

static enum error_code in_pipeline(struct finalising *f, payment_finalise_fn *queue,
                                   payment_finalise_fn *fetch)
{
    enum error_code code = pg_pipeline_begin(f->db);
    if (code)
        return code;
    code = queue(f);
    if (!code)
        code = pg_pipeline_sync(f->db);
    if (!code)
        code = fetch(f);
    enum error_code end = pg_pipeline_end(f->db);
    return code ? code : end;
}

enum error_code payment_finalise(struct pg *db, struct arena *arena, struct payment_news *news)
{
    struct finalising *f;
    enum error_code code = payment_finalise_begin(db, arena, news, 1, &f);
    if (!code && f->paid_count > 0) {
        code = in_pipeline(f, payment_finalise_move_queue, payment_finalise_move_fetch);
        if (!code)
            code = payment_finalise_between(f);
        if (!code)
            code = in_pipeline(f, payment_finalise_settle_queue, payment_finalise_settle_fetch);
    }
    return code ? code : payment_finalise_alone(f);
}

struct finalise_now {
    struct arena *arena;
    struct payment_news *news;
};

static enum error_code finalise_in_transaction(struct pg *db, void *context)
{
    const struct finalise_now *now = context;
    return payment_finalise(db, now->arena, now->news);
}

enum error_code payment_finalise_now(struct pg *db, struct arena *arena, const struct gateway_intent *intent)
{
    struct payment_news news = {.intent = intent};
    struct finalise_now now = {arena, &news};
    enum error_code code = pg_transaction(db, finalise_in_transaction, &now);
    if (code == ERR_OK && (news.finding == PAYMENT_MISMATCHED || news.finding == PAYMENT_UNKNOWN))
        log_write(LOG_ERROR, "payment does not fit what the gateway says", LOG_STR("intent", intent->id),
                  LOG_TEXT("why", news.why));
    return code;
}
