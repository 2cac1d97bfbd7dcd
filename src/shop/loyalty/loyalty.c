/* The ledger's transfers: each function is one or two statements in the caller's transaction. What makes a
 * thing happen once is the transfer's primary key (root, step): a statement that finds it there changes
 * nothing, and says so by returning no row. */
#include "shop/loyalty/loyalty.h"

#include "base/check.h"
#include "loyalty_sql.h"

const struct account_id loyalty_account_issued = {{{0, 0, 0, 0, 0, 0, 0x80, 0, 0x80, 0, 0, 0, 0, 0, 0, 1}}};
const struct account_id loyalty_account_redeemed = {{{0, 0, 0, 0, 0, 0, 0x80, 0, 0x80, 0, 0, 0, 0, 0, 0, 2}}};
static const struct uuid account_adjusted = {{0, 0, 0, 0, 0, 0, 0x80, 0, 0x80, 0, 0, 0, 0, 0, 0, 3}};

static struct opt_uuid optional(struct uuid id)
{
    return (struct opt_uuid){!uuid_is_zero(id), id};
}

enum error_code miles_policy_in_force(struct pg *db, struct arena *arena, struct currency currency,
                                      struct miles_policy *policy)
{
    struct miles_policy_get_row row;
    bool found;
    struct miles_policy_get_args args = {currency_str(&currency)};
    enum error_code code = miles_policy_get(db, arena, args, &row, &found);
    if (code)
        return code;
    if (!found)
        return ERR_NOT_FOUND;
    *policy = (struct miles_policy){
        .version = row.version,
        .currency = currency,
        .minimum_points = row.minimum_points,
        .step_points = row.step_points,
        .maximum_share = row.maximum_share,
        .points_unit = row.points_unit,
        .minor_unit = row.minor_unit,
        .earn_minor = row.earn_minor,
        .earn_points = row.earn_points,
        .return_window_days = row.return_window_days,
        .excluded_categories = row.excluded_categories,
    };
    return ERR_OK;
}

enum error_code loyalty_balance(struct pg *db, struct arena *arena, struct user_id user_id,
                                struct loyalty_balance *balance)
{
    struct loyalty_account_get_row row;
    bool found;
    enum error_code code =
        loyalty_account_get(db, arena, (struct loyalty_account_get_args){user_id}, &row, &found);
    *balance = (struct loyalty_balance){0};
    if (!code && found)
        *balance = (struct loyalty_balance){row.id, row.posted, row.held, row.incoming};
    return code;
}

enum error_code loyalty_account_ensure(struct pg *db, struct arena *arena, struct user_id user_id,
                                       struct account_id *account_id)
{
    struct loyalty_account_get_row row;
    bool found;
    struct loyalty_account_get_args key = {user_id};
    enum error_code code = loyalty_account_get(db, arena, key, &row, &found);
    if (!code && !found) {
        struct account_id id = account_id_new();
        code = loyalty_account_insert_batch(
            db, (struct loyalty_account_insert_batch_args){{&id, 1}, {&user_id, 1}}, NULL);
        if (!code)
            code = loyalty_account_get(db, arena, key, &row, &found);
        CHECK(code || found);
    }
    if (!code)
        *account_id = row.id;
    return code;
}

/* Whoever owes pays with what has just come in. Hardly anybody does: no statement then. */
static enum error_code pay_debt(struct pg *db, struct account_id account_id, int64_t debt)
{
    if (debt == 0)
        return ERR_OK;
    return loyalty_debt_pay(db, (struct loyalty_debt_pay_args){account_id, uuid_new()}, NULL);
}

/* Posts into the customer's account (points > 0) or out of it. A root that is there already posts nothing. */
static enum error_code post(struct pg *db, struct arena *arena, struct transfer_post_args args)
{
    struct account_id account_id;
    enum error_code code = loyalty_account_ensure(db, arena, args.user_id, &account_id);
    if (code)
        return code;
    struct transfer_post_row row;
    bool found;
    code = transfer_post(db, arena, args, &row, &found);
    if (code == ERR_DATABASE_CONSTRAINT &&
        strcmp(pg_error(db)->constraint, "ledger_account_not_overdrawn") == 0)
        return ERR_POINTS_SHORT;
    return code || !found ? code : pay_debt(db, row.id, row.debt);
}

enum error_code loyalty_grant(struct pg *db, struct arena *arena, struct user_id user_id, int64_t points,
                              struct str reason, struct uuid actor_id)
{
    CHECK(points > 0 && points <= POINTS_MAX);
    return post(db, arena,
                (struct transfer_post_args){.root_id = uuid_new(),
                                            .user_id = user_id,
                                            .system_account_id = loyalty_account_issued.uuid,
                                            .points = points,
                                            .kind = STR("grant"),
                                            .actor_id = optional(actor_id),
                                            .reason = reason});
}

enum error_code loyalty_adjust(struct pg *db, struct arena *arena, struct user_id user_id, int64_t points,
                               struct str reason, struct uuid actor_id, struct uuid *root_id)
{
    CHECK(points != 0 && points <= POINTS_MAX && points >= -POINTS_MAX);
    *root_id = uuid_new();
    return post(db, arena,
                (struct transfer_post_args){.root_id = *root_id,
                                            .user_id = user_id,
                                            .system_account_id = account_adjusted,
                                            .points = points,
                                            .kind = STR("adjust"),
                                            .actor_id = optional(actor_id),
                                            .reason = reason});
}

