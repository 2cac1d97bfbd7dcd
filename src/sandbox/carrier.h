/* The sandbox carrier: the subset of EasyPost's REST API v2 (https://docs.easypost.com) that a shop needs:
 * shipments with rates, buying, labels and their refunds, trackers, events, webhooks; a public tracking page.
 * Parcels move by themselves every sandbox_parcel_step_ms, or on demand.
 *
 * carrier.c: calls, errors, events, the part. carrier_shipment.c, carrier_tracker.c: the resources.
 * carrier_page.c: label and tracking page. */
#ifndef CATHAY_SANDBOX_CARRIER_H
#define CATHAY_SANDBOX_CARRIER_H

#include "sandbox/form.h"
#include "sandbox/sandbox.h"

extern const struct sandbox_part sandbox_carrier;

#define CARRIER_NAME "carrier"
#define CARRIER_LIST_MAX 100
#define CARRIER_LIST_DEFAULT 20

/* Around each call of the API: key and faults. carrier_begin: false where it has been answered. carrier_end:
 * the answer, or what is to be said instead; `body` is JSON in the arena. */
bool carrier_begin(struct request *req, enum sandbox_fault *fault);
enum error_code carrier_end(struct request *req, enum sandbox_fault fault, enum error_code code, int status,
                            struct str body);
/* EasyPost's error object; field may be NULL. */
enum error_code carrier_refuse(struct request *req, int status, const char *error_code, const char *message,
                               const char *field);
enum error_code carrier_missing(struct request *req);

/* page_size, before_id, after_id. False: answered. */
struct carrier_paging {
    int64_t most;
    struct str before, after;
    struct form form;
};
bool carrier_paging(struct request *req, const struct sandbox_input *in, struct carrier_paging *paging);

/* In a transaction: an Event about an object, kept and sent. previous: JSON of what it was, or absent. */
enum error_code carrier_event(struct pg *db, struct arena *arena, const char *description,
                              struct str object_id, struct str object, struct str previous);

/* In a transaction: the tracker of a shipment that was bought (shipment_id), or of a code alone; publishes
 * tracker.created. */
enum error_code carrier_tracker_make(struct pg *db, struct arena *arena, struct str origin, struct str code,
                                     struct str shipment_id, struct str city, struct str country,
                                     struct str *body);
/* In a transaction: the tracker (by id or code) goes one step on, or to `status` where that is given.
 * ERR_NOT_FOUND; ERR_CONFLICT where it has arrived. */
enum error_code carrier_tracker_advance(struct pg *db, struct arena *arena, struct str id, struct str status);
/* The thread that moves parcels. */
void carrier_mover_start(void);
void carrier_mover_stop(void);

extern const struct api_route carrier_shipment_routes[], carrier_tracker_routes[], carrier_page_routes[];

#endif
