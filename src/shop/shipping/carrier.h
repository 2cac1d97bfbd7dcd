/* What the shop asks of a carrier, whoever it is: one const table of functions for each provider, with a
 * version that an implementation is compiled against. Isolates the provider's protocol: nothing of it is
 * known outside carrier_*.c.
 *
 * Functions that call the carrier block, take as long as partner_timeout_ms allows, and must not be called
 * with a transaction open (db is checked for that). Errors: ERR_PARTNER, ERR_PARTNER_TIMEOUT (try again
 * later), ERR_VALIDATION (the carrier refuses this parcel; error says why). Results live in the arena. */
#ifndef CATHAY_SHOP_SHIPPING_CARRIER_H
#define CATHAY_SHOP_SHIPPING_CARRIER_H

#include "base/arena.h"
#include "base/error.h"
#include "pg/pg.h"

#define CARRIER_VERSION 2
#define CARRIER_EVENTS_MAX 200

struct carrier_address {
    struct str name, company, line1, line2, city, region, postal_code, country,
        phone; /* absent where there is none */
};

struct carrier_parcel {
    struct str reference; /* ours; the carrier finds the shipment by it again */
    struct carrier_address to, from;
    int64_t weight_grams;
};

/* What became of a label that was given back; the shop's names are the same as EasyPost's. */
enum carrier_refund {
    CARRIER_REFUND_NONE, /* not asked for */
    CARRIER_REFUND_SUBMITTED,
    CARRIER_REFUND_REFUNDED,
    CARRIER_REFUND_REJECTED,
    CARRIER_REFUND_NOT_APPLICABLE,
    CARRIER_REFUND_COUNT
};

/* A shipment as the carrier has it. */
struct carrier_shipment {
    struct str id;
    struct str rate_id; /* the cheapest offer; absent where there is none */
    bool labelled;
    struct str carrier, tracker_id, tracking_code, tracking_url, label_url; /* of a labelled one */
    enum carrier_refund refund;
    struct str response; /* the carrier's words, JSON */
};

/* Statuses of a parcel; the shop's names are the same as EasyPost's. */
enum parcel_status {
    PARCEL_UNKNOWN,
    PARCEL_PRE_TRANSIT,
    PARCEL_IN_TRANSIT,
    PARCEL_OUT_FOR_DELIVERY,
    PARCEL_AVAILABLE_FOR_PICKUP,
    PARCEL_DELIVERED,
    PARCEL_RETURN_TO_SENDER,
    PARCEL_FAILURE,
    PARCEL_CANCELLED,
    PARCEL_ERROR,
    PARCEL_STATUS_COUNT
};

struct carrier_event {
    enum parcel_status status;
    int64_t occurred_at_us;
    struct str message, place; /* place may be absent */
};

struct carrier_tracker {
    struct str id, tracking_code;
    enum parcel_status status;
    const struct carrier_event *events;
    size_t event_count;
    struct str response;
};

/* What a webhook says. */
struct carrier_news {
    struct str event_id, type;
    bool about_tracker; /* else there is nothing in it for the shop */
    struct carrier_tracker tracker;
};

struct carrier {
    int version; /* CARRIER_VERSION */
    const char *name;
    enum error_code (*shipment_create)(struct pg *db, struct arena *arena,
                                       const struct carrier_parcel *parcel, struct carrier_shipment *shipment,
                                       struct error *error);
    /* By the carrier's identifier or by our reference. */
    enum error_code (*shipment_find)(struct pg *db, struct arena *arena, struct str id_or_reference,
                                     struct carrier_shipment *shipment, bool *found, struct error *error);
    /* Pays for the rate; the shipment has label and tracking code afterwards. */
    enum error_code (*label_buy)(struct pg *db, struct arena *arena, struct str id, struct str rate_id,
                                 struct carrier_shipment *shipment, struct error *error);
    /* Voids the label: `refund` of the shipment says whether. A second time may be ERR_VALIDATION: find it
     * first.
     */
    enum error_code (*label_void)(struct pg *db, struct arena *arena, struct str id,
                                  struct carrier_shipment *shipment, struct error *error);
    /* Whether calls fail at once, without asking: the circuit is open. Does not block. */
    bool (*is_away)(void);
    enum error_code (*tracker_read)(struct pg *db, struct arena *arena, struct str id,
                                    struct carrier_tracker *tracker, bool *found, struct error *error);
    /* Pure: whether the signature fits the body, in constant time. */
    bool (*webhook_verify)(struct str signature, struct str body);
    /* Pure. False: not a message of this carrier. */
    bool (*webhook_parse)(struct arena *arena, struct str body, struct carrier_news *news);
};

/* EasyPost's REST API v2 (https://docs.easypost.com), by the settings easypost_url, easypost_key and
 * easypost_webhook_secret. Start reads them; ERR_VALIDATION where they cannot work. */
extern const struct carrier carrier_easypost;
enum error_code carrier_easypost_start(struct error *error);
void carrier_easypost_stop(void);

#endif
