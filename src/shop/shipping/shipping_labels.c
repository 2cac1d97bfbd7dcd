/* From a confirmed order to labels: a row for each fulfilment first, then the carrier's shipment, then its
 * label. Each step is recorded before the next, and what may have happened before a crash is looked up by our
 * reference, because the carrier knows no idempotency keys. */
#include "base/check.h"
#include "base/log.h"
#include "base/metrics.h"
#include "shipping_sql.h"
#include "shop/orders/orders.h"
#include "shop/shipping/shipping_internal.h"

#include <jansson.h>

static struct str member(struct arena *arena, const json_t *address, const char *name)
{
    const json_t *value = json_object_get(address, name);
    return json_is_string(value) ? arena_copy(arena, str_from(json_string_value(value))) : STR_NONE;
}

static struct carrier_address address_of(struct arena *arena, struct str json_text)
{
    json_t *json = json_loadb(json_text.ptr, json_text.len, 0, NULL);
    struct carrier_address address = {
        .name = member(arena, json, "name"),
        .company = member(arena, json, "company"),
        .line1 = member(arena, json, "line1"),
        .line2 = member(arena, json, "line2"),
        .city = member(arena, json, "city"),
        .region = member(arena, json, "region"),
        .postal_code = member(arena, json, "postal_code"),
        .country = member(arena, json, "country"),
        .phone = member(arena, json, "phone"),
    };
    json_decref(json);
    return address;
}

/* The name by which the carrier knows it: another one for each address that it was to go to. */
static struct str reference_of(struct arena *arena, struct shipment_id id, int16_t revision)
{
    char text[ID_TEXT_MAX];
    shipment_id_text(id, text);
    return revision ? arena_printf(arena, "%s-%d", text, revision) : arena_copy(arena, str_from(text));
}

/* Creates the shipment at the carrier, unless an earlier attempt did. */
static enum error_code ensure_created(struct pg *db, struct arena *arena, struct shipment_id id, bool is_new,
                                      const struct shipment_parcel_row *row,
                                      struct carrier_shipment *shipment, struct error *error)
{
    const struct carrier *carrier = shipping_carrier();
    struct str reference = reference_of(arena, id, row->revision);
    bool found = false;
    enum error_code code = ERR_OK;
    if (row->carrier_id.ptr || !is_new)
        code = carrier->shipment_find(db, arena, row->carrier_id.ptr ? row->carrier_id : reference, shipment,
                                      &found, error);
    if (code == ERR_OK && !found) {
        struct carrier_parcel parcel = {
            .reference = reference,
            .to = address_of(arena, row->to_address),
            .from = {.name = row->location,
                     .company = row->vendor,
                     .line1 = row->location,
                     .city = row->location_code,
                     .country = row->country},
            .weight_grams = row->weight_grams,
        };
        code = carrier->shipment_create(db, arena, &parcel, shipment, error);
    }
    if (code != ERR_OK || row->carrier_id.ptr)
        return code;
    /* Whoever comes first decides which shipment it is; a second attempt at the same time buys nothing. */
    int64_t affected;
    code = shipment_carrier_id_set(db, (struct shipment_carrier_id_set_args){id, row->revision, shipment->id},
                                   &affected);
    if (code == ERR_OK && affected == 0)
        code = error_set(error, ERR_CONFLICT, "Another attempt is making this label");
    return code;
}

struct labelled {
    struct arena *arena;
    struct shipment_id id;
    struct order_id order_id;
    int16_t fulfilment_no, revision;
    const struct carrier_shipment *shipment;
};

static enum error_code record_label(struct pg *db, void *context)
{
    const struct labelled *in = context;
    struct order order;
    enum error_code code = order_lock(db, in->arena, in->order_id, &order);
    if (code != ERR_OK)
        return code;
    struct shipment_label_set_args args = {
        .id = in->id,
        .revision = in->revision,
        .carrier_id = in->shipment->id,
        .carrier = in->shipment->carrier,
        .tracker_id = in->shipment->tracker_id,
        .tracking_code = in->shipment->tracking_code,
        .tracking_url = in->shipment->tracking_url,
        .label_url = in->shipment->label_url,
        .response = in->shipment->response,
    };
    int64_t affected;
    code = shipment_label_set(db, args, &affected);
    if (code != ERR_OK || affected == 0)
        return code;
    if (order.state == ORDER_CANCELLED || order.state == ORDER_REFUNDED)
        return shipping_void_enqueue(db, order.id); /* it ended while the label was bought */
    struct order_cause cause = {.actor = ACTOR_CARRIER, .reason = STR("The label is made")};
    return order_fulfilment_advance(db, in->arena, &order, in->fulfilment_no, FULFILMENT_PROCESSING, &cause);
}

struct asking {
    struct arena *arena;
    struct shipment_id id;
    struct order_id order_id;
    struct shipment_parcel_row row;
    bool found;
};

/* With the order locked, so that the address that is read is the one that the label gets
 * (shipping_address.c). */
