/* The rules of parcels: how news moves a shipment, and what it means for the fulfilment. Pure. */
#ifndef CATHAY_SHOP_SHIPPING_PARCEL_H
#define CATHAY_SHOP_SHIPPING_PARCEL_H

#include "shop/orders/orders.h"
#include "shop/shipping/carrier.h"

const char *parcel_status_text(enum parcel_status status); /* as in the database and at EasyPost */
bool parcel_status_parse(struct str text, enum parcel_status *status);

const char *carrier_refund_text(enum carrier_refund refund); /* as in the database and at EasyPost */

/* Whether a shipment in that state (a status, "created" or "labelled") moves on to `to`: forward only, so
 * that late news changes nothing. After an attempt that failed the carrier tries again: then news that
 * happened later than all that was known (`newer`) leads back under way. */
bool parcel_moves(struct str state, enum parcel_status to, bool newer);

/* What the shopper is told when a shipment moves from that state: "shipped" (once a parcel), "ready" to be
 * collected, "failed" (an attempt), "delivered", "returned"; NULL: nothing. */
const char *parcel_news(struct str state, enum parcel_status to);

/* What the fulfilment becomes; false where the status says nothing about it. */
bool parcel_fulfilment_state(enum parcel_status status, enum fulfilment_state *state);

#endif
