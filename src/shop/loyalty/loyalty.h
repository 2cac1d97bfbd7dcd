/* Loyalty: miles. Owns ledger_account, transfer, earning, miles_policy, miles_rate. Points move by transfers
 * between two accounts, append-only; a hold is a pending transfer, closed once by posting (capture) or
 * voiding (release). A customer's row carries the sums (posted, held, incoming, debt); available is
 * posted - held and never negative.
 *
 * Earned points that were spent before their order is refunded are owed: lent by a transfer of kind debt, and
 * paid back by what comes in next, whatever it is. Who owes has nothing available.
 *
 * Functions that change something need an open transaction; all that take a struct pg block. */
#ifndef CATHAY_SHOP_LOYALTY_LOYALTY_H
#define CATHAY_SHOP_LOYALTY_LOYALTY_H

#include "base/arena.h"
#include "base/error.h"
#include "base/id.h"
#include "base/money.h"
#include "pg/pg.h"

/* What can be paid in cash at once: nothing, or from `least` to `most` of the smallest unit. */
struct cash_limits {
    int64_t least, most;
};
/* Once, before any thread starts: who takes the cash says what it takes. Until then everything goes. */
void miles_cash_limits_set(struct cash_limits (*of)(struct currency currency));
/* Thread-safe. */
struct cash_limits miles_cash_limits(struct currency currency);
/* Pure. NULL, or why that much cash cannot be paid: "below_least_charge", "above_most_charge"; *bound: the
 * limit. */
const char *miles_cash_refusal(struct cash_limits limits, int64_t cash_minor, int64_t *bound);

/* The policy of Miles plus Cash in one currency. Shares are in hundredths of a percent. */
struct miles_policy {
    int32_t version;
    struct currency currency;
    int64_t minimum_points, step_points;
    int32_t maximum_share;
    int64_t points_unit, minor_unit; /* points_unit points are worth minor_unit of the smallest unit */
    int64_t earn_minor, earn_points; /* earn_minor in cash earns earn_points */
    int32_t return_window_days;
    struct uuid_array excluded_categories; /* with all below them */
};

enum miles_tender { TENDER_ANY, TENDER_POINTS_ONLY, TENDER_CASH_ONLY };

/* The most lines that one order has. */
#define MILES_LINES_MAX 100

/* Pure. As products have it: "points_only", "cash_only", "any". */
enum miles_tender miles_tender_parse(struct str text);
/* Pure. How goods below these categories are paid: where the rules exclude one, in cash alone. */
enum miles_tender miles_tender_of(const struct miles_policy *policy, enum miles_tender tender,
                                  struct uuid_array category_path);

/* A line as the split sees it. */
struct miles_line {
    int64_t total_minor;
    enum miles_tender tender; /* lines of excluded categories are TENDER_CASH_ONLY */
    /* results */
    int64_t points, points_value_minor, cash_minor;
};

/* What may be redeemed on these lines with this balance. minimum..maximum in steps of `step`; maximum is 0
 * where nothing may be redeemed. The value of n points is floor(n * minor_unit / points_unit), but the points
 * that cover everything coverable are worth exactly that: `maximum` may lie off the steps then, and is
 * allowed. */
struct miles_quote {
    int64_t minimum, maximum, step;
    int64_t
        required; /* points that points-only lines need: fewer are refused. RATIO_MAX: more than there are */
    int64_t coverable_minor;
    int64_t total_minor;
};
/* Pure. */
void miles_quote(const struct miles_policy *policy, const struct miles_line *lines, size_t count,
                 int64_t available_points, struct miles_quote *quote);
/* Pure. The value of `points` on this quote; points must satisfy miles_points_allowed. */
int64_t miles_value_minor(const struct miles_policy *policy, const struct miles_quote *quote, int64_t points);
/* Pure. NULL, or why that many points cannot be redeemed ("below_minimum", "above_maximum", "off_step",
 * "below_required"). */
const char *miles_points_refusal(const struct miles_quote *quote, int64_t points);
/* Pure. Fills points, points_value_minor and cash_minor of each line; the parts add up exactly. */
void miles_split(const struct miles_policy *policy, const struct miles_quote *quote, int64_t points,
                 struct miles_line *lines, size_t count);
/* Pure. `earned` points that were posted are taken back of an account with so much available: so many of them
 * have to be lent first. */
int64_t miles_lent(int64_t earned, int64_t available);
/* Pure. Points that this much cash earns, rounded down; at most POINTS_MAX. */
int64_t miles_earned(const struct miles_policy *policy, int64_t cash_minor);
/* Pure. NULL, or the member of a rate that is more than POINTS_PER_MINOR_MAX points for one smallest unit of
 * money. */
const char *miles_rate_refusal(const struct miles_policy *policy);

