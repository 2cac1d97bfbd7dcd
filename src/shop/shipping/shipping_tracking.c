/* News of parcels, by webhook or by asking. Both end in tracker_apply: history is added to, a state only
 * moves forward, the fulfilment follows. Twice or out of order it changes nothing. */
#include "base/check.h"
#include "base/config.h"
#include "base/log.h"
#include "base/metrics.h"
#include "shipping_sql.h"
#include "shop/orders/orders.h"
#include "shop/shipping/parcel.h"
#include "shop/shipping/shipping_internal.h"

#define POLL_AT_ONCE_MAX 50
/* A webhook may overtake the record of its label: it is tried again some times before it is taken for a
 * stranger's. */
#define STRANGER_ATTEMPTS 4

static enum error_code events_insert(struct pg *db, struct arena *arena, struct shipment_id id,
                                     const struct carrier_tracker *tracker)
{
    size_t count = tracker->event_count;
    if (count == 0)
        return ERR_OK;
    struct str *statuses = ARENA_ARRAY(arena, struct str, count),
               *messages = ARENA_ARRAY(arena, struct str, count),
               *places = ARENA_ARRAY(arena, struct str, count);
    int64_t *times = ARENA_ARRAY(arena, int64_t, count);
    for (size_t i = 0; i < count; i++) {
        statuses[i] = str_from(parcel_status_text(tracker->events[i].status));
        messages[i] = tracker->events[i].message.ptr ? tracker->events[i].message : STR("");
        places[i] = tracker->events[i].place;
        times[i] = tracker->events[i].occurred_at_us;
    }
    struct shipment_event_insert_args args = {
        id, {statuses, count}, {times, count}, {messages, count}, {places, count}};
    return shipment_event_insert(db, args, NULL);
}

static enum error_code moved_publish(struct pg *db, struct arena *arena, const struct order *order,
                                     struct shipment_id id, enum parcel_status status, const char *news)
{
    char order_text[ID_TEXT_MAX], shipment_text[ID_TEXT_MAX];
    struct str told = news ? arena_printf(arena, ",\"news\":\"%s\"", news) : STR("");
    order_id_text(order->id, order_text);
    shipment_id_text(id, shipment_text);
    struct event event = {
        .type = STR("order.shipment_moved"),
        .aggregate_id = order->id.uuid,
        .payload = arena_printf(arena, "{\"order_id\":\"%s\",\"shipment_id\":\"%s\",\"state\":\"%s\"%.*s}",
                                order_text, shipment_text, parcel_status_text(status), STR_ARG(told)),
    };
    return outbox_publish(db, &event, NULL);
}

static int64_t newest_of(const struct carrier_tracker *tracker)
{
    int64_t newest = 0;
    for (size_t i = 0; i < tracker->event_count; i++)
        if (tracker->events[i].occurred_at_us > newest)
            newest = tracker->events[i].occurred_at_us;
    return newest;
}

static struct str reason_of(enum parcel_status status)
{
    switch (status) {
    case PARCEL_DELIVERED:
        return STR("The parcel was delivered");
    case PARCEL_RETURN_TO_SENDER:
        return STR("The parcel came back");
    default:
        return STR("The parcel is on its way");
    }
}

enum error_code shipping_tracker_apply(struct pg *db, struct arena *arena, struct order_id order_id,
                                       struct shipment_id id, int16_t fulfilment_no,
                                       const struct carrier_tracker *tracker)
{
    CHECK(pg_in_transaction(db));
    struct order order;
    enum error_code code = order_lock(db, arena, order_id, &order);
    struct shipment_lock_row row;
    bool found = false;
    if (code == ERR_OK)
        code = shipment_lock(db, arena, (struct shipment_lock_args){id}, &row, &found);
    if (code == ERR_OK && !found)
        code = ERR_NOT_FOUND;
    if (code == ERR_OK)
        code = events_insert(db, arena, id, tracker);
    if (code != ERR_OK)
        return code;
    bool newer = newest_of(tracker) > (row.newest_event_at.present ? row.newest_event_at.value : 0);
    if (!parcel_moves(row.state, tracker->status, newer))
        return shipment_heard(db, (struct shipment_heard_args){id}, NULL);
    struct shipment_state_set_args args = {id, str_from(parcel_status_text(tracker->status)),
                                           tracker->response};
    code = shipment_state_set(db, args, NULL);
    if (code == ERR_OK)
        code = moved_publish(db, arena, &order, id, tracker->status, parcel_news(row.state, tracker->status));
    enum fulfilment_state part;
    if (code == ERR_OK && parcel_fulfilment_state(tracker->status, &part)) {
        struct order_cause cause = {.actor = ACTOR_CARRIER, .reason = reason_of(tracker->status)};
        code = order_fulfilment_advance(db, arena, &order, fulfilment_no, part, &cause);
    }
    return code;
}

