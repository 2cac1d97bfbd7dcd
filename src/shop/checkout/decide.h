/* The decision of checkout: given what was locked and read, and the orders that wait in order of arrival,
 * which are accepted and what each of them takes. Pure: no I/O, no clock, no random numbers, so that tests
 * and fuzzing need no database. An order is accepted whole or rejected with reasons; a rejected one changes
 * nothing for those behind it.
 *
 * All memory belongs to the caller's arena and lives for one batch. */
#ifndef CATHAY_SHOP_CHECKOUT_DECIDE_H
#define CATHAY_SHOP_CHECKOUT_DECIDE_H

#include "base/arena.h"
#include "base/error.h"
#include "base/id.h"
#include "base/money.h"
#include "shop/loyalty/loyalty.h"
#include "shop/orders/orders.h"
#include "shop/sale/sale.h"

#define CHECKOUT_LINES_MAX MILES_LINES_MAX
#define CHECKOUT_QUANTITY_MAX 999
/* Places that one line may be sent from; a line that needs more is out of stock. */
#define CHECKOUT_PARTS_MAX 8

/* ── the state that was locked; decide changes `available`, `reserve` … as it accepts ── */

struct checkout_stock {
    struct location_id location_id;
    int32_t priority;
    int32_t available; /* on hand less reserved, less what this batch has taken */
    int32_t reserve;   /* what this batch takes */
    int32_t goods;     /* the row's number of goods; not for the decision, see known.h */
};

/* A variant in one currency, as the database has it now. */
struct checkout_variant {
    struct variant_id variant_id;
    struct product_id product_id;
    struct vendor_id vendor_id;
    struct currency currency;
    struct str sku, title;
    bool for_sale; /* published, active */
    bool has_price;
    int64_t price_minor;
    enum miles_tender tender;
    struct uuid_array category_path;
};

/* All stock of one variant, by priority. Shared by its currencies. */
struct checkout_stocks {
    struct variant_id variant_id;
    struct product_id product_id;
    struct checkout_stock *items;
    size_t count;
    int64_t available_before; /* of all locations, when the batch began */
};

struct checkout_account {
    struct user_id user_id;
    struct account_id account_id;
    bool exists;
    int64_t available;
    int64_t hold;               /* what this batch takes */
    struct order_unpaid unpaid; /* with what this batch adds */
    bool unpaid_limited;
};

struct checkout_cart {
    struct cart_id cart_id;
    bool exists;
    struct user_id user_id;
    bool owned; /* by a customer; a guest's cart belongs to whoever knows its id */
    bool open;
    int32_t version;
};

/* A flash sale; decide adds to its `sold`. */
struct checkout_sale {
    struct sale sale;
    bool exists;
    int32_t sold_before; /* when the batch began */
};

/* What one customer has of one sale. */
struct checkout_sale_customer {
    struct sale_id sale_id;
    struct user_id customer_id;
    int32_t taken; /* with what this batch takes */
    int32_t take;  /* what this batch takes */
};

/* So much of a body's hash is stored and compared. */
#define CHECKOUT_HASH_BYTES 16

/* The stored answer to an Idempotency-Key. */
struct checkout_stored {
    bool exists;
    struct str body_hash; /* CHECKOUT_HASH_BYTES of it; whole where it was stored by an older release */
    int16_t status;
    struct str body;
};

/* ── one order: what was asked, what it met, what was decided ── */

struct checkout_part {
    size_t stock; /* index within the line's stocks */
    int32_t quantity;
};

struct checkout_line {
    struct variant_id variant_id;
    int32_t quantity;
    int64_t unit_price_minor; /* as the shopper saw it */
    /* set before the decision */
    struct checkout_variant *variant; /* NULL: there is none */
    struct checkout_stocks *stocks;   /* NULL: none anywhere */
    /* the decision */
    int64_t price_minor; /* of one: the variant's, or the sale's */
    struct miles_line split;
    struct checkout_part parts[CHECKOUT_PARTS_MAX];
    size_t part_count;
};

enum checkout_outcome { CHECKOUT_ACCEPTED, CHECKOUT_REJECTED, CHECKOUT_REPLAYED };

struct checkout_order {
    /* asked */
    struct user_id customer_id;
    struct currency currency;
    struct str key;       /* Idempotency-Key */
    struct str body_hash; /* of the request */
    struct str address;   /* JSON */
    struct str traceparent;
    struct str request_id; /* for the report of a crash */
    int64_t points;
    bool has_cash; /* the shopper names the cash that the quote showed */
    int64_t cash_minor_seen;
    bool has_cart;
    struct cart_id cart_id;
    int32_t cart_version;
    struct checkout_line *lines;
    size_t line_count;
    bool of_sale; /* one line, of the sale's variant, at the sale's price, in its currency */
    struct sale_id sale_id;
    uint8_t sale_key[SALE_KEY_BYTES]; /* of the admission */
    /* made beforehand, used where the order is accepted */
    struct order_id order_id;
    struct payment_id payment_id;
    struct uuid hold_id;
    int64_t number;
    int64_t placed_at_us, expires_at_us;
    /* met; set before the decision */
    struct checkout_account *account;
    struct checkout_cart *cart; /* NULL without one */
    struct checkout_sale *sale; /* NULL without one */
    struct checkout_sale_customer *sale_customer;
    struct checkout_stored stored;
    const struct miles_policy *policy; /* NULL: the currency is not sold in */
    bool key_in_batch;                 /* an order before it in this batch has the same customer and key */
    /* decided */
    enum checkout_outcome outcome;
    enum error_code code; /* of a rejection */
    struct error error;
    int64_t subtotal_minor, points_value_minor, cash_minor, earn_points;
};

/* Decides one after another. */
void checkout_decide(struct checkout_order *const *orders, size_t count);

#endif
