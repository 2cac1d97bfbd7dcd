/* Webhooks in batches. One transaction stores a batch and makes true what its events say, and is then
 * answered 2xx for all of them. What payment_finalise leaves, and what is not about a payment, is stored as
 * received, with an event whose task works it out (payments_tasks.c). Should making it true fail for whatever
 * reason, the batch is stored as received as a whole: no webhook is lost or refused because of another one,
 * or because of what it says. An event that was stored before changes nothing.
 *
 * Lanes keep apart by the gateway's intent, so that news of one payment is in flight once. */
#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "payments_sql.h"
#include "shop/payments/payments_internal.h"

#include <sodium.h>
#include <stdatomic.h>
#include <stdlib.h>

/* Orders are locked by people and tasks for moments only; what waits longer is stored and worked out later.
 */
#define CONNECTION_SETTINGS LANE_CONNECTION_SETTINGS "SET lock_timeout = '500ms'"

static struct lanes *lanes;

/* ---- what came of it ---- */

const char *payment_webhook_state_text(enum webhook_state state)
{
    static const char *const texts[] = {
        [WEBHOOK_RECEIVED] = "received",
        [WEBHOOK_PROCESSED] = "processed",
        [WEBHOOK_IGNORED] = "ignored",
        [WEBHOOK_MISMATCHED] = "mismatched",
    };
    return texts[state];
}

enum webhook_state payment_webhook_state_of(enum gateway_event_kind kind, enum payment_finding finding)
{
    switch (finding) {
    case PAYMENT_LEFT:
        return WEBHOOK_RECEIVED;
    case PAYMENT_MISMATCHED:
    case PAYMENT_UNKNOWN:
        return WEBHOOK_MISMATCHED;
    case PAYMENT_UNCHANGED:
    case PAYMENT_CHANGED:
        break;
    }
    return kind == GATEWAY_EVENT_OTHER ? WEBHOOK_IGNORED : WEBHOOK_PROCESSED;
}

void payment_webhook_note(enum webhook_state state, struct str event_id, const char *why)
{
    if (state == WEBHOOK_MISMATCHED)
        log_write(LOG_ERROR, "webhook does not fit the payment", LOG_STR("event", event_id),
                  LOG_TEXT("why", why));
}

/* ---- one batch ---- */

struct batch {
    struct arena *arena;
    struct webhook_command **commands; /* in order of arrival */
    size_t count;
    bool store_only;
    /* by event, without repetitions; made anew for each try */
    struct webhook_command **events;
    size_t event_count;
    /* in order of arrival, those about an intent, without repetitions: in parallel */
    struct webhook_command **told;
    struct payment_news *news;
    size_t news_count;
    size_t left;                   /* stored as received */
    struct finalising *finalising; /* NULL: there is no news */
};

static int by_event(const void *a, const void *b)
{
    struct webhook_command *const *left = a, *const *right = b;
    struct str x = (*left)->event.id, y = (*right)->event.id;
    int order = memcmp(x.ptr, y.ptr, x.len < y.len ? x.len : y.len);
    if (order || x.len != y.len)
        return order ? order : (x.len > y.len) - (x.len < y.len);
    return ((*left)->arrival > (*right)->arrival) - ((*left)->arrival < (*right)->arrival);
}

static void list_events(struct batch *batch)
{
    struct webhook_command **sorted = ARENA_ARRAY(batch->arena, struct webhook_command *, batch->count);
    for (size_t i = 0; i < batch->count; i++) {
        sorted[i] = batch->commands[i];
        sorted[i]->arrival = i;
    }
    qsort(sorted, batch->count, sizeof *sorted, by_event);
    batch->events = sorted;
    batch->event_count = 0;
    for (size_t i = 0; i < batch->count; i++) {
        struct webhook_command *command = sorted[i];
        command->repeated =
            batch->event_count > 0 && str_equal(command->event.id, sorted[batch->event_count - 1]->event.id);
        command->stored = false;
        if (!command->repeated)
            sorted[batch->event_count++] = command;
    }
}