enum error_code loyalty_refund(struct pg *db, struct arena *arena, struct user_id user_id, int64_t points,
                               struct order_id order_id, struct uuid root_id, struct uuid actor_id)
{
    CHECK(points > 0 && points <= POINTS_MAX);
    return post(db, arena,
                (struct transfer_post_args){.root_id = root_id,
                                            .user_id = user_id,
                                            .system_account_id = loyalty_account_redeemed.uuid,
                                            .points = points,
                                            .kind = STR("refund"),
                                            .order_id = optional(order_id.uuid),
                                            .actor_id = optional(actor_id)});
}

enum error_code loyalty_hold(struct pg *db, struct arena *arena, struct user_id user_id, int64_t points,
                             struct order_id order_id, struct uuid *root_id)
{
    CHECK(points > 0 && points <= POINTS_MAX);
    *root_id = uuid_new();
    struct transfer_hold_open_args args = {*root_id, user_id, points, order_id};
    struct transfer_hold_open_row row;
    bool found;
    enum error_code code = transfer_hold_open(db, arena, args, &row, &found);
    return code ? code : found ? ERR_OK : ERR_POINTS_SHORT;
}

enum error_code loyalty_hold_release(struct pg *db, struct arena *arena, struct uuid root_id)
{
    struct transfer_hold_void_row row;
    bool found;
    enum error_code code =
        transfer_hold_void(db, arena, (struct transfer_hold_void_args){root_id}, &row, &found);
    if (code == ERR_OK && row.owing.present)
        code = loyalty_debt_pay(db, (struct loyalty_debt_pay_args){row.owing.value, uuid_new()}, NULL);
    return code ? code : row.voided ? ERR_OK : ERR_CONFLICT;
}

/* The opposite of a posted transfer, without its accounts. *fresh: false where it was there before. */
static enum error_code reversal_insert(struct pg *db, struct arena *arena, struct uuid root_id,
                                       const struct transfer_posted_row *original, struct str reason,
                                       struct uuid actor_id, bool *fresh)
{
    struct transfer_reverse_args args = {
        .root_id = root_id,
        .debit_account_id = original->credit_account_id,
        .credit_account_id = original->debit_account_id,
        .points = original->points,
        .kind = original->kind,
        .order_id = original->order_id,
        .actor_id = optional(actor_id),
        .reason = reason,
    };
    struct transfer_reverse_row row;
    return transfer_reverse(db, arena, args, &row, fresh);
}

static enum error_code reverse(struct pg *db, struct arena *arena, struct uuid root_id,
                               const struct transfer_posted_row *original, struct str reason,
                               struct uuid actor_id)
{
    bool fresh, found;
    enum error_code code = reversal_insert(db, arena, root_id, original, reason, actor_id, &fresh);
    if (code || !fresh)
        return code ? code : ERR_CONFLICT;
    struct loyalty_account_move_row customer;
    struct loyalty_account_move_args args = {original->credit_account_id, original->debit_account_id,
                                             original->points};
    code = loyalty_account_move(db, arena, args, &customer, &found);
    if (code == ERR_DATABASE_CONSTRAINT &&
        strcmp(pg_error(db)->constraint, "ledger_account_not_overdrawn") == 0)
        return ERR_POINTS_SHORT;
    return code || !found ? code : pay_debt(db, customer.id, customer.debt);
}

/* Moved by staff, not in the life of an order. */
static bool is_of_staff(struct str kind)
{
    return str_equal(kind, STR("grant")) || str_equal(kind, STR("adjust"));
}

enum error_code loyalty_reverse(struct pg *db, struct arena *arena, struct uuid root_id, struct str reason,
                                struct uuid actor_id, struct order_id *order_id)
{
    *order_id = (struct order_id){{{0}}};
    struct transfer_posted_row original;
    bool found;
    enum error_code code =
        transfer_posted(db, arena, (struct transfer_posted_args){root_id}, &original, &found);
    if (code || !found)
        return code ? code : ERR_NOT_FOUND;
    if (!is_of_staff(original.kind)) {
        order_id->uuid = original.order_id.value;
        return ERR_TRANSFER_OF_ORDER;
    }
    return reverse(db, arena, root_id, &original, reason, actor_id);
}

enum error_code loyalty_hold_reversed(struct pg *db, struct arena *arena, struct uuid hold_id,
                                      int64_t *points)
{
    struct transfer_reversed_points_row row;
    bool found;
    enum error_code code =
        transfer_reversed_points(db, arena, (struct transfer_reversed_points_args){hold_id}, &row, &found);
    *points = code ? 0 : row.points;
    return code;
}

enum error_code loyalty_earn_take_back(struct pg *db, struct arena *arena, struct order_id order_id)
{
    struct earning_lock_row earning;
    bool found;
    enum error_code code = earning_lock(db, arena, (struct earning_lock_args){order_id}, &earning, &found);
    if (code || !found)
        return code;
    if (!earning.closed)
        return earning_void(db, (struct earning_void_args){order_id}, NULL);
    struct transfer_posted_row original;
    code = transfer_posted(db, arena, (struct transfer_posted_args){earning.root_id}, &original, &found);
    if (code || !found) /* voided before */
        return code;
    bool fresh;
    code = reversal_insert(db, arena, earning.root_id, &original, STR("the order was refunded"),
                           (struct uuid){{0}}, &fresh);
    if (code || !fresh) /* taken back before */
        return code;
    struct loyalty_account_lock_row account;
    code = loyalty_account_lock(db, arena, (struct loyalty_account_lock_args){earning.account_id}, &account,
                                &found);
    if (code)
        return code;
    CHECK(found);
    struct loyalty_earning_take_args args = {
        .account_id = earning.account_id,
        .points = earning.points,
        .lent = miles_lent(earning.points, account.posted - account.held),
        .root_id = uuid_new(),
        .order_id = order_id,
    };
    return loyalty_earning_take(db, args, NULL);
}
