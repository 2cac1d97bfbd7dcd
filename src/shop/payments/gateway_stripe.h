/* Inside of the Stripe adapter: reading its JSON and its signatures. Pure functions, nothing blocks. */
#ifndef CATHAY_SHOP_PAYMENTS_GATEWAY_STRIPE_H
#define CATHAY_SHOP_PAYMENTS_GATEWAY_STRIPE_H

#include "base/buf.h"
#include "base/json_view.h"
#include "shop/payments/gateway.h"

#define STRIPE_TOLERANCE_S 300
#define STRIPE_SIGNATURES_MAX 16

/* Stripe-Signature: t=<seconds>,v1=<hex>,v1=<hex>… over "<seconds>.<body>"
 * (https://docs.stripe.com/webhooks). Any of the v1 may fit; other schemes are passed over. ERR_SIGNATURE. */
enum error_code stripe_signature_check(struct str header, struct str body, struct str secret, int64_t now_us,
                                       struct error *error);

/* False where a member that the shop needs is missing or of another type. What is read lies in the arena or
 * in the text. */
bool stripe_intent_read(struct arena *arena, const struct json_view *object, struct gateway_intent *intent);
bool stripe_refund_read(struct arena *arena, const struct json_view *object, struct gateway_refund *refund);
enum error_code stripe_event_parse(struct arena *arena, struct str body, struct gateway_event *event,
                                   struct error *error);

/* The least and most charge as https://docs.stripe.com/currencies#minimum-and-maximum-charge-amounts says;
 * where it names no least, the gateway decides by its rate to the account's currency. */
struct cash_limits stripe_charge_limits(struct currency currency);

/* The form of a PaymentIntent that sends the shopper to the hosted page of a redirect method. */
void stripe_intent_form(struct buf *form, const struct gateway_intent_request *request,
                        const char *method_type);
void stripe_refund_form(struct buf *form, const struct gateway_refund_request *request);

#endif