static void list_news(struct batch *batch)
{
    batch->told = ARENA_ARRAY(batch->arena, struct webhook_command *, batch->count);
    batch->news = ARENA_ARRAY(batch->arena, struct payment_news, batch->count);
    batch->news_count = 0;
    for (size_t i = 0; i < batch->count && !batch->store_only; i++) {
        struct webhook_command *command = batch->commands[i];
        if (command->repeated || command->event.kind != GATEWAY_EVENT_INTENT)
            continue;
        batch->told[batch->news_count] = command;
        batch->news[batch->news_count++] =
            (struct payment_news){.intent = &command->event.intent, .traceparent = command->req->traceparent};
    }
}

/* What each has come to. The body of what changed a payment is not kept a second time: the payment has it, as
 * the gateway's newest word (payment.answer). */
static void note_states(struct batch *batch)
{
    for (size_t i = 0; i < batch->event_count; i++) {
        struct webhook_command *command = batch->events[i];
        bool other = command->event.kind == GATEWAY_EVENT_OTHER;
        command->state = other ? WEBHOOK_IGNORED : WEBHOOK_RECEIVED;
        command->why = other ? "nothing that the shop acts on" : "it is worked out by itself";
        command->body = command->req->body;
    }
    for (size_t i = 0; i < batch->news_count; i++) {
        const struct payment_news *news = &batch->news[i];
        struct webhook_command *command = batch->told[i];
        command->state = payment_webhook_state_of(GATEWAY_EVENT_INTENT, news->finding);
        command->why = news->why;
        if (news->finding == PAYMENT_CHANGED)
            command->body = STR("");
        payment_webhook_note(command->state, command->event.id, news->why);
    }
    batch->left = 0;
    for (size_t i = 0; i < batch->event_count; i++)
        batch->left += batch->events[i]->state == WEBHOOK_RECEIVED;
}

static enum error_code store_queue(struct pg *db, const struct batch *batch)
{
    size_t count = batch->event_count;
    struct webhook_id *ids = ARENA_ARRAY(batch->arena, struct webhook_id, count);
    struct str *event_ids = ARENA_ARRAY(batch->arena, struct str, count);
    struct str *types = ARENA_ARRAY(batch->arena, struct str, count);
    struct str *bodies = ARENA_ARRAY(batch->arena, struct str, count);
    struct str *states = ARENA_ARRAY(batch->arena, struct str, count);
    struct str *details = ARENA_ARRAY(batch->arena, struct str, count);
    for (size_t i = 0; i < count; i++) {
        struct webhook_command *command = batch->events[i];
        ids[i] = command->id = webhook_id_new();
        event_ids[i] = command->event.id;
        types[i] = command->event.type;
        bodies[i] = command->body;
        states[i] = str_from(payment_webhook_state_text(command->state));
        details[i] = str_from(command->why);
    }
    struct payment_webhook_insert_batch_args args = {.ids = {ids, count},
                                                     .provider = str_from(payment_gateway()->provider),
                                                     .event_ids = {event_ids, count},
                                                     .types = {types, count},
                                                     .bodies = {bodies, count},
                                                     .states = {states, count},
                                                     .details = {details, count}};
    return payment_webhook_insert_batch_queue(db, args);
}

/* The rows come in the order of the events, without those that were stored before. */
static enum error_code store_fetch(struct pg *db, const struct batch *batch)
{
    struct payment_webhook_insert_batch_rows rows;
    enum error_code code = payment_webhook_insert_batch_fetch(db, batch->arena, &rows);
    size_t at = 0;
    for (size_t i = 0; !code && i < rows.count; i++) {
        while (at < batch->event_count && !webhook_id_equal(batch->events[at]->id, rows.items[i].id))
            at++;
        CHECK(at < batch->event_count);
        batch->events[at++]->stored = true;
    }
    return code;
}