/* ---- webhooks ---- */

static enum error_code finish(struct task_run *run, const char *state, const char *detail)
{
    struct easypost_webhook_finish_args args = {{run->event.aggregate_id}, str_from(state), str_from(detail)};
    return easypost_webhook_finish(run->db, args, NULL);
}

enum error_code shipping_webhook_task(struct task_run *run)
{
    struct easypost_webhook_lock_row row;
    bool found;
    struct easypost_webhook_lock_args args = {{run->event.aggregate_id}};
    enum error_code code = easypost_webhook_lock(run->db, run->arena, args, &row, &found);
    if (code != ERR_OK || !found || !str_equal(row.state, STR("received")))
        return code;
    struct carrier_news news;
    if (!shipping_carrier()->webhook_parse(run->arena, row.body, &news) || !news.about_tracker)
        return finish(run, "ignored", "not about a parcel");
    struct shipment_by_tracker_row shipment;
    code = shipment_by_tracker(run->db, run->arena, (struct shipment_by_tracker_args){news.tracker.id},
                               &shipment, &found);
    if (code != ERR_OK)
        return code;
    if (!found && run->attempt < STRANGER_ATTEMPTS)
        return error_set(&run->error, ERR_NOT_FOUND, "No shipment has this tracker yet");
    if (!found)
        return finish(run, "ignored", "no shipment has this tracker");
    if (!str_equal(shipment.tracking_code, news.tracker.tracking_code))
        return finish(run, "mismatched", "the tracking code is not the shipment's");
    code = shipping_tracker_apply(run->db, run->arena, shipment.order_id, shipment.id, shipment.fulfilment_no,
                                  &news.tracker);
    return code == ERR_OK ? finish(run, "processed", NULL) : code;
}

/* ---- asking ---- */

struct polled {
    struct arena *arena;
    const struct shipment_quiet_list_row *row;
    struct carrier_tracker tracker;
};

static enum error_code apply_polled(struct pg *db, void *context)
{
    const struct polled *polled = context;
    return shipping_tracker_apply(db, polled->arena, polled->row->order_id, polled->row->id,
                                  polled->row->fulfilment_no, &polled->tracker);
}

static enum error_code poll_one(struct task_run *run, const struct shipment_quiet_list_row *row)
{
    if (str_equal(row->state, STR("created")))
        return shipping_label_make(run->db, run->arena, row->id, false, &run->error);
    if (!row->tracker_id.ptr)
        return shipment_heard(run->db, (struct shipment_heard_args){row->id}, NULL);
    struct polled polled = {.arena = run->arena, .row = row};
    bool found = false;
    enum error_code code = shipping_carrier()->tracker_read(run->db, run->arena, row->tracker_id,
                                                            &polled.tracker, &found, &run->error);
    if (code != ERR_OK)
        return code;
    if (!found)
        return shipment_heard(run->db, (struct shipment_heard_args){row->id}, NULL);
    return pg_transaction(run->db, apply_polled, &polled);
}

static void row_failed(const struct shipment_quiet_list_row *row, enum error_code code,
                       const struct error *error)
{
    char id[ID_TEXT_MAX];
    shipment_id_text(row->id, id);
    metric_add(metric_counter("cathay_shipment_polls_failed_total",
                              "Parcels that the carrier could not be asked about", NULL),
               1);
    log_write(LOG_WARN, "parcel could not be asked about yet", LOG_TEXT("shipment", id),
              LOG_TEXT("code", error_text(code)), LOG_TEXT("detail", error->detail));
}

enum error_code shipping_poll_task(struct task_run *run)
{
    struct shipment_quiet_list_rows rows;
    struct shipment_quiet_list_args args = {config()->shipment_quiet_s, POLL_AT_ONCE_MAX};
    enum error_code code = shipment_quiet_list(run->db, run->arena, args, &rows);
    /* One parcel that cannot be helped does not stop the line behind it; where the carrier is away all would
     * wait for nothing. */
    for (size_t i = 0; code == ERR_OK && i < rows.count && !shipping_carrier()->is_away(); i++) {
        enum error_code one = poll_one(run, &rows.items[i]);
        if (one == ERR_OK)
            continue;
        row_failed(&rows.items[i], one, &run->error);
        if (one == ERR_DATABASE)
            return one;
        shipment_heard(run->db, (struct shipment_heard_args){rows.items[i].id}, NULL);
    }
    return code;
}
