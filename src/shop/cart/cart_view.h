/* A cart as it is shown: read in one statement (two for a customer, with the balance; the policy of miles is
 * a third), and turned into the contract's shape. Nobody outside the module calls this. */
#ifndef CATHAY_SHOP_CART_CART_VIEW_H
#define CATHAY_SHOP_CART_CART_VIEW_H

#include "api.h"
#include "shop/cart/cart.h"
#include "shop/loyalty/loyalty.h"

struct cart_view {
    struct api_cart cart;
    struct opt_user_id user_id; /* whose it is */
    /* Of the lines that are for sale, in the order of cart.lines; with a policy only. */
    struct miles_line *miles_lines;
    size_t miles_line_count;
    bool has_policy;
    struct miles_policy policy;
    struct miles_quote quote;
};

/* By id, or the open cart of a user (the other one absent). ERR_NOT_FOUND. With a `reader` who is the cart's
 * customer, what may be redeemed is part of it. Blocks; a transaction may be open. */
enum error_code cart_view_load(struct pg *db, struct arena *arena, struct opt_cart_id cart_id,
                               struct opt_user_id user_id, const struct principal *reader,
                               struct cart_view *view);
/* ERR_NOT_FOUND unless the reader may see it: a guest's cart by whoever has its id, a customer's by the
 * customer. */
enum error_code cart_view_allowed(const struct cart_view *view, const struct principal *reader);
/* The body; the ETag too unless it was set before (`etag` false). */
enum error_code cart_view_respond(struct request *req, int status, const struct cart_view *view, bool etag);
void cart_respond_etag(struct request *req, int64_t version);

/* The open cart of a customer, made where there is none. ERR_NOT_FOUND never. */
enum error_code cart_mine_load(struct pg *db, struct arena *arena, const struct principal *reader,
                               struct cart_view *view);

/* Takes over a guest's cart in its own transaction or the caller's (`cart_merge_locked`). ERR_NOT_FOUND:
 * there is no such cart of a guest; ERR_CONFLICT: another customer has it. One that this customer took over
 * before does nothing. */
enum error_code cart_merge_locked(struct pg *db, struct arena *arena, struct user_id user_id,
                                  struct cart_id guest_id);
enum error_code cart_merge_at_sign_in(struct pg *db, struct arena *arena, struct user_id user_id,
                                      struct cart_id guest_id);

struct cart_limits cart_limits_configured(void);

#endif
