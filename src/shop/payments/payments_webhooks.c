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
        log_write(LOG_ERROR, "webhook does not fit the payment", "\"event\":\"%.*s\",\"why\":\"%s\"",
                  STR_ARG(event_id), why);
}

/* ---- one batch ---- */

struct batch {
    struct arena *arena;
    struct webhook_command **commands; /* in order of arrival */
    size_t count;
    bool store_only;
};

/* What most events of a kind come to: they are stored so, and the others are corrected. */
static void expect(struct webhook_command *command, bool store_only)
{
    command->state = WEBHOOK_RECEIVED;
    command->why = NULL;
    if (command->event.kind == GATEWAY_EVENT_OTHER) {
        command->state = WEBHOOK_IGNORED;
        command->why = "nothing that the shop acts on";
    } else if (!store_only && command->event.kind == GATEWAY_EVENT_INTENT &&
               command->event.intent.state == GATEWAY_INTENT_SUCCEEDED) {
        command->state = WEBHOOK_PROCESSED;
        command->why = "the order is confirmed";
    }
}

static int by_event(const void *a, const void *b)
{
    struct str left = (*(struct webhook_command *const *)a)->event.id;
    struct str right = (*(struct webhook_command *const *)b)->event.id;
    int order = memcmp(left.ptr, right.ptr, left.len < right.len ? left.len : right.len);
    return order ? order : (left.len > right.len) - (left.len < right.len);
}

static int by_id(const void *a, const void *b)
{
    return uuid_compare((*(struct webhook_command *const *)a)->id.uuid,
                        (*(struct webhook_command *const *)b)->id.uuid);
}

/* The batch in another order. */
static struct webhook_command **sorted(const struct batch *batch, int (*compare)(const void *, const void *))
{
    struct webhook_command **commands = ARENA_ARRAY(batch->arena, struct webhook_command *, batch->count);
    memcpy(commands, batch->commands, batch->count * sizeof *commands);
    qsort(commands, batch->count, sizeof *commands, compare);
    return commands;
}

static enum error_code store(struct pg *db, const struct batch *batch)
{
    size_t count = batch->count;
    struct webhook_command **commands = sorted(batch, by_event);
    struct webhook_id *ids = ARENA_ARRAY(batch->arena, struct webhook_id, count);
    struct str *event_ids = ARENA_ARRAY(batch->arena, struct str, count);
    struct str *types = ARENA_ARRAY(batch->arena, struct str, count);
    struct str *bodies = ARENA_ARRAY(batch->arena, struct str, count);
    struct str *states = ARENA_ARRAY(batch->arena, struct str, count);
    struct str *details = ARENA_ARRAY(batch->arena, struct str, count);
    for (size_t i = 0; i < count; i++) {
        struct webhook_command *command = commands[i];
        expect(command, batch->store_only);
        ids[i] = command->id = webhook_id_new();
        command->stored = false;
        event_ids[i] = command->event.id;
        types[i] = command->event.type;
        bodies[i] = command->req->body;
        states[i] = str_from(payment_webhook_state_text(command->state));
        details[i] = command->why ? str_from(command->why) : STR_NONE;
    }
    struct payment_webhook_insert_batch_args args = {.ids = {ids, count},
                                                     .provider = str_from(payment_gateway()->provider),
                                                     .event_ids = {event_ids, count},
                                                     .types = {types, count},
                                                     .bodies = {bodies, count},
                                                     .states = {states, count},
                                                     .details = {details, count}};
    struct payment_webhook_insert_batch_rows rows;
    enum error_code code = payment_webhook_insert_batch(db, batch->arena, args, &rows);
    if (code)
        return code;
    commands = sorted(batch, by_id);
    for (size_t i = 0; i < rows.count; i++) {
        struct webhook_command key = {.id = rows.items[i].id};
        const struct webhook_command *wanted = &key;
        struct webhook_command **found = bsearch(&wanted, commands, count, sizeof *commands, by_id);
        CHECK(found);
        (*found)->stored = true;
    }
    return ERR_OK;
}