static enum error_code begin_asking(struct pg *db, void *context)
{
    struct asking *in = context;
    struct order order;
    enum error_code code = order_lock(db, in->arena, in->order_id, &order);
    if (code == ERR_OK)
        code = shipment_parcel(db, in->arena, (struct shipment_parcel_args){in->id}, &in->row, &in->found);
    if (code == ERR_OK && in->found && in->row.is_wanted)
        code = shipment_asked_set(db, (struct shipment_asked_set_args){in->id}, NULL);
    return code;
}

/* Refused for good: not a fault of ours that another attempt mends, but work for staff. */
static enum error_code note_refusal(struct pg *db, const struct asking *asking, const struct error *error)
{
    char id[ID_TEXT_MAX];
    shipment_id_text(asking->id, id);
    log_write(LOG_WARN, "carrier refuses a label", LOG_TEXT("shipment", id));
    metric_add(metric_counter("cathay_shipment_labels_refused_total",
                              "labels that the carrier refused; staff see them in their list of parcels",
                              NULL),
               1);
    struct shipment_problem_set_args args = {asking->id, asking->row.revision, str_from(error->detail)};
    return shipment_problem_set(db, args, NULL);
}

static enum error_code ask_for_label(struct pg *db, const struct asking *asking, bool is_new,
                                     struct carrier_shipment *shipment, struct error *error)
{
    struct arena *arena = asking->arena;
    enum error_code code = ensure_created(db, arena, asking->id, is_new, &asking->row, shipment, error);
    if (code != ERR_OK || shipment->labelled)
        return code;
    if (!shipment->rate_id.ptr)
        return error_set(error, ERR_VALIDATION, "The carrier offers no rate for this parcel");
    return shipping_carrier()->label_buy(db, arena, shipment->id, shipment->rate_id, shipment, error);
}

static enum error_code keep_label(struct pg *db, const struct asking *asking,
                                  const struct carrier_shipment *shipment)
{
    struct labelled labelled = {.arena = asking->arena,
                                .id = asking->id,
                                .order_id = asking->order_id,
                                .fulfilment_no = asking->row.fulfilment_no,
                                .revision = asking->row.revision,
                                .shipment = shipment};
    return pg_transaction(db, record_label, &labelled);
}

/* Nobody wants the parcel any more. Its label may have been bought before a crash: then it is given back. */
static enum error_code end_unwanted(struct pg *db, const struct asking *asking, struct error *error)
{
    struct carrier_shipment shipment = {.labelled = false};
    struct str carrier_id = asking->row.carrier_id;
    bool found = false;
    enum error_code code = ERR_OK;
    if (carrier_id.ptr)
        code = shipping_carrier()->shipment_find(db, asking->arena, carrier_id, &shipment, &found, error);
    if (code == ERR_OK && found && shipment.labelled)
        return keep_label(db, asking, &shipment);
    return code ? code : shipment_cancel(db, (struct shipment_cancel_args){asking->id}, NULL);
}

enum error_code shipping_label_make(struct pg *db, struct arena *arena, struct shipment_id id, bool is_new,
                                    struct error *error)
{
    struct asking asking = {.arena = arena, .id = id};
    struct shipment_order_row owner;
    bool found;
    enum error_code code = shipment_order(db, arena, (struct shipment_order_args){id}, &owner, &found);
    if (code != ERR_OK || !found)
        return code;
    asking.order_id = owner.order_id;
    code = pg_transaction(db, begin_asking, &asking);
    if (code != ERR_OK || !asking.found || !str_equal(asking.row.state, STR("created")))
        return code;
    struct carrier_shipment shipment;
    if (!asking.row.is_wanted)
        return end_unwanted(db, &asking, error);
    code = ask_for_label(db, &asking, is_new && asking.row.revision == 0, &shipment, error);
    if (code == ERR_VALIDATION)
        return note_refusal(db, &asking, error);
    if (code != ERR_OK)
        return code;
    return keep_label(db, &asking, &shipment);
}

enum error_code shipping_labels_task(struct task_run *run)
{
    struct order_id order_id = {run->event.aggregate_id};
    int64_t made;
    enum error_code code =
        shipment_insert_missing(run->db, (struct shipment_insert_missing_args){order_id, uuid_new()}, &made);
    struct shipment_unlabelled_of_order_rows rows = {0};
    if (code == ERR_OK)
        code = shipment_unlabelled_of_order(run->db, run->arena,
                                            (struct shipment_unlabelled_of_order_args){order_id}, &rows);
    /* Rows that this attempt has made are known to nobody yet; only the others may exist at the carrier. */
    bool is_new = run->attempt == 1 && made == (int64_t)rows.count;
    for (size_t i = 0; i < rows.count; i++) {
        enum error_code one = shipping_label_make(run->db, run->arena, rows.items[i].id, is_new, &run->error);
        if (one != ERR_OK && code == ERR_OK)
            code = one;
    }
    return code;
}