/* A task for each that is left. */
static enum error_code left_queue(struct pg *db, const struct batch *batch)
{
    struct event *events = ARENA_ARRAY(batch->arena, struct event, batch->event_count);
    size_t count = 0;
    for (size_t i = 0; i < batch->event_count; i++) {
        const struct webhook_command *command = batch->events[i];
        if (!command->stored || command->state != WEBHOOK_RECEIVED)
            continue;
        char id[ID_TEXT_MAX];
        webhook_id_text(command->id, id);
        events[count++] = (struct event){
            .type = STR("webhook.received"),
            .aggregate_id = command->id.uuid,
            .payload = arena_printf(batch->arena, "{\"provider\":\"%s\",\"webhook_id\":\"%s\"}",
                                    payment_gateway()->provider, id),
            .traceparent = command->req->traceparent,
        };
    }
    return outbox_publish_queue(db, batch->arena, events, count);
}

/* Stores the batch and moves what is paid. Where that is all, it is committed by the same round trip. */
static enum error_code store_and_move(struct pg *db, const struct batch *batch, bool is_all)
{
    struct finalising *f = batch->finalising;
    enum error_code code = pg_pipeline_begin(db);
    if (code)
        return code;
    code = store_queue(db, batch);
    if (!code && f)
        code = payment_finalise_move_queue(f);
    if (!code && is_all)
        code = pg_commit_queue(db);
    if (!code)
        code = pg_pipeline_sync(db);
    if (!code)
        code = store_fetch(db, batch);
    if (!code && f)
        code = payment_finalise_move_fetch(f);
    enum error_code end = pg_pipeline_end(db);
    return code ? code : end;
}

static enum error_code settle_and_commit(struct pg *db, const struct batch *batch)
{
    struct finalising *f = batch->finalising;
    enum error_code code = f ? payment_finalise_between(f) : ERR_OK;
    if (!code)
        code = pg_pipeline_begin(db);
    if (code)
        return code;
    if (batch->left > 0)
        code = left_queue(db, batch);
    if (!code && f)
        code = payment_finalise_settle_queue(f);
    if (!code)
        code = pg_commit_queue(db);
    if (!code)
        code = pg_pipeline_sync(db);
    if (!code && batch->left > 0)
        code = outbox_publish_fetch(db);
    if (!code && f)
        code = payment_finalise_settle_fetch(f);
    enum error_code end = pg_pipeline_end(db);
    return code ? code : end;
}

static enum error_code run_batch(struct pg *db, void *context)
{
    struct batch *batch = context;
    arena_reset(batch->arena);
    list_events(batch);
    list_news(batch);
    batch->finalising = NULL;
    enum error_code code = ERR_OK;
    if (batch->news_count > 0) {
        code = payment_finalise_begin(db, batch->arena, batch->news, batch->news_count, &batch->finalising);
        if (!code)
            code = payment_finalise_alone(batch->finalising);
    }
    if (code)
        return code;
    note_states(batch);
    bool is_all = batch->left == 0 && !(batch->finalising && payment_finalise_settles(batch->finalising));
    code = store_and_move(db, batch, is_all);
    return code || is_all ? code : settle_and_commit(db, batch);
}

static enum error_code settle(struct pg *db, struct batch *batch)
{
    enum error_code code = pg_transaction_of_pipelines(db, run_batch, batch);
    if (!code || code == ERR_DATABASE) /* in doubt or not stored: the gateway sends it again */
        return code;
    log_write(LOG_WARN, "webhooks are only stored: tasks work them out one by one",
              LOG_INT("webhooks", (int64_t)batch->count), LOG_TEXT("code", error_text(code)),
              LOG_TEXT("detail", pg_error(db)->detail));
    batch->store_only = true;
    return pg_transaction_of_pipelines(db, run_batch, batch);
}