/* The policy in force; ERR_NOT_FOUND where the currency has no rate. Needs no transaction. */
enum error_code miles_policy_in_force(struct pg *db, struct arena *arena, struct currency currency,
                                      struct miles_policy *policy);

/* The shop's own accounts: where points come from, and where they go. */
extern const struct account_id loyalty_account_issued, loyalty_account_redeemed;

struct loyalty_balance {
    struct account_id account_id;
    int64_t posted, held, incoming;
};
/* Zeros for a customer who has no account yet. */
enum error_code loyalty_balance(struct pg *db, struct arena *arena, struct user_id user_id,
                                struct loyalty_balance *balance);
/* Makes the customer's account if there is none. */
enum error_code loyalty_account_ensure(struct pg *db, struct arena *arena, struct user_id user_id,
                                       struct account_id *account_id);
/* Posts points from `issued` to the customer (demo, campaigns, staff: kind grant). */
enum error_code loyalty_grant(struct pg *db, struct arena *arena, struct user_id user_id, int64_t points,
                              struct str reason, struct uuid actor_id);

/* Staff add or take points (kind adjust); points is signed, not 0. ERR_POINTS_SHORT. */
enum error_code loyalty_adjust(struct pg *db, struct arena *arena, struct user_id user_id, int64_t points,
                               struct str reason, struct uuid actor_id, struct uuid *root_id);
/* Staff post the opposite of a grant or an adjustment that was posted; once: ERR_CONFLICT the second time,
 * ERR_NOT_FOUND, ERR_POINTS_SHORT. ERR_TRANSFER_OF_ORDER: what an order holds, redeems, earns and gives back
 * moves with the order alone, else its refund would give the same points a second time; order_id says which,
 * zero for a debt of several. */
enum error_code loyalty_reverse(struct pg *db, struct arena *arena, struct uuid root_id, struct str reason,
                                struct uuid actor_id, struct order_id *order_id);

/* Holds: pending transfer customer → redeemed; root_id is made here. ERR_POINTS_SHORT. */
enum error_code loyalty_hold(struct pg *db, struct arena *arena, struct user_id user_id, int64_t points,
                             struct order_id order_id, struct uuid *root_id);
/* Voids a hold. Safe to repeat; ERR_CONFLICT for one that was captured, or is none. */
enum error_code loyalty_hold_release(struct pg *db, struct arena *arena, struct uuid root_id);

/* What becomes of points when an order is paid. */
struct loyalty_settlement {
    struct order_id order_id;
    struct user_id user_id;
    struct uuid hold_id; /* zero: the order takes no points */
    int64_t earn_points; /* may be 0 */
    int32_t policy_version;
    /* set by what is read */
    struct account_id account_id; /* where points are earned, or held */
    int64_t held_points;          /* 0 also where they were captured before */
};
/* For many orders that the caller has locked, which guards their holds, by LOYALTY_SETTLE_STATEMENTS
 * statements at most, in two pipelines of the caller's: in the first holds and accounts are read, without a
 * lock; outside of both, loyalty_accounts_ensure makes accounts that are missing, mostly none; in the second
 * holds are posted, and what the orders will have earned is recorded as pending transfers issued → customer,
 * due after the return window; last the accounts are moved, in key order. All once per order. All are given
 * the same items. settle_read_fetch: ERR_CONFLICT: a hold was released. */
#define LOYALTY_SETTLE_STATEMENTS 7
enum error_code loyalty_settle_read_queue(struct pg *db, struct arena *arena,
                                          const struct loyalty_settlement *items, size_t count);
enum error_code loyalty_settle_read_fetch(struct pg *db, struct arena *arena,
                                          struct loyalty_settlement *items, size_t count);
enum error_code loyalty_accounts_ensure(struct pg *db, struct arena *arena, struct loyalty_settlement *items,
                                        size_t count);
enum error_code loyalty_settle_queue(struct pg *db, struct arena *arena,
                                     const struct loyalty_settlement *items, size_t count);
enum error_code loyalty_settle_fetch(struct pg *db, const struct loyalty_settlement *items, size_t count);
/* A refunded order: what it earned is voided, or reversed where it was posted already; what the balance does
 * not reach is owed from now on. Once per order. */
enum error_code loyalty_earn_take_back(struct pg *db, struct arena *arena, struct order_id order_id);
/* Points of a captured hold that a reversal gave back. Earlier releases let staff do so; what they gave is
 * not given again. */
enum error_code loyalty_hold_reversed(struct pg *db, struct arena *arena, struct uuid hold_id,
                                      int64_t *points);
/* Gives redeemed points back: posted transfer redeemed → customer, of kind refund; root_id names the refund,
 * so that it happens once. */
enum error_code loyalty_refund(struct pg *db, struct arena *arena, struct user_id user_id, int64_t points,
                               struct order_id order_id, struct uuid root_id, struct uuid actor_id);

#endif