/* Makes true what the stored events say, and notes on their webhooks what came of it. */
static enum error_code make_true(struct pg *db, const struct batch *batch)
{
    struct payment_news *news = ARENA_ARRAY(batch->arena, struct payment_news, batch->count);
    struct webhook_command **of = ARENA_ARRAY(batch->arena, struct webhook_command *, batch->count);
    size_t count = 0;
    for (size_t i = 0; i < batch->count; i++) {
        struct webhook_command *command = batch->commands[i];
        if (!command->stored || command->event.kind != GATEWAY_EVENT_INTENT)
            continue;
        of[count] = command;
        news[count++] =
            (struct payment_news){.intent = &command->event.intent, .traceparent = command->req->traceparent};
    }
    enum error_code code = count > 0 ? payment_finalise(db, batch->arena, news, count) : ERR_OK;
    if (code)
        return code;
    struct webhook_id *ids = ARENA_ARRAY(batch->arena, struct webhook_id, count);
    struct str *states = ARENA_ARRAY(batch->arena, struct str, count);
    struct str *details = ARENA_ARRAY(batch->arena, struct str, count);
    size_t corrected = 0;
    for (size_t i = 0; i < count; i++) {
        enum webhook_state state = payment_webhook_state_of(GATEWAY_EVENT_INTENT, news[i].finding);
        payment_webhook_note(state, of[i]->event.id, news[i].why);
        if (state == of[i]->state && of[i]->why && strcmp(news[i].why, of[i]->why) == 0)
            continue;
        of[i]->state = state;
        ids[corrected] = of[i]->id;
        states[corrected] = str_from(payment_webhook_state_text(state));
        details[corrected++] = str_from(news[i].why);
    }
    if (corrected == 0)
        return ERR_OK;
    return payment_webhook_state_set_batch(db,
                                           (struct payment_webhook_state_set_batch_args){
                                               {ids, corrected}, {states, corrected}, {details, corrected}},
                                           NULL);
}

/* A task for each that is left. */
static enum error_code publish_left(struct pg *db, const struct batch *batch)
{
    struct event *events = ARENA_ARRAY(batch->arena, struct event, batch->count);
    size_t count = 0;
    for (size_t i = 0; i < batch->count; i++) {
        const struct webhook_command *command = batch->commands[i];
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
    if (count == 0)
        return ERR_OK;
    enum error_code code = pg_pipeline_begin(db);
    if (code)
        return code;
    code = outbox_publish_queue(db, batch->arena, events, count);
    if (!code)
        code = pg_pipeline_sync(db);
    if (!code)
        code = outbox_publish_fetch(db);
    enum error_code end = pg_pipeline_end(db);
    return code ? code : end;
}

static enum error_code run_batch(struct pg *db, void *context)
{
    struct batch *batch = context;
    arena_reset(batch->arena);
    enum error_code code = store(db, batch);
    if (!code && !batch->store_only)
        code = make_true(db, batch);
    return code ? code : publish_left(db, batch);
}

static enum error_code settle(struct pg *db, struct batch *batch)
{
    enum error_code code = pg_transaction(db, run_batch, batch);
    if (!code || code == ERR_DATABASE) /* in doubt or not stored: the gateway sends it again */
        return code;
    log_write(LOG_WARN, "webhooks are only stored: tasks work them out one by one",
              "\"webhooks\":%zu,\"code\":\"%s\",\"detail\":\"%s\"", batch->count, error_text(code),
              pg_error(db)->detail);
    batch->store_only = true;
    return pg_transaction(db, run_batch, batch);
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
    log_write(LOG_WARN, "webhook refused", "\"provider\":\"%s\",\"reason\":\"%s\",\"kept\":%s",
              payment_gateway()->provider, req->error.detail, kept ? "true" : "false");
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
    command->touch = lane_hash_text(event->kind == GATEWAY_EVENT_INTENT   ? event->intent.id
                                    : event->kind == GATEWAY_EVENT_REFUND ? event->refund.intent_id
                                                                          : event->id);
    command->item = (struct lane_item){.touches = &command->touch, .touch_count = !command->refused};
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