/* ---- refusals ---- */

/* No more of them in a minute go through a lane than are kept: a flood is answered without the database. */
static bool refusal_has_room(void)
{
    static _Atomic int64_t minute;
    static _Atomic int count;
    int64_t now = clock_monotonic_us() / 60000000, before = minute;
    if (now != before && atomic_compare_exchange_strong(&minute, &before, now))
        count = 0;
    return atomic_fetch_add(&count, 1) < WEBHOOK_REFUSALS_PER_MINUTE;
}

static void log_refusal(const struct request *req, bool kept)
{
    log_write(LOG_WARN, "webhook refused", LOG_TEXT("provider", payment_gateway()->provider),
              LOG_TEXT("reason", req->error.detail), LOG_BOOL("kept", kept));
}

static void note_refusal(struct pg *db, const struct request *req)
{
    unsigned char hash[crypto_hash_sha256_BYTES];
    crypto_hash_sha256(hash, (const unsigned char *)(req->body.ptr ? req->body.ptr : ""), req->body.len);
    struct payment_webhook_refusal_insert_args args = {
        .id = uuid_new(),
        .provider = str_from(payment_gateway()->provider),
        .reason = str_from(req->error.detail),
        .body_sha256 = {(const char *)hash, sizeof hash},
        .body_bytes = (int32_t)req->body.len,
        .most_per_minute = WEBHOOK_REFUSALS_PER_MINUTE,
    };
    enum error_code code = payment_webhook_refusal_insert(db, args, NULL);
    log_refusal(req, code == ERR_OK);
}

/* ---- lanes ---- */

static void run(int lane, struct pg *db, struct arena *arena, struct lane_item *const *items, size_t count)
{
    (void)lane;
    struct webhook_command **commands = calloc(count, sizeof(struct webhook_command *));
    CHECK(commands);
    struct batch batch = {.arena = arena, .commands = commands};
    for (size_t i = 0; i < count; i++) {
        struct webhook_command *command = (struct webhook_command *)items[i];
        if (command->refused) {
            note_refusal(db, command->req);
            command->finish(command, command->req->error.code);
        } else {
            commands[batch.count++] = command;
        }
    }
    enum error_code code = batch.count > 0 ? settle(db, &batch) : ERR_OK;
    for (size_t i = 0; i < batch.count; i++)
        commands[i]->finish(commands[i], code);
    free(commands);
}

enum error_code payment_webhook_submit(struct webhook_command *command)
{
    const struct gateway_event *event = &command->event;
    if (!lanes)
        return ERR_OVERLOADED;
    if (command->refused && !refusal_has_room()) {
        log_refusal(command->req, false);
        return ERR_OVERLOADED;
    }
    command->touch = lane_hash_text(event->kind == GATEWAY_EVENT_INTENT    ? event->intent.id
                                    : event->kind == GATEWAY_EVENT_REFUND  ? event->refund.intent_id
                                    : event->kind == GATEWAY_EVENT_DISPUTE ? event->dispute.id
                                                                           : event->id);
    command->item = (struct lane_item){
        .touches = &command->touch, .touch_count = !command->refused, .request_id = command->req->request_id};
    return lanes_submit(lanes, &command->item);
}

enum error_code payments_webhooks_start(const struct payments_webhooks_options *options, struct error *error)
{
    CHECK(!lanes);
    struct lanes_options lane_options = {.database_url = options->database_url,
                                         .role = "cathay webhooks",
                                         .settings = CONNECTION_SETTINGS,
                                         .lanes = options->lanes,
                                         .batch_max = options->batch_max,
                                         .queue_max = options->queue_max,
                                         .wait_max_ms = options->wait_max_ms,
                                         .run = run};
    return lanes_start(&lane_options, &lanes, error);
}

void payments_webhooks_stop(void)
{
    lanes_stop(lanes);
    lanes = NULL;
}
